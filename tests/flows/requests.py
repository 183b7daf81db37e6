"""What people and the hourly reconciling ask for, each in the world in which it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import NameTaken, RevisionStale
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.status import block_for_missing_instance, owe_run
from rdbkeeper.ports import Record
from tests.flows.desk import ARCHIVIST, NAME, Desk, Through, directly, new_rule

BOTH_DAYS = Cycle("custom", "UTC", cron="0 3 1 * MON")
MANUAL = Cycle("manual", "UTC")
AS_CREATED = 2  # the revision of a rule once it is made

Send = Callable[[Desk, Through, int], Record]
"""Asks once, through what may go wrong; the revision is the one that the person has read."""


@dataclass(frozen=True)
class Request:
    """What somebody asks for, and what was there before."""

    prepare: Callable[[Desk], object]
    send: Send

    def world(self) -> Desk:
        desk = Desk()
        self.prepare(desk)
        return desk

    def repeat(self, desk: Desk) -> Record:
        """Ask again, and do what the hints say where the first time was undone, or half undone."""
        try:
            return self.send(desk, directly, AS_CREATED)
        except RevisionStale:
            assert desk.rule().revision > AS_CREATED + 1, "what was not undone is not to be taken for somebody else's"
            return self.send(desk, directly, desk.rule().revision)
        except NameTaken:
            assert desk.rule().state is RuleState.DELETING
            desk.register.delete(NAME)
            return self.send(desk, directly, AS_CREATED)


# ------------------------------------------------------------------- worlds


def nothing(_: Desk) -> None:
    pass


def made(desk: Desk) -> None:
    """As a create leaves it, in a fraction of its time."""
    desk.tables.rules.create_rule(new_rule(state=RuleState.ACTIVE, revision=AS_CREATED), 0)
    desk.work().claim_place(desk.rule())
    desk.work().follow(NAME)


def made_and_running(desk: Desk) -> None:
    made(desk)
    desk.fleet.begin_run(NAME)
    desk.leave_upload_open()


def paused(desk: Desk) -> None:
    desk.tables.rules.create_rule(new_rule(state=RuleState.PAUSED, revision=AS_CREATED), 0)
    desk.work().claim_place(desk.rule())
    desk.work().follow(NAME)
    desk.clock.advance(3600)


def tampered_with(desk: Desk) -> None:
    made(desk)
    desk.fleet.delete_function_by_hand(NAME)
    desk.fleet.change_schedule_by_hand(NAME, expression="rate(1 minute)")
    desk.fleet.delete_alarm_by_hand(NAME)
    desk.fleet.set_retention_by_hand(NAME, 0)


def deployed_anew(desk: Desk) -> None:
    made(desk)
    desk.fleet.deploy("code-2", memory_mb=2048)


def half_created(desk: Desk) -> None:
    desk.tables.rules.create_rule(new_rule(), desk.tables.registry_revision)
    desk.clock.advance(3600)  # longer than any request lasts, so nobody is at it any more


def half_deleted(desk: Desk) -> None:
    made_and_running(desk)
    rule = desk.rule()
    deleting = replace(rule, state=RuleState.DELETING, revision=rule.revision + 1)
    desk.tables.rules.replace_rule(deleting, rule.revision)


def owing_a_run(desk: Desk) -> None:
    made(desk)
    desk.tables.rules.record_block(NAME, owe_run(block_for_missing_instance(desk.rule())))


# ----------------------------------------------------------------- requests


def create(desk: Desk, through: Through, _: int) -> Record:
    return desk.actions(through).register.create(new_rule())


def create_elsewhere(desk: Desk, through: Through, _: int) -> Record:
    return desk.actions(through).register.create(new_rule(prefix="elsewhere/"))


def update(**edit: object) -> Send:
    return lambda desk, through, revision: desk.actions(through).register.update(NAME, revision, RuleEdit(**edit))


def pause(desk: Desk, through: Through, _: int) -> Record:
    return desk.actions(through).register.pause(NAME)


def resume(desk: Desk, through: Through, _: int) -> Record:
    return desk.actions(through).register.resume(NAME)


def run(desk: Desk, through: Through, _: int) -> Record:
    return desk.actions(through).start.run(NAME, "today")


def delete(desk: Desk, through: Through, _: int) -> Record:
    return desk.actions(through).register.delete(NAME)


def delete_and_create_anew(desk: Desk, through: Through, revision: int) -> Record:
    delete(desk, through, revision)
    return create_elsewhere(desk, through, revision)


def reconcile(desk: Desk, through: Through, _: int) -> Record:
    return desk.reconcile(through).run()


def end(desk: Desk, through: Through, _: int) -> Record:
    return desk.reconcile(through).end()


REQUESTS = {
    "create": Request(nothing, create),
    "update the cycle": Request(made, update(cycle=BOTH_DAYS)),
    "update to manual": Request(made, update(cycle=MANUAL)),
    "update the place": Request(made, update(instance="sessions", prefix="elsewhere/")),
    "update the role": Request(made, update(role=ARCHIVIST)),
    "pause": Request(made, pause),
    "resume": Request(paused, resume),
    "run": Request(made, run),
    "delete": Request(made_and_running, delete),
    "reconcile what was tampered with": Request(tampered_with, reconcile),
    "reconcile after a deploy": Request(deployed_anew, reconcile),
    "reconcile a half creation": Request(half_created, reconcile),
    "reconcile a half deletion": Request(half_deleted, reconcile),
    "reconcile what owes a run": Request(owing_a_run, reconcile),
}
