"""Plugin `rag`."""
