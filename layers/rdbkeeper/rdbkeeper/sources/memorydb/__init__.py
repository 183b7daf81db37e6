"""MemoryDB: backups are exported under names of ours."""
