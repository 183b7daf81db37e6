"""The source `redis`: servers that are reached directly, and read as a replica would or key by key."""
