"""Rules that are denied something, or whose runs do not begin: seen, told, and let go on by themselves."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import RunFailed, SourceDenied, VaultDenied
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.status import Block, RunReport, RunState, show
from tests.flows.desk import NAME, Desk, new_rule
from tests.flows.requests import made
from tests.flows.world import World, make_rule

HOUR_S = 3600
DENIED = Block("VaultDenied", "PutObject failed: AccessDenied.", "Compare the role.", owes_run=True)


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    made(desk)
    return desk


def codes(answer: dict[str, list[dict[str, str]]], kind: str = "repairs") -> list[str]:
    return [record["code"] for record in answer[kind]]


def ran_just_now(desk: Desk) -> None:
    desk.tables.runs.record_run(NAME, RunReport("run-1", desk.clock.now(), RunState.SUCCEEDED))


def advance_to_hour(desk: Desk, hour: int) -> None:
    desk.clock.advance(HOUR_S)
    while desk.clock.now().hour != hour:
        desk.clock.advance(HOUR_S)


@pytest.mark.parametrize(
    "error", [SourceDenied("CopySnapshot: AccessDenied."), VaultDenied("PutObject: AccessDenied.")]
)
def test_a_backup_that_fails_for_lack_of_a_permission_blocks_its_rule(error: SourceDenied | VaultDenied) -> None:
    world = World()
    world.add_backup("one")
    if isinstance(error, SourceDenied):
        world.source.failing["one"] = error
    else:
        world.vault.failing["open_upload"] = [error]
    with pytest.raises(RunFailed):
        world.run()
    shown = show(world.rule, world.status(), world.clock.now())
    assert shown.state == "blocked" and shown.reason.startswith(error.code)


def test_a_source_that_denies_something_is_told_with_its_own_hint_and_a_vault_with_the_role() -> None:
    world = World()
    world.add_backup("one")
    world.source.failing["one"] = SourceDenied("The user may not run SYNC.", hint="Allow it: +sync")
    with pytest.raises(RunFailed):
        world.run()
    block = world.status().block
    assert block is not None and (block.message, block.hint) == ("The user may not run SYNC.", "Allow it: +sync")


@pytest.mark.parametrize(
    ("cycle", "goes_on"),
    [(Cycle("daily", "UTC", at="02:30"), "tried again every few hours"), (Cycle("manual", "UTC"), "start a run then")],
    ids=["daily", "manual"],
)
def test_a_rule_whose_vault_denies_something_is_told_how_it_goes_on(cycle: Cycle, goes_on: str) -> None:
    world = World(rule=make_rule(cycle=cycle))
    world.add_backup("one")
    world.vault.failing["open_upload"] = [VaultDenied("PutObject: AccessDenied.", hint="Allow s3:PutObject.")]
    with pytest.raises(RunFailed):
        world.run()
    block = world.status().block
    assert block is not None and block.message == "PutObject: AccessDenied."
    assert "role of the rule's function" in block.hint and goes_on in block.hint


def test_a_run_that_gets_through_ends_the_block() -> None:
    world = World()
    world.add_backup("one")
    world.vault.failing["open_upload"] = [VaultDenied("PutObject: AccessDenied.")]
    with pytest.raises(RunFailed):
        world.run()
    world.run()
    assert world.status().block is None


def test_a_rule_that_was_denied_something_is_tried_again_every_six_hours(desk: Desk) -> None:
    ran_just_now(desk)
    desk.tables.rules.record_block(NAME, DENIED)
    advance_to_hour(desk, 11)
    assert "RunRetried" not in codes(desk.reconcile().run())
    advance_to_hour(desk, 12)
    assert "RunRetried" in codes(desk.reconcile().run())
    assert len(desk.fleet.going[NAME]) == 1
    assert desk.tables.rules.find_status(NAME).block == DENIED  # the run itself finds out


def test_a_paused_rule_is_not_tried_again(desk: Desk) -> None:
    desk.tables.rules.record_block(NAME, DENIED)
    desk.register.pause(NAME)
    advance_to_hour(desk, 12)
    desk.reconcile().run()
    assert not desk.fleet.going.get(NAME)


def test_a_timer_that_fired_without_a_run_blocks_the_rule_and_starts_one(desk: Desk) -> None:
    ran_just_now(desk)
    desk.clock.advance(27 * HOUR_S)
    advance_to_hour(desk, 7)
    answer = desk.reconcile().run()
    assert "RunCaughtUp" in codes(answer)
    status = desk.tables.rules.find_status(NAME)
    assert status.block is not None and status.block.code == "RunDidNotStart"
    assert len(desk.fleet.going[NAME]) == 1
    desk.reconcile().run()
    assert len(desk.fleet.going[NAME]) == 1


def test_a_new_rules_alarm_tells_nobody_until_it_has_been_looked_at_for_some_hours() -> None:
    desk = Desk()
    desk.register.create(new_rule())
    alarm = desk.fleet.settings.alarm_name(NAME)
    assert desk.fleet.alarms[alarm].alarm.action_arns == ()
    desk.clock.advance(3 * HOUR_S)
    assert codes(desk.reconcile().run()) == []
    desk.clock.advance(HOUR_S)
    assert codes(desk.reconcile().run()) == ["AlarmSwitchedOn"]
    assert desk.fleet.alarms[alarm].alarm.action_arns != ()


def test_a_rule_that_somebody_is_making_at_this_moment_is_left_to_him() -> None:
    desk = Desk()
    desk.tables.rules.create_rule(new_rule(), 0)
    assert desk.reconcile().run()["line"] == "1 rules checked, 0 repairs, 0 reports, 0 failed"
    assert desk.rule().state is RuleState.CREATING
    desk.clock.advance(16 * 60)
    assert "CreateFinished" in codes(desk.reconcile().run())


def test_a_run_that_was_killed_is_put_down_as_ended_by_the_one_that_takes_over() -> None:
    world = World()
    killed = world.engine()
    world.tables.leases[NAME] = killed.execution
    going = RunReport(killed.execution.rsplit("/", 1)[-1], world.clock.now(), RunState.GOING)
    world.tables.runs.record_run(NAME, going)
    world.clock.advance(60)
    world.run()
    assert [run.state for run in world.history()] == [RunState.SUCCEEDED, RunState.FAILED]


def test_a_manual_rule_is_never_started_by_reconciling() -> None:
    desk = Desk()
    desk.register.create(new_rule(cycle=Cycle("manual", "UTC")))
    for block in (DENIED, Block("InstanceNotFound", "It is gone.", owes_run=True)):
        desk.tables.rules.record_block(NAME, block)
        advance_to_hour(desk, 12)
        desk.reconcile().run()
    assert not desk.fleet.going.get(NAME)


def test_a_rule_that_is_pointed_elsewhere_is_not_blocked_by_what_was_said_of_where_it_pointed(desk: Desk) -> None:
    desk.tables.rules.record_block(NAME, Block("InstanceNotFound", "There is no instance orders."))
    answer = desk.register.update(NAME, desk.rule().revision, RuleEdit(instance="sessions"))
    assert answer["rule"]["state"] == "active"


def test_a_defect_that_one_rules_block_brings_out_leaves_the_others_alone(desk: Desk) -> None:
    desk.register.create(new_rule("second", instance="sessions"))
    ran_just_now(desk)
    for name in (NAME, "second"):
        desk.tables.rules.record_block(name, Block("InstanceNotFound", "It is gone."))
    find = desk.tables.rules.find_rule

    def stumble(name: str) -> object:
        if name == NAME:
            raise KeyError(name)
        return find(name)

    desk.tables.rules.find_rule = stumble  # type: ignore[method-assign, assignment]
    answer = desk.reconcile().run()
    assert set(codes(answer, "failures")) == {"UnexpectedError"}
    assert {record["rule"] for record in answer["repairs"]} == {"second"}
