"""ElastiCache Serverless: its exports have no names of ours, so that each is claimed."""
