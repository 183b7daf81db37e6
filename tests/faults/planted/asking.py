"""Bugs in having backups made: in asking, waiting and removing, and in freezing writes around it."""

from __future__ import annotations

from tests.faults.fault import Kind
from tests.faults.planted.bug import Change, Hint, PlantedBug, Promise

_ASKING = "flows/runs/asking.py"
_FIRST = "flows/runs/backup_first.py"
_FREEZING = "flows/runs/freezing.py"
_MADE = "flows/runs/made_backups.py"
_THAW = "flows/thaw.py"
_LOOK = "flows/fleet/thawing.py"
_DOMAIN = "domain/backup_first.py"
_SCAN = "flows/runs/scan.py"
_RUN = "flows/runs/run.py"
_FREEZE_STEP = 'self.engine.step("freeze writes", partial(self.steps.freezing.freeze, self.rule, self.wish))'
_STILL_FROZEN = 'self.engine.step("tell that writes are frozen", tell)'

ASKING = (
    # -------------------------------------------------------------- freezing
    PlantedBug(
        "writes are frozen at an hour that nobody has chosen",
        Promise.THAWED,
        Change(_FIRST, "if self.wish.has_hooks and not self.is_owed:", "if self.wish.has_hooks:"),
    ),
    PlantedBug(
        "a rule that demands frozen writes is asked for one at an hour that nobody has chosen",
        Promise.HONEST,
        Change(_ASKING, "if self.context.request.owed and wish.demands_application:", "if not wish:"),
    ),
    PlantedBug(
        "writes are frozen for a backup that the day does not allow",
        Promise.THAWED,
        Change(_ASKING, "if source.backups_a_day is not None:", "if not now:"),
    ),
    PlantedBug(
        "a freeze is not put on record",
        Promise.THAWED,
        Change(_FREEZING, "self.context.runs.record_freeze(rule.name, freeze)", "pass"),
    ),
    PlantedBug(
        "a freeze is put on record after it was asked for",
        Promise.THAWED,
        Change(_FREEZING, "self.context.runs.record_freeze(rule.name, freeze)", "pass"),
        also=Change(
            _FREEZING,
            "self.context.hooks.call(wish.freeze, payload, min(LONGEST_HOOK_S, wish.longest_freeze_s))",
            "self.context.hooks.call(wish.freeze, payload, min(LONGEST_HOOK_S, wish.longest_freeze_s)); "
            "self.context.runs.record_freeze(rule.name, freeze)",
        ),
    ),
    PlantedBug(
        "a freeze that is repeated has all of its time again",
        Promise.THAWED,
        Change(
            _FREEZING,
            "freeze = there or Freeze(",
            "freeze = Freeze(",
        ),
        also=Change(_FREEZING, "if there is not None and now >= there.until:", "if there is not None and not now:"),
    ),
    PlantedBug(
        "a freeze takes the place of one that nobody has thawed",
        Promise.THAWED,
        Change(_FREEZING, "if there is not None and there.execution != self.context.execution:", "if not now:"),
        also=Change(
            _FREEZING,
            "freeze = there or Freeze(",
            "freeze = Freeze(",
        ),
    ),
    PlantedBug(
        "a freeze that failed is not thawed",
        Promise.THAWED,
        Change(_FIRST, "self._thaw()  # it may have frozen some of them", "pass"),
    ),
    PlantedBug(
        "writes are not thawed when their freeze cannot be put on record any more",
        Promise.THAWED,
        Change(
            _FIRST,
            "except RdbkeeperError:",
            "except ArithmeticError:",
            below=f"frozen = {_FREEZE_STEP}",
        ),
        Hint("a_backup_with_writes_frozen", (Kind.DENIED,)),
    ),
    PlantedBug(
        "writes are not thawed when the backup cannot be asked for",
        Promise.THAWED,
        Change(
            _FIRST,
            "except RdbkeeperError:",
            "except ArithmeticError:",
            below='found = self._wait(_asked_at(asked), until) if "failed" not in asked else {}',
        ),
    ),
    PlantedBug(
        "a request is repeated while writes are frozen",
        Promise.THAWED,
        Change(
            _FIRST,
            "ask = partial(self.steps.request_at_once, self.rule, self._instance, self.name, until)",
            "ask = partial(self.steps.request, self.rule, self._instance, self.name)",
        ),
    ),
    PlantedBug(
        "a freeze has no end while the backup is not there",
        Promise.THAWED,
        Change(_ASKING, "if frozen_until is not None and now >= frozen_until:", "if not now:"),
    ),
    PlantedBug(
        "a freeze that may come late is thawed once",
        Promise.THAWED,
        Change(_THAW, "if freeze.late_until is not None and freeze.may_come_late(now):", "if not freeze:"),
    ),
    PlantedBug(
        "what was left frozen is not looked for",
        Promise.THAWED,
        Change(_ASKING, "self.freezing.thaw_what_was_left(rule)", "pass"),
    ),
    PlantedBug(
        "a freeze is struck off before it is thawed",
        Promise.THAWED,
        Change(_THAW, "called = freeze.thaw", "called = freeze.thaw; runs.forget_freeze(rule, freeze.execution)"),
    ),
    PlantedBug(
        "what is thawed stays on record",
        Promise.THAWED,
        Change(_THAW, "runs.forget_freeze(rule, freeze.execution)", "pass", below="return False"),
    ),
    PlantedBug(
        "the hourly look thaws what a run needs frozen",
        Promise.CONSISTENT,
        Change(
            _LOOK,
            "if spares_runs and freeze.until > work.clock.now() and _is_going(work, rule, freeze):",
            "if not freeze:",
        ),
    ),
    PlantedBug(
        "the hourly look thaws nothing while a run is going",
        Promise.THAWED,
        Change(
            _LOOK, "if spares_runs and freeze.until > work.clock.now() and _is_going(work, rule, freeze):", "if freeze:"
        ),
    ),
    PlantedBug(
        "a thaw that failed is told nobody",
        Promise.HONEST,
        Change(_FIRST, "self._tell(error)", "pass", _STILL_FROZEN),
    ),
    # ----------------------------------------------------------- consistency
    PlantedBug(
        "a freeze that ended too early counts",
        Promise.CONSISTENT,
        Change(_FIRST, 'if not stayed_frozen or datetime.fromisoformat(found["looked_at"]) > until:', "if not found:"),
    ),
    PlantedBug(
        "a backup that outlasted its freeze is called consistent for its application",
        Promise.CONSISTENT,
        Change(
            _FIRST,
            "return self._describe(asked_at, self._wait(asked_at), Consistency.POINT_IN_TIME, reason)",
            "return self._describe(asked_at, self._wait(asked_at), Consistency.APPLICATION, reason)",
            below='reason = f"the backup was not seen complete within {seconds}, and writes were let go on"',
        ),
    ),
    PlantedBug(
        "a backup is called consistent for its application without a freeze",
        Promise.CONSISTENT,
        Change(
            _FIRST,
            "return self._describe(asked_at, self._wait(asked_at), Consistency.POINT_IN_TIME, reason)",
            "return self._describe(asked_at, self._wait(asked_at), Consistency.APPLICATION, reason)",
            below="asked_at = self._ask()",
        ),
    ),
    PlantedBug(
        "how consistent a backup is stands nowhere",
        Promise.CONSISTENT,
        Change(_ASKING, "self.context.runs.record_made_backup(rule.name, made)", "pass"),
    ),
    PlantedBug(
        "a copy forgets how consistent its backup is",
        Promise.CONSISTENT,
        Change(_SCAN, "backup.with_consistency(one.consistency, one.reason)", "backup"),
    ),
    PlantedBug(
        "a rule that demands frozen writes is told nothing",
        Promise.HONEST,
        Change(
            _FIRST,
            "if self.wish.demands_application:",
            "if not made:",
            below='missed = _missed(self.name, f"it is {made.consistency.value}: {made.reason}")',
        ),
    ),
    PlantedBug(
        "a rule that demands frozen writes gets a backup without them",
        Promise.HONEST,
        Change(
            _FIRST,
            "if self.wish.demands_application:",
            "if not frozen:",
            below='error = from_record(frozen["failed"])',
        ),
    ),
    # ---------------------------------------------------------------- asking
    PlantedBug(
        "every run of a chain has a backup made",
        Promise.ASKED_ONCE,
        Change(_ASKING, "if wish is None or rule.is_live or self.context.request.hand_overs:", "if wish is None:"),
    ),
    PlantedBug(
        "a run that was cut off asks for a backup of another name",
        Promise.ASKED_ONCE,
        Change(
            _ASKING,
            "source.request_backup(instance, name, tags_of_made(self.context, rule))",
            'name = f"{name[:-6]}{self.context.clock.now():%H%M%S}"; '
            "source.request_backup(instance, name, tags_of_made(self.context, rule))",
        ),
    ),
    PlantedBug(
        "a backup is asked for before it is on record",
        Promise.ASKED_ONCE,
        Change(_ASKING, "runs.record_made_backup(rule.name, MadeBackup(", "str(MadeBackup("),
    ),
    PlantedBug(
        "a day is taken to have room for one more",
        Promise.ASKED_ONCE,
        Change(_DOMAIN, "if len(of_the_day) < most_a_day:", "if len(of_the_day) <= most_a_day:"),
    ),
    PlantedBug(
        "a day is taken to have room for one less",
        Promise.ASKED_ONCE,
        Change(_DOMAIN, "if len(of_the_day) < most_a_day:", "if len(of_the_day) < most_a_day - 1:"),
    ),
    PlantedBug(
        "a backup that is never made is waited for without end",
        Promise.ENDS,
        Change(_ASKING, "if now - asked_at > self.context.export_timeout:", "if not now:"),
    ),
    PlantedBug(
        "a backup that failed is waited for",
        Promise.HONEST,
        Change(
            _ASKING,
            "if backup is not None and backup.state is BackupState.FAILED:",
            "if backup is not None and not now:",
        ),
    ),
    PlantedBug(
        "a backup that is not complete counts as made",
        Promise.CONSISTENT,
        Change(_ASKING, "if backup is not None and backup.state is BackupState.COMPLETE:", "if backup is not None:"),
    ),
    PlantedBug(
        "a backup that was not made fails nobody",
        Promise.HONEST,
        Change(_RUN, "outcomes = [*missed, *tried]", "outcomes = [*tried]"),
    ),
    PlantedBug(
        "a backup that cannot be made ends the run",
        Promise.OTHERS,
        Change(_FIRST, "except (LeaseLost, RuleGone, RuleChanged):", "except RdbkeeperError:"),
    ),
    # -------------------------------------------------------------- removing
    PlantedBug(
        "a backup goes before its copy is verified",
        Promise.ASKED_ONCE,
        Change(
            _MADE,
            "elif backup.state is BackupState.FAILED or self._is_copied(rule, made, backup):",
            "elif backup.state is not BackupState.IN_PROGRESS:",
        ),
    ),
    PlantedBug(
        "a backup that failed stays at its provider",
        Promise.ASKED_ONCE,
        Change(
            _MADE,
            "elif backup.state is BackupState.FAILED or self._is_copied(rule, made, backup):",
            "elif self._is_copied(rule, made, backup):",
        ),
    ),
    PlantedBug(
        "what was made is never removed",
        Promise.ASKED_ONCE,
        Change(
            _MADE,
            "if self.context.source(rule).remove_backup(instance, made.name, tags_of_made(self.context, rule)):",
            "if not made:",
        ),
    ),
    PlantedBug(
        "a backup of another rule is taken for ours",
        Promise.ASKED_ONCE,
        Change(
            _MADE,
            "return {STACK_TAG: context.stack_name, RULE_TAG: rule.name}",
            "return {STACK_TAG: context.stack_name}",
        ),
    ),
    PlantedBug(
        "what was not removed is forgotten",
        Promise.ASKED_ONCE,
        Change(
            _MADE,
            'self._tell_that_it_is_left(f"The backup {made.name}", error)',
            "self.context.runs.forget_made_backup(rule.name, made.name)",
        ),
    ),
    PlantedBug(
        "a backup that cannot be removed ends the run",
        Promise.OTHERS,
        Change(_MADE, "except RdbkeeperError as error:", "except ArithmeticError as error:"),
    ),
)
