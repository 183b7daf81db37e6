"""TencentDB for Redis: backups are listed by its API, and their files are read by links."""
