"""Plugin `tiny`."""
