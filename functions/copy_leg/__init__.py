"""The function that helps runs to copy."""
