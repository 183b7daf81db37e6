"""rdbkeeper: keeps verified copies of managed Redis backups in a bucket of your own."""

__version__ = "0.1.0"
