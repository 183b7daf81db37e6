"""What failed once, and why; tried first from then on.

A seed stands here as the schedule that shows the same: it tells another story as soon as the package makes other calls.
"""

from __future__ import annotations

# One line each: the schedule's token, and what was wrong. Places are named by their calls, whose numbers change.
SCHEDULES: tuple[str, ...] = (
    # An upload whose opening was repeated by the SDK was known to nobody, and stayed open.
    "one_small_backup:vault.open_upload:SENT_TWICE",
    # The count of a leg that a stopped execution had begun stayed on record for good.
    "one_small_backup:source.open_range:STOPPED_BEFORE",
    # So did that of a transfer that was abandoned because its rule pointed elsewhere.
    "one_small_backup:vault.put_part:RULE_MOVED",
    # An unknown error at one backup's staged files ended the whole run, as one at letting go of them did.
    "one_damaged_among_good_ones:source.find_staged_files:DEFECT",
    "one_damaged_among_good_ones:source.discard_export:DEFECT",
    # A failing backup whose attempts could not be struck off ended the whole run.
    "one_damaged_among_good_ones:runs.forget_attempts*2:REFUSED",
    # Uploads on record stayed open for as long as the instance was away.
    "after_a_run_that_was_killed:runs.take_lease:INSTANCE_VANISHES",
    # The report of a killed run said for good that it was going, as its closing failed after the lease was taken.
    "after_a_run_that_was_killed:runs.history:DENIED",
    "after_a_run_that_was_killed:runs.record_run:ANSWER_LOST",
    "after_a_run_that_was_killed:runs.take_lease:STALLED",
    # A hand-over that was refused failed the run without a word.
    "hand_over_to_successors:executions.start_successor:REFUSED",
    # A successor that was not to run, or found another delivery's run going, left the exports of its chain.
    "hand_over_to_successors:executions.start_successor:RULE_DELETED",
    "hand_over_to_successors:executions.start_successor:TIMER_AGAIN",
    # A person removed the data between the last look at them and the manifest.
    "one_small_backup:vault.create_object:DATA_TAKEN",
    # A person removed the newest copy while retention removed the older ones, which it was to outlive: all were gone.
    "the_last_copy_is_kept:vault.remove_object:COPY_DELETED",
    # Copies were removed by a run whose instance had gone away since it began.
    "the_last_copy_is_kept:vault.create_object:INSTANCE_VANISHES",
)
