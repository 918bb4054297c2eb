"""Plugin `openai`."""
