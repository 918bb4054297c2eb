"""Plugin `admin`."""
