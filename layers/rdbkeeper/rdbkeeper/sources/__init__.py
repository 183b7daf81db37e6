"""Where backups come from: one folder a provider, and `aws` for what three of them share."""
