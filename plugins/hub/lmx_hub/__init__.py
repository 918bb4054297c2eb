"""Plugin `hub`."""
