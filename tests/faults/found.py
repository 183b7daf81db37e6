"""What failed once, and why; tried first from then on."""

from __future__ import annotations

from tests.faults.single import Schedule

# One line each: the schedule's token, and what was wrong.
SCHEDULES: list[Schedule] = [
    Schedule.parse(token)
    for token in (
        # An upload whose opening was repeated by the SDK was known to nobody, and stayed open.
        "one_small_backup:21:SENT_TWICE",
        # The count of a leg that a stopped execution had begun stayed on record for good.
        "one_small_backup:26:STOPPED_BEFORE",
        # So did that of a transfer that was abandoned because its rule pointed elsewhere.
        "one_small_backup:24:RULE_MOVED",
        # An unknown error at one backup's staged files ended the whole run, as one at letting go of them did.
        "one_damaged_among_good_ones:22:DEFECT",
        "one_damaged_among_good_ones:42:DEFECT",
        # Uploads on record stayed open for as long as the instance was away.
        "after_a_run_that_was_killed:29:INSTANCE_VANISHES",
        # The report of a killed run said for good that it was going, as its closing failed after the lease was taken.
        "after_a_run_that_was_killed:28:ANSWER_LOST",
        "after_a_run_that_was_killed:30:STALLED",
        # A hand-over that was refused failed the run without a word.
        "hand_over_to_successors:46:REFUSED",
    )
]

# One line each: the seed, and what was wrong.
SEEDS: tuple[int, ...] = (
    175,  # the report of a stopped run was told to be going for good
    176,  # the same, when reading the history was denied
    181,  # an upload of a stopped run stayed open while the instance was away
    257,  # the SDK opened an upload twice
    402,  # a successor that was not to run left the exports of its chain
    5076,  # a person removed the copy between the last look and the manifest
    11447,  # a successor found another delivery's run going, and left the exports of its chain
    2173,  # an unknown error at letting go of staged files
)
