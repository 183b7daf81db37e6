"""One run of a rule, step by step: what its function does when its timer fires."""
