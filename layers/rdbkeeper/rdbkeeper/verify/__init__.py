"""Checks copies without anything of rdbkeeper's but this package: `python -m rdbkeeper.verify PATH-OR-S3-URI`."""
