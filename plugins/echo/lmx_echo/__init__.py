"""Plugin `echo`."""
