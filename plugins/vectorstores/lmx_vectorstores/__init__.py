"""Plugin `vectorstores`."""
