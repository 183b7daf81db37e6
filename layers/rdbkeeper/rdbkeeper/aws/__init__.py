"""Adapters to AWS: the rule table, the fleet, the run's engine, logs, and the translation of its errors."""
