"""Whatever the fleet looks like: a plan that is carried out leaves nothing to plan, and touches only what is ours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.fleet.changes import Change, LeaveAlone
from rdbkeeper.domain.fleet.parts import AlarmFound, FunctionFound, ScheduleFound, Version
from rdbkeeper.domain.fleet.plan import plan_end
from rdbkeeper.domain.fleet.settings import schedule_names
from rdbkeeper.domain.fleet.wanted import wanted_alarm, wanted_function, wanted_schedules
from rdbkeeper.domain.rule import Rule, RuleState
from tests.fakes.fleet_parts import LATER, SETTINGS, STRANGE_SETTINGS, strange_alarm
from tests.flows.world import make_rule
from tests.unit.fleet_model import PROTOTYPE, ModelFleet

NAMES = ("a", "b", "c", "stray")
ARN = "arn:aws:iam::000000000000:role/reader"
BEFORE = replace(PROTOTYPE, code_sha256="code-0")
NOW_DEPLOYED = replace(PROTOTYPE, stack=replace(SETTINGS, rule_role_arns=(ARN,)))
CYCLES = (
    Cycle("daily", "UTC", at="02:30"),
    Cycle("custom", "UTC", cron="0 3 1 * MON"),
    Cycle("custom", "UTC", cron="rate(6 hours)"),
    Cycle("manual", "UTC"),
)
_cycles = st.sampled_from(CYCLES)
_moments = st.integers(0, 3).map(lambda hours: datetime(2026, 11, 20, hours, tzinfo=UTC))


@st.composite
def rules(draw: st.DrawFn, name: str) -> Rule:
    return make_rule(
        name,
        cycle=draw(_cycles),
        state=draw(st.sampled_from(RuleState)),
        role=draw(st.sampled_from(("", "", "reader", "not-allowed"))),
    )


@st.composite
def functions(draw: st.DrawFn, name: str) -> FunctionFound:
    """The function under a rule's name, however it came to be as it is; now and then somebody else's."""
    owner = draw(st.sampled_from((name, name, name, None, "b")))
    if owner is None:
        return FunctionFound(SETTINGS.function_name(name), None, STRANGE_SETTINGS, "strange")
    past = [wanted_function(make_rule(name), prototype) for prototype in (BEFORE, PROTOTYPE)] + [STRANGE_SETTINGS]
    codes = st.sampled_from(("code-0", "code-1"))
    count = draw(st.integers(0, 3))
    versions = tuple(Version(number + 1, draw(st.sampled_from(past)), draw(codes)) for number in range(count))
    return FunctionFound(
        SETTINGS.function_name(name),
        owner,
        draw(st.sampled_from(past)),
        draw(codes),
        versions,
        draw(st.integers(0, count)),
    )


@st.composite
def fleets(draw: st.DrawFn) -> ModelFleet:
    """Any part of what rules may want, as it is wanted, or not."""
    fleet = ModelFleet(NOW_DEPLOYED)
    for name in NAMES:
        stack, rule = fleet.prototype.stack, make_rule(name, cycle=draw(_cycles))
        if draw(st.booleans()):
            fleet.functions[stack.function_name(name)] = draw(functions(name))
        for schedule in wanted_schedules(rule, fleet.prototype):
            if draw(st.booleans()):
                found = ScheduleFound(
                    schedule.name,
                    draw(st.booleans()),
                    schedule.target_arn,
                    draw(_moments),
                    draw(st.sampled_from((schedule.fingerprint, "another"))),
                )
                fleet.schedules[schedule.name] = found
        alarm = draw(st.sampled_from((wanted_alarm(rule, stack, LATER), strange_alarm(stack.alarm_name(name)), None)))
        if alarm is not None:
            fleet.alarms[alarm.name] = AlarmFound(alarm, draw(st.sampled_from((name, name, None))))
        if draw(st.booleans()):
            fleet.log_groups[stack.log_group(name)] = draw(st.sampled_from((0, 30, 90)))
    return fleet


_registries = st.tuples(*(st.none() | rules(name) for name in NAMES[:3])).map(
    lambda found: [rule for rule in found if rule is not None]
)
_deleted = st.sets(st.sampled_from(NAMES[:3]))
_any = settings(max_examples=100, deadline=None, derandomize=True)


@_any
@given(_registries, _deleted, fleets())
def test_a_plan_that_is_carried_out_leaves_only_reports(
    rules: list[Rule], deleted: set[str], fleet: ModelFleet
) -> None:
    for _ in range(2):  # versions are old once the alias is elsewhere
        fleet.carry_out(fleet.plan(rules, deleted))
    assert _left(fleet.plan(rules, deleted)) == []


@_any
@given(_registries, _deleted, fleets())
def test_a_plan_by_a_listing_leaves_nothing_that_a_listing_shows(
    rules: list[Rule], deleted: set[str], fleet: ModelFleet
) -> None:
    for name, function in fleet.functions.items():
        if function.versions:  # no listing shows whether there is an alias; a fire that it misses does
            fleet.functions[name] = replace(function, alias_version=function.alias_version or 1)
    fleet.carry_out(fleet.plan(rules, deleted, closely=False))
    assert _left(fleet.plan(rules, deleted, closely=False)) == []


@_any
@given(_registries, _deleted, fleets())
def test_a_plan_touches_only_what_is_ours_and_explained(
    rules: list[Rule], deleted: set[str], fleet: ModelFleet
) -> None:
    before = fleet.closely()
    known = deleted | {rule.name for rule in rules}
    for _ in range(3):
        fleet.carry_out(fleet.plan(rules, deleted))
    for name, function in before.functions.items():
        if function.rule not in known or name != SETTINGS.function_name(function.rule or ""):
            assert fleet.functions[name] == function
    for name, alarm in before.alarms.items():
        if alarm.rule not in known:
            assert fleet.alarms[name] == alarm
    assert set(before.log_groups) <= set(fleet.log_groups)
    for name in schedule_names("stray"):
        assert fleet.schedules.get(name) == before.schedules.get(name)


@_any
@given(_registries, fleets())
def test_every_rule_that_is_not_blocked_by_somebody_else_gets_what_it_wants(
    rules: list[Rule], fleet: ModelFleet
) -> None:
    for _ in range(3):
        fleet.carry_out(fleet.plan(rules))
    reported = {change.rule for change in fleet.plan(rules)}
    stack = fleet.prototype.stack
    for rule in rules:
        if rule.name in reported:
            continue
        there = {name for name in fleet.schedules if name in schedule_names(rule.name)}
        function = fleet.functions.get(stack.function_name(rule.name))
        if rule.state is RuleState.DELETING:
            assert (function, there) == (None, set())
            continue
        assert function is not None and function.settings == wanted_function(rule, fleet.prototype)
        assert function.alias_version == function.versions[-1].number
        assert len(function.versions) == 1
        assert there == {schedule.name for schedule in wanted_schedules(rule, fleet.prototype)}
        assert {fleet.schedules[name].enabled for name in there} <= {rule.state is not RuleState.PAUSED}
        assert (stack.alarm_name(rule.name) in fleet.alarms) == (rule.cycle.kind != "manual")


@_any
@given(fleets())
def test_at_the_stacks_end_nothing_of_it_is_left_but_what_is_misplaced(fleet: ModelFleet) -> None:
    fleet.carry_out(plan_end(SETTINGS, fleet.closely()))
    assert fleet.schedules == {}
    for name, function in fleet.functions.items():
        assert function.rule is None or name != SETTINGS.function_name(function.rule)
    assert all(found.rule is None for found in fleet.alarms.values())


@_any
@given(_registries, fleets(), st.integers(0, 30))
def test_a_plan_that_was_cut_off_anywhere_is_gone_on_with(rules: list[Rule], fleet: ModelFleet, done: int) -> None:
    fleet.carry_out(fleet.plan(rules)[:done])
    fleet.now += timedelta(hours=1)
    for _ in range(3):
        fleet.carry_out(fleet.plan(rules))
    assert _left(fleet.plan(rules)) == []


def _left(changes: list[Change]) -> list[Change]:
    """What a plan would still do."""
    return [change for change in changes if not isinstance(change, LeaveAlone)]
