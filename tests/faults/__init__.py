"""Runs of rules in a simulated world in which any call can fail, and what must hold all the same.

`python -m tests.faults` tries every single fault at every call of every scenario, pairs of faults, and many seeds of a
whole simulation; `--seed N` tells one of them step by step.
"""
