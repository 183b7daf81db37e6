"""What is done, step by step, in terms of the ports. Knows no cloud."""
