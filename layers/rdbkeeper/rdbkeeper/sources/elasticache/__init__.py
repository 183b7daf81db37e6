"""Node-based ElastiCache: backups are exported under names of ours."""
