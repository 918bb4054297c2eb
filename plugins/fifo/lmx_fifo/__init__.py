"""Plugin `fifo`."""
