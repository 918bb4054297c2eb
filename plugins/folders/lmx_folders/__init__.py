"""Plugin `folders`."""
