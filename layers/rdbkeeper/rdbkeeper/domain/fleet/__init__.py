"""The fleet: what each rule wants to run on, what is there, and how to make the second equal the first."""
