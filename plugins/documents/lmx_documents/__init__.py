"""Plugin `documents`."""
