"""Where backups come from: one module a provider."""
