"""What the sources in AWS share: calls, manual backups, exports under names of ours, the staging bucket."""
