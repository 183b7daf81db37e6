"""What `make run` shows: the whole journey of real Redis backups, on this machine."""
