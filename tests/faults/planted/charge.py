"""Bugs in who is at work: leases, runs that follow, and what runs leave behind."""

from __future__ import annotations

from tests.faults.fault import Kind
from tests.faults.planted.bug import Change, Hint, PlantedBug, Promise

_LEASE = "flows/runs/lease.py"
_RUN = "flows/runs/run.py"
_COPY = "flows/runs/copy.py"
_SCAN = "flows/runs/scan.py"
_CLEAN_UP = "flows/runs/clean_up.py"
_REQUEST = "domain/run_request.py"
_GOING = "if ended_at is None:"
_PUBLISHED = "lock_copy(rule, vault, manifest, manifest.copied_at, self.context.log(ticket))"
_ABANDONED = (
    'self.context.log(ticket).warning("TransferAbandoned", f"The transfer of {ticket.backup_id} is abandoned.")'
)

IN_CHARGE = (
    PlantedBug(
        "a lease is taken over while its owner may still be at work",
        Promise.ONE_RUN,
        Change(_LEASE, "return now - ended_at < self.context.longest_invocation * GRACE", "return False"),
    ),
    PlantedBug(
        "a lease is taken over too early",
        Promise.ONE_RUN,
        Change(_LEASE, "GRACE = 4 / 3", "GRACE = 1 / 3"),
    ),
    PlantedBug(
        "the lease of a run that is going is taken over",
        Promise.ONE_RUN,
        Change(
            _LEASE,
            "return self._refuse_as_another_is_going()",
            "ended_at = datetime.min.replace(tzinfo=now.tzinfo)",
            _GOING,
        ),
        Hint("one_small_backup", (Kind.TIMER_AGAIN,)),
    ),
    PlantedBug(
        "the report of a run that was killed stays open",
        Promise.NOTHING_LEFT,
        Change(_LEASE, "self._close_report_of(owner)", "pass"),
    ),
    PlantedBug(
        "the report of a run that was killed is closed after its lease was taken",
        Promise.NOTHING_LEFT,
        Change(
            _LEASE,
            "self._close_report_of(owner)",
            "runs.take_lease(rule.name, me, owner, now); self._close_report_of(owner)",
        ),
        Hint("after_a_run_that_was_killed", (Kind.ANSWER_LOST,)),
    ),
    PlantedBug(
        "a paused rule runs by its timer",
        Promise.WANTED,
        Change(
            _LEASE, "if rule.state is RuleState.PAUSED and not self.context.request.on_request:", "if not rule.state:"
        ),
    ),
    PlantedBug(
        "a paused rule does not run by hand",
        Promise.WANTED,
        Change(
            _LEASE,
            "if rule.state is RuleState.PAUSED and not self.context.request.on_request:",
            "if rule.state is RuleState.PAUSED:",
        ),
    ),
    PlantedBug(
        "a rule that is being deleted is wanted",
        Promise.WANTED,
        Change(
            "flows/runs/context.py",
            "return None if rule is None or rule.state is RuleState.DELETING else rule",
            "return rule",
        ),
    ),
    PlantedBug(
        "a rule that was pointed elsewhere is copied to where it was",
        Promise.WANTED,
        Change(
            "flows/runs/context.py",
            "if not fresh.has_same_target(rule):",
            "if not fresh:",
        ),
    ),
    PlantedBug(
        "a run keeps its lease",
        Promise.ONE_RUN,
        Change(
            "flows/runs/report.py",
            "self.context.runs.free_lease(self.context.rule_name, self.context.execution)",
            "pass",
        ),
    ),
    PlantedBug(
        "a run that is put off keeps its lease",
        Promise.ONE_RUN,
        Change(_SCAN, "self.context.runs.free_lease(rule.name, self.context.execution)", "pass"),
        Hint("one_small_backup", (Kind.INSTANCE_VANISHES,)),
    ),
    PlantedBug(
        "a run that fails tells nobody and keeps its lease",
        Promise.ONE_RUN,
        Change(
            _RUN, 'engine.step("report failure", partial(steps.report.report_failure, began, error, missed))', "pass"
        ),
    ),
    PlantedBug(
        "a run that ends early keeps its lease",
        Promise.ONE_RUN,
        Change(
            "flows/runs/report.py",
            "if self.context.find_wanted_rule() is not None:",
            "if self.context.find_wanted_rule() is None:",
        ),
    ),
    PlantedBug(
        "begun legs stay on record",
        Promise.NOTHING_LEFT,
        Change(_COPY, "self.context.runs.forget_attempts(rule.name, ticket.attempt)", "pass"),
    ),
    PlantedBug(
        "begun legs of a stopped run stay on record",
        Promise.NOTHING_LEFT,
        Change(_CLEAN_UP, "self.context.runs.forget_all_attempts(rule.name)", "pass"),
        Hint("one_small_backup", (Kind.STOPPED_BEFORE,)),
    ),
    PlantedBug(
        "completed uploads stay on record",
        Promise.NOTHING_LEFT,
        Change(_COPY, "self._tidy_up(rule, ticket, _uploads(transfer), are_completed=True)", "pass", _PUBLISHED),
    ),
    PlantedBug(
        "uploads are not put on record",
        Promise.NOTHING_LEFT,
        Change(_COPY, "self.context.runs.remember_uploads(rule.name, [upload])", "pass"),
    ),
    PlantedBug(
        "uploads of a backup that failed stay open",
        Promise.NOTHING_LEFT,
        Change(
            _COPY, "self._tidy_up(rule, ticket, _uploads(transfer) if transfer else [], are_completed=False)", "pass"
        ),
    ),
    PlantedBug(
        "uploads of a run that must stop stay open",
        Promise.NOTHING_LEFT,
        Change(_COPY, "self._tidy_up(rule, ticket, _uploads(transfer), are_completed=False)", "pass", _ABANDONED),
    ),
    PlantedBug(
        "tidying that fails ends the run",
        Promise.OTHERS,
        Change(
            _COPY,
            "except RdbkeeperError as error:",
            "except ArithmeticError as error:",
            "self.context.runs.forget_attempts(rule.name, ticket.attempt)",
        ),
        Hint("one_damaged_among_good_ones", (Kind.REFUSED,)),
    ),
    PlantedBug(
        "aborted uploads stay on record",
        Promise.NOTHING_LEFT,
        Change("flows/uploads.py", "runs.forget_uploads(rule.name, aborted)", "pass"),
    ),
    PlantedBug(
        "an upload that cannot be aborted ends the run",
        Promise.OTHERS,
        Change(
            "flows/uploads.py",
            "except RdbkeeperError as error:",
            "except ArithmeticError as error:",
            "vault.abort_upload(upload)",
        ),
    ),
    PlantedBug(
        "uploads that nobody put on record stay open",
        Promise.NOTHING_LEFT,
        Change(
            _CLEAN_UP,
            "listed = [upload for upload in found if is_data_key(path, upload.key)]",
            "listed = [upload for upload in found if not path]",
        ),
    ),
    PlantedBug(
        "uploads on record are not looked at",
        Promise.NOTHING_LEFT,
        Change(_CLEAN_UP, "list(dict.fromkeys([*remembered, *listed]))", "list(dict.fromkeys(listed))"),
    ),
    PlantedBug(
        "uploads of others in the rule's place are aborted",
        Promise.REMOVAL,
        Change(_CLEAN_UP, "for upload in found if is_data_key(path, upload.key)]", "for upload in found]"),
    ),
    PlantedBug(
        "no run follows one that was full",
        Promise.HANDS_OVER,
        Change(_RUN, "if not is_whole:", 'if scan["is_full"]:'),
    ),
    PlantedBug(
        "exports that no run of the chain takes are left",
        Promise.NOTHING_LEFT,
        Change(_RUN, "run.discard(left)", "pass"),
    ),
    PlantedBug(
        "a run follows before the lease is free",
        Promise.HANDS_OVER,
        Change(
            _RUN,
            'report = engine.step("report",',
            "left and context.request.may_hand_over and _hand_over(engine, steps.hand_over, tried); "
            'report = engine.step("report",',
        ),
        Hint("hand_over_to_successors", (Kind.CRASH_BEFORE,)),
    ),
    PlantedBug(
        "runs follow each other for ever",
        Promise.ENDS,
        Change(_REQUEST, "return self.hand_overs < MOST_HAND_OVERS", "return True"),
    ),
    PlantedBug(
        "runs that follow are not counted",
        Promise.ENDS,
        Change(_REQUEST, "hand_overs=self.hand_overs + 1", "hand_overs=self.hand_overs"),
    ),
    PlantedBug(
        "the run that follows is not told what failed",
        Promise.HANDS_OVER,
        Change(
            "flows/runs/hand_over.py",
            "tried = tuple(outcome.copy_id for outcome in outcomes if outcome.status is not Status.COPIED)",
            "tried = ()",
        ),
    ),
    PlantedBug(
        "the run that follows tries again what failed",
        Promise.HANDS_OVER,
        Change(_SCAN, ", now, tried, past.failed, others)", ", now, (), past.failed, others)"),
    ),
    PlantedBug(
        "the second run that follows forgets what failed in the first",
        Promise.HANDS_OVER,
        Change(_REQUEST, "tuple(dict.fromkeys((*self.tried, *tried)))", "tried"),
    ),
    PlantedBug(
        "runs of one chain do not share their exports",
        Promise.HANDS_OVER,
        Change("flows/runs/context.py", "return self.request.chain or self.run_id", "return self.run_id"),
    ),
)
