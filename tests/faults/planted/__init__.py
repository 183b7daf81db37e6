"""Bugs that are planted one at a time into a copy of the package, to see that the harness catches each.

A harness that finds nothing shows little until it is known what it would find. `python -m tests.faults.planted -v`
tells for each bug by what it was caught; names after it try these alone.

Where several checks stand behind each other, one that is missing shows nowhere. Such a bug is planted together with
the check behind it, or left out: renewing the lease before each step (nothing is alive any more when a lease is taken
over), aborting what is open of a key before it is opened again (the next scan does), the end marker (the CRC64).
"""
