"""What many rules cost: calls of AWS and processor time. `python -m tests.bench` prints it."""
