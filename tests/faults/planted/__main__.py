"""Tries the planted bugs: `python -m tests.faults.planted [-v] [--processes N] [NAME ...]`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from tests.faults.planted.catalogue import BUGS, find_bug
from tests.faults.planted.runner import plant_all


def main() -> int:
    """Plant, tell, and return 1 when a bug was not caught."""
    parser = argparse.ArgumentParser("python -m tests.faults.planted")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell by what each was caught")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("names", nargs="*")
    wanted = parser.parse_args()
    began_s = time.monotonic()
    verdicts = plant_all(wanted.processes, [find_bug(name) for name in wanted.names] or BUGS)
    for verdict in verdicts:
        if wanted.verbose or not verdict.is_caught:
            _say(str(verdict))
    caught = [verdict for verdict in verdicts if verdict.is_caught]
    by_tier = Counter(verdict.tier for verdict in caught)
    _say(f"{time.monotonic() - began_s:.0f} s; by tier: {', '.join(f'{tier} {n}' for tier, n in by_tier.items())}")
    _say(f"{len(caught)} of {len(verdicts)} planted bugs caught")
    return 0 if len(caught) == len(verdicts) else 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
