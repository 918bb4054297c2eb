"""Plugin `hybrid`."""
