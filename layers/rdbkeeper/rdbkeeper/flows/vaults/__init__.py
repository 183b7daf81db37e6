"""Vaults: binding, probing, and whose a place in one is."""
