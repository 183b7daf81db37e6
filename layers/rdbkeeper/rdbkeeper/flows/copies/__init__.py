"""Copies at rest: showing, holding, reading and removing them."""
