"""The function that manages rules."""
