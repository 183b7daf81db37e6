"""S3 servers that nobody here wrote, on this machine: what an adapter promises is tried against each of them."""
