"""A rule's own function."""
