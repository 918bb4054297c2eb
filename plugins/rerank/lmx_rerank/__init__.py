"""Plugin `rerank`."""
