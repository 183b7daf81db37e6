"""The RDB file format: what a file's first and last bytes say, and its checksum. Pure."""
