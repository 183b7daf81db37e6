"""Writes that stay frozen: whom it is told, and what functions that hang cost everything else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from rdbkeeper.domain.backup import Backup, BackupState
from rdbkeeper.domain.backup_first import Freeze
from rdbkeeper.domain.errors import HookFailed, HookUnanswered, RdbkeeperError, RunFailed, VaultUnavailable
from rdbkeeper.domain.metrics import HOURS_OVERDUE, WRITES_STILL_FROZEN
from rdbkeeper.domain.status import RunState
from rdbkeeper.ports import Record
from tests.flows.desk import NAME, Desk
from tests.flows.requests import made
from tests.flows.test_frozen_backups import new_world, raising
from tests.flows.world import World, after_each

LOOK_S = 900.0


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    made(desk)
    desk.adapters.hooks.functions = {"go-on": lambda _: None, "broken": raising(HookFailed("It failed (Unhandled)."))}
    return desk


def leave_frozen(desk: Desk, name: str = NAME, thaw: str = "broken", since_s: float = 3600) -> None:
    """What a run has frozen for a minute that was killed."""
    since = desk.clock.now() - timedelta(seconds=since_s)
    freeze = Freeze(thaw, f"instance-of-{name}", "killed", since, since + timedelta(seconds=60))
    desk.tables.runs.record_freeze(name, freeze)


def hang(desk: Desk) -> Callable[[Record], None]:
    def hang(_: Record) -> None:
        desk.clock.advance(60)
        raise HookUnanswered("No answer within 60 s.")

    return hang


def look(desk: Desk) -> Record:
    """A reconciling whose invocation has as long as Lambda gives it."""
    begun = desk.clock.monotonic()
    reconcile = desk.reconcile()
    object.__setattr__(reconcile, "seconds_left", lambda: LOOK_S - (desk.clock.monotonic() - begun))
    return reconcile.run()


def measured(desk: Desk) -> list[float]:
    return [value for metric, value, _ in desk.journal.measures if metric == WRITES_STILL_FROZEN]


def called(desk: Desk) -> list[str]:
    return [function for function, _ in desk.adapters.hooks.calls]


# ------------------------------------------------------------------ alarm


def test_each_look_measures_how_much_it_could_not_thaw(desk: Desk) -> None:
    look(desk)
    leave_frozen(desk, "works", thaw="go-on")
    look(desk)
    leave_frozen(desk, "first")
    leave_frozen(desk, "second")
    for _ in range(2):
        look(desk)
    desk.adapters.hooks.functions["broken"] = lambda _: None
    look(desk)
    assert measured(desk) == [0, 0, 2, 2, 0]


def test_what_nobody_can_thaw_any_more_is_measured_once(desk: Desk) -> None:
    leave_frozen(desk, thaw="gone")
    look(desk)
    look(desk)
    assert measured(desk) == [1, 0]


def test_what_a_run_has_frozen_within_its_time_is_not_measured(desk: Desk) -> None:
    execution = desk.fleet.begin_run(NAME)
    desk.tables.runs.take_lease(NAME, execution, None, desk.clock.now())
    now = desk.clock.now()
    desk.tables.runs.record_freeze(NAME, Freeze("broken", "orders", execution, now, now + timedelta(seconds=60)))
    look(desk)
    assert measured(desk) == [0] and called(desk) == []


def test_a_dry_run_measures_nothing(desk: Desk) -> None:
    leave_frozen(desk)
    desk.reconcile().run(dry_run=True)
    assert measured(desk) == []


# ------------------------------------------------------------- get and list


def shown(desk: Desk) -> list[Record | None]:
    (listed,) = desk.show.list("", 10)["rules"]
    return [desk.shown()["still_frozen"], listed["still_frozen"]]


def test_a_rule_shows_writes_that_are_frozen_for_longer_than_they_may_be(desk: Desk) -> None:
    assert shown(desk) == [None, None]
    leave_frozen(desk, since_s=59)
    assert shown(desk) == [None, None]
    desk.clock.advance(1)
    frozen = {"instance": f"instance-of-{NAME}", "since": "2026-11-21T02:59:01+00:00", "thaw": "broken"}
    assert shown(desk) == [frozen, frozen]


def test_writes_that_a_run_thaws_again_and_again_are_not_shown(desk: Desk) -> None:
    now = desk.clock.now()
    until, late_until = now + timedelta(seconds=60), now + timedelta(minutes=20)
    desk.tables.runs.record_freeze(NAME, Freeze("go-on", "orders", "going", now, until, late_until))
    desk.clock.advance(1199)
    assert shown(desk) == [None, None]
    desk.clock.advance(1)
    assert None not in shown(desk)


# ------------------------------------------------------- functions that hang


def test_functions_that_hang_are_called_after_measuring_and_leave_reconciling_half_of_its_time(desk: Desk) -> None:
    begun, measures = desk.clock.monotonic(), []
    desk.journal.measure = lambda metric, *_: measures.append((metric, desk.clock.monotonic() - begun))
    for number in range(40):
        leave_frozen(desk, f"rule-{number}", thaw=f"hangs-{number}")
        desk.adapters.hooks.functions[f"hangs-{number}"] = hang(desk)
    answer = look(desk)
    assert measures[0] == (HOURS_OVERDUE, 0.0)
    assert desk.clock.monotonic() - begun <= LOOK_S / 2 + 60
    assert len(answer["failures"]) == 40 and 0 < len(called(desk)) < 20
    assert desk.journal.events().count("WritesStillFrozen") == 40
    assert "no time was left" in desk.journal.text()


def test_a_function_that_hangs_for_one_instance_is_called_for_the_others(desk: Desk) -> None:
    hangs = hang(desk)
    desk.adapters.hooks.functions["shared"] = lambda payload: (
        hangs(payload) if payload["instance"] == "instance-of-down" else None
    )
    for number in range(15):
        leave_frozen(desk, f"rule-{number}", thaw="shared", since_s=7200)
    leave_frozen(desk, "down", thaw="shared")
    assert [failure["rule"] for failure in look(desk)["failures"]] == ["down"]
    assert list(desk.tables.freeze_records) == ["down"]


def test_a_function_that_fails_at_once_is_called_for_every_rule(desk: Desk) -> None:
    for number in range(15):
        leave_frozen(desk, f"rule-{number}")
    look(desk)
    assert len(called(desk)) == 15


def test_what_was_frozen_last_is_thawed_first(desk: Desk) -> None:
    for number in range(40):
        leave_frozen(desk, f"hangs-{number}", thaw=f"hangs-{number}", since_s=7200)
        desk.adapters.hooks.functions[f"hangs-{number}"] = hang(desk)
    leave_frozen(desk, "works", thaw="go-on")
    look(desk)
    assert desk.tables.runs.find_freeze("works") is None and len(desk.tables.freeze_records) == 40


def test_no_function_is_called_for_longer_than_there_is_time(desk: Desk) -> None:
    waited: list[float] = []
    desk.adapters.hooks.call = lambda function, payload, longest_s: waited.append(longest_s)
    leave_frozen(desk)
    desk.seconds_left = 70.0
    desk.reconcile().end()
    assert waited == [40.0]


def test_what_the_end_of_the_stack_has_no_time_to_thaw_is_told(desk: Desk) -> None:
    leave_frozen(desk, thaw="go-on")
    desk.seconds_left = 34.0
    assert [failure["code"] for failure in desk.reconcile().end()["failures"]] == ["HookUncalled"]
    assert called(desk) == [] and desk.tables.runs.find_freeze(NAME) is not None
    assert "WritesStillFrozen" in desk.journal.events()


# --------------------------------------------------------- a run's own history


def once_made(world: World, meet: Callable[[], object]) -> None:
    """Something happens when the backup that was asked for is there."""
    find = world.source.find_requested_backup

    def find_and_meet(*given: Any) -> Backup | None:
        found = find(*given)
        if found is not None and found.state is BackupState.COMPLETE:
            meet()
        return found

    world.source.find_requested_backup = find_and_meet  # type: ignore[method-assign]


def make_unavailable(world: World) -> None:
    once_made(world, lambda: world.source.set_status("orders", "deleting", available=False))


def deny_vault(world: World) -> None:
    once_made(world, lambda: setattr(world.vault, "catalog", raising(VaultUnavailable("No answer."))))


def point_elsewhere(world: World) -> None:
    after_each(world.vault, "put_part", lambda: world.edit(prefix="elsewhere/"))


@pytest.mark.parametrize(
    "meet, error", [(make_unavailable, RunFailed), (deny_vault, VaultUnavailable), (point_elsewhere, RunFailed)]
)
def test_a_thaw_that_failed_is_in_the_history_however_the_run_ends(
    meet: Callable[[World], None], error: type[RdbkeeperError]
) -> None:
    world, application = new_world()
    world.adapters.hooks.functions["go-on"] = raising(HookFailed("No."))
    meet(world)
    with pytest.raises(error):
        world.run()
    run = world.history()[0]
    assert application.is_frozen and run.state is RunState.FAILED
    assert [outcome.reason for outcome in run.outcomes] == ["HookFailed"]
    assert world.tables.leases == {}


def test_a_run_that_is_put_off_after_nothing_went_wrong_does_not_fail() -> None:
    world, application = new_world()
    make_unavailable(world)
    assert world.run()["refused"] == "InstanceNotAvailable"
    run = world.history()[0]
    assert (run.state, run.outcomes, application.is_frozen) == (RunState.POSTPONED, (), False)
