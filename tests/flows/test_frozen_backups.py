"""Runs that have writes frozen around their backup: in which order, what the copy is called, and that all thaw."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from rdbkeeper.domain.backup_first import BackupFirst, Freeze
from rdbkeeper.domain.copy import Manifest
from rdbkeeper.domain.errors import (
    BackupBusy,
    HookFailed,
    HookUnanswered,
    HookUncalled,
    LeaseLost,
    RunFailed,
    SourceDenied,
    SourceUnavailable,
    TableDenied,
)
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.ports import Record
from tests.fakes.engine import ProcessDied
from tests.flows.world import World, after_each, make_rule

RULE = "orders-nightly"
HOOKS = BackupFirst(freeze="stop", thaw="go-on", longest_freeze_s=60)
DEMANDING = BackupFirst(freeze="stop", thaw="go-on", longest_freeze_s=60, demands_application=True)
THERE = ["freeze", "thaw"]


class Application:
    """The owner's: what was done to its writes, in order, and with what each hook was called."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_frozen = False
        self.events: list[str] = []
        self.payloads: list[Record] = []
        self.frozen_s = 0.0
        self._since = 0.0
        world.adapters.hooks.functions = {"stop": self.freeze, "go-on": self.thaw}
        after_each(world.source, "request_backup", lambda: self.events.append("ask"))
        find = world.source.find_requested_backup

        def look(*args: Any) -> object:
            found = find(*args)
            if found is not None and found.state == "complete" and self.events[-1:] != ["there"]:
                self.events.append("there")
            return found

        world.source.find_requested_backup = look

    def freeze(self, payload: Record) -> None:
        self.payloads.append(payload)
        self.events.append("freeze")
        if not self.is_frozen:
            self._since = self.world.clock.monotonic()
        self.is_frozen = True

    def thaw(self, payload: Record) -> None:
        self.payloads.append(payload)
        self.events.append("thaw")
        if self.is_frozen:
            self.frozen_s += self.world.clock.monotonic() - self._since
        self.is_frozen = False


def new_world(wish: BackupFirst = HOOKS) -> tuple[World, Application]:
    world = World(rule=make_rule(backup_first=wish))
    return world, Application(world)


def raising(error: BaseException) -> Callable[..., Any]:
    def raise_it(*_: object) -> None:
        raise error

    return raise_it


def only_manifest(world: World) -> Manifest:
    (manifest,) = world.manifests().values()
    return manifest


def frozen_on_record(world: World) -> Freeze | None:
    return world.tables.runs.find_freeze(RULE)


def reasons(world: World) -> list[str]:
    return [outcome.reason for outcome in world.history()[0].outcomes]


def _steps_of_a_whole_run() -> int:
    world, _ = new_world()
    engine = world.engine()
    world.run(engine)
    return engine.steps_run


EVERY_STEP = range(_steps_of_a_whole_run())


def hang(world: World, seconds: float = 60) -> Callable[[Record], None]:
    """A hook that does not answer in time."""

    def wait_in_vain(_: Record) -> None:
        world.clock.advance(seconds)
        raise HookUnanswered("No answer within 60 s.")

    return wait_in_vain


def break_freeze(world: World) -> None:
    world.adapters.hooks.functions["stop"] = raising(HookFailed("No."))


def break_thaw(world: World) -> None:
    world.adapters.hooks.functions["go-on"] = raising(HookFailed("No."))


def hang_freeze(world: World) -> None:
    world.adapters.hooks.functions["stop"] = hang(world)


def fail_backup(world: World) -> None:
    world.source.fails_to_make_next = True


def slow_backup(world: World) -> None:
    world.source.looks_until_made = 10


def endless_backup(world: World) -> None:
    world.source.never_makes_next = True


def busy_instance(world: World) -> None:
    world.source.request_backup = raising(BackupBusy("Modifying."))


TROUBLES = [break_freeze, break_thaw, hang_freeze, fail_backup, slow_backup, endless_backup, busy_instance]


def test_writes_are_frozen_before_the_request_and_thawed_once_the_backup_is_there() -> None:
    world, application = new_world()
    world.run()
    assert application.events[:4] == ["freeze", "ask", "there", "thaw"]
    manifest = only_manifest(world)
    assert manifest.consistency == "application"
    assert manifest.consistency_reason == "writes were frozen by stop until the backup was complete"
    assert "Consistency application" in world.journal.text()
    assert frozen_on_record(world) is None and not application.is_frozen


def test_the_hooks_are_told_whose_writes_and_which_run() -> None:
    world, application = new_world()
    world.run()
    shared = {"rule": RULE, "provider": "elasticache", "instance": "orders", "run": "1"}
    assert application.payloads == [{**shared, "phase": "freeze"}, {**shared, "phase": "thaw"}]


def test_the_freeze_is_on_record_before_it_is_asked_for() -> None:
    world, _ = new_world()
    seen: list[Freeze | None] = []
    world.adapters.hooks.functions["stop"] = lambda _: seen.append(frozen_on_record(world))
    world.run()
    (freeze,) = seen
    assert freeze is not None
    assert (freeze.thaw, freeze.instance) == ("go-on", "orders")
    assert (freeze.until - freeze.since).total_seconds() == 60


@pytest.mark.parametrize("steps_done", EVERY_STEP)
def test_a_process_that_dies_after_any_step_has_thawed_at_its_end(steps_done: int) -> None:
    world, application = new_world()
    engine = world.engine()
    engine.dies_after = steps_done
    with pytest.raises(ProcessDied):
        world.run(engine)
    engine.begin_invocation()
    world.run(engine)
    assert not application.is_frozen and frozen_on_record(world) is None
    assert len(world.source.requests) == 1
    assert only_manifest(world).consistency in ("application", "point-in-time")


@pytest.mark.parametrize("wish", [HOOKS, DEMANDING], ids=["as it can", "demanding"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_whatever_troubles_it_a_run_that_dies_anywhere_ends_as_one_that_does_not(
    trouble: Callable[[World], None], wish: BackupFirst
) -> None:
    steps, steps_done = [""], 0
    while steps_done < len(steps):
        world, application = new_world(wish)
        trouble(world)
        engine = world.engine()
        engine.dies_after = steps_done
        with pytest.raises(ProcessDied):
            world.run(engine)
        engine.begin_invocation()
        with contextlib.suppress(RunFailed):
            world.run(engine)
        assert application.is_frozen is (trouble is break_thaw)
        assert (frozen_on_record(world) is not None) is (trouble is break_thaw)
        assert len(world.source.requests) <= 1
        assert world.tables.leases == {}
        steps, steps_done = [name for name, _ in engine.remembered], steps_done + 1


@pytest.mark.parametrize("steps_done", EVERY_STEP)
def test_what_a_stopped_run_froze_is_thawed_by_the_next_before_anything_else(steps_done: int) -> None:
    world, application = new_world()
    engine = world.engine()
    engine.dies_after = steps_done
    with pytest.raises(ProcessDied):
        world.run(engine)
    was_frozen, before = frozen_on_record(world) is not None, len(application.events)
    world.clock.advance(3600)
    world.run()
    assert not application.is_frozen and frozen_on_record(world) is None
    if was_frozen:
        assert application.events[before] == "thaw"


def test_what_a_killed_run_froze_is_thawed_by_the_next_although_its_rule_has_no_hooks_any_more() -> None:
    world, application = new_world()
    engine = world.engine()
    engine.dies_after = 4
    with pytest.raises(ProcessDied):
        world.run(engine)
    assert application.is_frozen
    world.clock.advance(3600)
    world.edit(backup_first=None)
    world.run()
    assert not application.is_frozen and frozen_on_record(world) is None


@pytest.mark.parametrize("hook", ["stop", "go-on"])
def test_a_process_that_dies_within_a_hook_is_followed_by_a_thaw(hook: str) -> None:
    world, application = new_world()
    act = world.adapters.hooks.functions[hook]

    def act_and_die(payload: Record) -> None:
        act(payload)
        world.adapters.hooks.functions[hook] = act
        raise ProcessDied

    world.adapters.hooks.functions[hook] = act_and_die
    engine = world.engine()
    with pytest.raises(ProcessDied):
        world.run(engine)
    assert frozen_on_record(world) is not None
    engine.begin_invocation()
    world.run(engine)
    assert not application.is_frozen and frozen_on_record(world) is None
    assert only_manifest(world).consistency == "application"


def test_a_freeze_that_is_repeated_gets_no_more_time_than_it_had() -> None:
    world, application = new_world()
    until = []

    def freeze_and_die(payload: Record) -> None:
        application.freeze(payload)
        until.append(frozen_on_record(world).until)
        if len(until) == 1:
            world.clock.advance(40)
            raise ProcessDied

    world.adapters.hooks.functions["stop"] = freeze_and_die
    engine = world.engine()
    with pytest.raises(ProcessDied):
        world.run(engine)
    engine.begin_invocation()
    world.run(engine)
    assert until[0] == until[1] and application.frozen_s <= 60 + 10


def test_a_freeze_whose_time_is_over_when_it_is_repeated_is_thawed_and_not_frozen_again() -> None:
    world, application = new_world()

    def freeze_and_die(payload: Record) -> None:
        application.freeze(payload)
        world.clock.advance(61)
        raise ProcessDied

    world.adapters.hooks.functions["stop"] = freeze_and_die
    engine = world.engine()
    with pytest.raises(ProcessDied):
        world.run(engine)
    engine.begin_invocation()
    world.run(engine)
    before_it_is_asked_for = application.events[: application.events.index("ask")]
    assert before_it_is_asked_for[0] == "freeze" and set(before_it_is_asked_for[1:]) == {"thaw"}
    assert only_manifest(world).consistency == "point-in-time"


def test_a_freeze_that_fails_is_thawed_and_the_run_falls_one_level_and_says_so() -> None:
    world, application = new_world()
    world.adapters.hooks.functions["stop"] = raising(HookFailed("It failed (Unhandled)."))
    world.run()
    assert application.events[:2] == ["thaw", "ask"]
    manifest = only_manifest(world)
    assert manifest.consistency == "point-in-time"
    assert manifest.consistency_reason == "writes could not be frozen: It failed (Unhandled)."
    assert "FreezeFailed" in world.journal.events() and frozen_on_record(world) is None
    assert "Consistency point-in-time: writes could not be frozen" in world.journal.text()


def test_writes_are_thawed_by_their_own_run_when_the_table_fails_once_they_are_frozen() -> None:
    world, application = new_world()
    record = world.tables.runs.record_freeze

    def refuse_once_frozen(rule: str, freeze: Freeze) -> None:
        if application.is_frozen:
            raise TableDenied("No permission.")
        record(rule, freeze)

    world.tables.runs.record_freeze = refuse_once_frozen
    with pytest.raises(RunFailed):
        world.run()
    assert application.events[:2] == ["freeze", "thaw"] and application.frozen_s == 0
    assert reasons(world) == ["TableDenied"] and not application.is_frozen and frozen_on_record(world) is None


def test_a_hook_whose_call_was_refused_has_frozen_nothing_and_leaves_nothing_to_thaw() -> None:
    world, application = new_world(DEMANDING)
    world.adapters.hooks.functions.clear()
    with pytest.raises(RunFailed):
        world.run()
    assert world.adapters.hooks.calls == [("stop", "freeze")]
    assert reasons(world) == ["ConsistencyMissed"] and frozen_on_record(world) is None
    assert "FreezeFailed" in world.journal.events() and "WritesStillFrozen" not in world.journal.events()
    world.adapters.hooks.functions = {"stop": application.freeze, "go-on": application.thaw}
    world.run()
    assert only_manifest(world).consistency == "application"


def test_a_refused_call_of_a_freeze_that_was_asked_for_before_is_followed_by_a_thaw() -> None:
    world, application = new_world()

    def freeze_and_die(payload: Record) -> None:
        application.freeze(payload)
        del world.adapters.hooks.functions["stop"]
        raise ProcessDied

    world.adapters.hooks.functions["stop"] = freeze_and_die
    engine = world.engine()
    with pytest.raises(ProcessDied):
        world.run(engine)
    engine.begin_invocation()
    world.run(engine)
    assert not application.is_frozen and frozen_on_record(world) is None


def test_a_hook_that_is_gone_when_it_is_to_thaw_fails_the_run_and_the_freeze_stays_on_record() -> None:
    world, _ = new_world()
    del world.adapters.hooks.functions["go-on"]
    with pytest.raises(RunFailed):
        world.run()
    assert reasons(world) == ["HookMissing", "Published"]
    assert frozen_on_record(world) is not None and "WritesStillFrozen" in world.journal.events()


def test_hooks_that_are_given_up_while_they_freeze_are_told_and_not_waited_for() -> None:
    world, _ = new_world()

    def give_up_hooks() -> None:
        del world.adapters.hooks.functions["go-on"]
        world.edit(backup_first=BackupFirst())

    after_each(world.source, "request_backup", give_up_hooks)
    with pytest.raises(RunFailed):
        world.run()
    assert reasons(world)[0] == "HookMissing" and "WritesStillFrozen" in world.journal.events()
    assert frozen_on_record(world) is None


def test_what_is_frozen_is_thawed_by_the_rules_present_hook_when_the_one_on_record_is_gone() -> None:
    world, application = new_world()
    now = world.clock.now()
    world.tables.runs.record_freeze(RULE, Freeze("goo-n", "orders", "another run", now, now))
    world.run()
    assert application.events[:2] == ["thaw", "freeze"]
    assert only_manifest(world).consistency == "application"


@pytest.mark.parametrize(
    "error", [SourceDenied("No permission."), BackupBusy("Modifying."), SourceUnavailable("No answer.")], ids=str
)
def test_a_request_that_is_refused_is_followed_by_a_thaw_at_once(error: Exception) -> None:
    world, application = new_world()
    world.source.request_backup = raising(error)
    if isinstance(error, BackupBusy):
        world.run()
    else:
        with pytest.raises(RunFailed):
            world.run()
    assert application.events[:2] == ["freeze", "thaw"] and not application.is_frozen
    assert application.frozen_s == 0 and frozen_on_record(world) is None
    assert reasons(world) == [type(error).__name__]


def test_a_request_that_only_goes_through_later_is_made_unfrozen_and_says_so() -> None:
    world, application = new_world()
    request, failures = world.source.request_backup, iter([SourceUnavailable("No answer.")])

    def fail_once(*args: Any) -> None:
        for error in failures:
            raise error
        request(*args)

    world.source.request_backup = fail_once
    world.run()
    assert application.events[:3] == ["freeze", "thaw", "ask"]
    manifest = only_manifest(world)
    assert manifest.consistency == "point-in-time" and "No answer." in manifest.consistency_reason


def test_a_backup_that_fails_is_followed_by_a_thaw() -> None:
    world, application = new_world()
    world.source.fails_to_make_next = True
    with pytest.raises(RunFailed):
        world.run()
    assert application.events[:3] == ["freeze", "ask", "thaw"]
    assert reasons(world) == ["BackupNotMade"] and frozen_on_record(world) is None


def test_a_backup_that_takes_longer_than_writes_may_be_frozen_falls_one_level() -> None:
    world, application = new_world()
    world.source.looks_until_made = 10
    world.run()
    assert application.events[:4] == ["freeze", "ask", "thaw", "there"]
    assert 60 <= application.frozen_s <= 60 + 10
    manifest = only_manifest(world)
    assert manifest.consistency == "point-in-time"
    assert manifest.consistency_reason == "the backup was not seen complete within 1 min 0 s, and writes were let go on"


def test_a_backup_that_is_seen_too_late_is_not_called_the_applications() -> None:
    world, application = new_world()
    look = world.source.find_requested_backup

    def look_for_long(*args: Any) -> object:
        found = look(*args)
        if application.is_frozen and found is not None:
            world.clock.advance(61)
        return found

    world.source.find_requested_backup = look_for_long
    world.source.looks_until_made = 1
    world.run()
    assert application.events[:4] == ["freeze", "ask", "there", "thaw"]
    assert only_manifest(world).consistency == "point-in-time"


def test_a_freeze_whose_time_is_over_is_thawed_before_anybody_is_asked_anything() -> None:
    world, application = new_world()
    after_each(world.source, "request_backup", lambda: world.clock.advance(61))
    world.source.looks_until_made = 1
    world.run()
    assert application.events[:4] == ["freeze", "ask", "thaw", "there"]
    assert only_manifest(world).consistency == "point-in-time"


def test_writes_that_somebody_thawed_meanwhile_make_no_application_of_it() -> None:
    world, _ = new_world()
    after_each(world.source, "request_backup", world.tables.freeze_records.clear)
    world.run()
    manifest = only_manifest(world)
    assert manifest.consistency == "point-in-time"
    assert manifest.consistency_reason == "writes may have gone on before the backup was complete"


def test_a_run_that_lost_its_lease_thaws_what_it_froze() -> None:
    world, application = new_world()
    after_each(world.source, "request_backup", world.steal_lease)
    with pytest.raises(LeaseLost):
        world.run()
    assert not application.is_frozen and frozen_on_record(world) is None
    assert world.outcomes() == {}, "what a run without its lease met is no outcome"


def test_a_run_whose_rule_is_deleted_while_writes_are_frozen_thaws_them() -> None:
    world, application = new_world()
    after_each(world.source, "request_backup", lambda: world.edit(state=RuleState.DELETING))
    assert world.run()["refused"] == "RuleGone"
    assert not application.is_frozen and frozen_on_record(world) is None


def test_a_defect_while_writes_are_frozen_is_followed_by_a_thaw() -> None:
    world, application = new_world()
    world.source.looks_until_made = 10**6
    find = world.source.find_requested_backup

    def gone(*args: Any) -> object:
        if application.is_frozen and application.events[-1] == "ask":
            raise SourceDenied("The permission was taken away.")
        return find(*args)

    world.source.find_requested_backup = gone
    with pytest.raises(RunFailed):
        world.run()
    assert application.events[:3] == ["freeze", "ask", "thaw"] and not application.is_frozen


def test_a_thaw_that_fails_is_told_fails_the_run_and_is_tried_again_by_the_next() -> None:
    world, application = new_world()
    world.adapters.hooks.functions["go-on"] = raising(HookFailed("It failed (Unhandled)."))
    with pytest.raises(RunFailed):
        world.run()
    assert "WritesStillFrozen" in world.journal.events()
    assert reasons(world) == ["HookFailed", "Published"]
    assert only_manifest(world).consistency == "application", "nothing was written before the backup was there"
    assert frozen_on_record(world) is not None
    world.adapters.hooks.functions["go-on"] = application.thaw
    world.clock.advance(3600)
    before = len(application.events)
    world.run()
    assert application.events[before : before + 3] == ["thaw", "freeze", "ask"]
    assert frozen_on_record(world) is None


@pytest.mark.parametrize("hook", ["stop", "go-on"])
def test_a_hook_that_hangs_counts_as_failed_and_the_run_ends(hook: str) -> None:
    world, application = new_world()
    world.adapters.hooks.functions[hook] = hang(world)
    if hook == "stop":
        world.run()
        assert not application.is_frozen and "No answer within 60 s." in only_manifest(world).consistency_reason
    else:
        with pytest.raises(RunFailed):
            world.run()
        assert frozen_on_record(world) is not None and reasons(world)[0] == "HookUnanswered"
    assert world.tables.leases == {}


def test_a_thaw_is_tried_again_before_it_counts_as_failed() -> None:
    world, application = new_world()
    failures = iter([HookFailed("Throttled."), HookFailed("Throttled.")])

    def fail_twice(payload: Record) -> None:
        for error in failures:
            raise error
        application.thaw(payload)

    world.adapters.hooks.functions["go-on"] = fail_twice
    world.run()
    assert only_manifest(world).consistency == "application" and not application.is_frozen


def test_while_an_earlier_freeze_cannot_be_thawed_nothing_more_is_frozen_and_it_is_not_forgotten() -> None:
    world, application = new_world()
    left = Freeze("their-thaw", "sessions", "a run before", world.clock.now(), world.clock.now())
    world.tables.runs.record_freeze(RULE, left)
    world.adapters.hooks.functions |= dict.fromkeys(("their-thaw", "go-on"), raising(HookFailed("No.")))
    world.run()
    assert frozen_on_record(world) == left
    assert application.events[0] == "ask" and "freeze" not in application.events
    assert "sessions" in only_manifest(world).consistency_reason


@pytest.mark.parametrize("trouble", ["freeze", "time", "thawed"])
def test_a_rule_that_demands_it_fails_when_its_application_is_not_what_it_gets(trouble: str) -> None:
    world, application = new_world(DEMANDING)
    if trouble == "freeze":
        world.adapters.hooks.functions["stop"] = raising(HookFailed("No."))
    elif trouble == "time":
        world.source.looks_until_made = 10
    else:
        after_each(world.source, "request_backup", world.tables.freeze_records.clear)
    with pytest.raises(RunFailed):
        world.run()
    assert reasons(world)[0] == "ConsistencyMissed"
    if trouble == "freeze":
        assert world.copied_backups() == [] and "ask" not in application.events
    else:
        assert only_manifest(world).consistency == "point-in-time", "what was made is copied, and says what it is"


def test_a_rule_that_demands_it_asks_for_nothing_else_when_the_request_fails() -> None:
    world, application = new_world(DEMANDING)
    world.source.request_backup = raising(BackupBusy("Modifying."))
    with pytest.raises(RunFailed):
        world.run()
    assert application.events == ["freeze", "thaw"] and reasons(world) == ["BackupBusy"]


def test_a_rule_that_demands_it_asks_for_no_unfrozen_backup_when_the_first_request_fails() -> None:
    world, application = new_world(DEMANDING)
    request, failures = world.source.request_backup, iter([SourceUnavailable("No answer.")])

    def fail_once(*args: Any) -> None:
        for error in failures:
            raise error
        request(*args)

    world.source.request_backup = fail_once
    with pytest.raises(RunFailed):
        world.run()
    assert application.events == ["freeze", "thaw"] and reasons(world) == ["SourceUnavailable"]


def test_a_rule_that_demands_it_is_content_with_a_frozen_backup() -> None:
    world, _ = new_world(DEMANDING)
    world.run()
    assert only_manifest(world).consistency == "application"


def test_one_function_may_be_both_hooks() -> None:
    world, application = new_world(BackupFirst("gate", "gate"))
    world.adapters.hooks.functions["gate"] = lambda payload: getattr(application, payload["phase"])(payload)
    world.run()
    assert [event for event in application.events if event in THERE] == THERE
    assert only_manifest(world).consistency == "application"


def test_no_hook_is_given_more_time_than_writes_may_be_frozen() -> None:
    world, _ = new_world(BackupFirst("stop", "go-on", longest_freeze_s=5))
    given: list[float] = []
    call = world.adapters.hooks.call
    world.adapters.hooks.call = lambda *args: given.append(args[2]) or call(*args)
    world.run()
    assert given[0] == 5 and given[1] <= 60


def test_what_was_frozen_once_is_not_lost_when_the_copy_is_made_by_a_later_run() -> None:
    world, _ = new_world()
    world.source.cut_at["0001"] = 10
    with pytest.raises(RunFailed):
        world.run()
    world.source.cut_at.clear()
    world.edit(backup_first=None)
    world.run()
    assert only_manifest(world).consistency == "application"


UNCALLED = HookUncalled("Calling the hook stop to freeze writes failed: AccessDeniedException.", hint="Allow it.")


def test_a_run_whose_hooks_cannot_be_called_says_in_its_line_that_its_backup_is_less_consistent() -> None:
    world, _ = new_world()
    world.adapters.hooks.functions["stop"] = raising(UNCALLED)
    world.run()
    run = world.history()[0]
    assert run.state == "succeeded"
    assert "1 backup found" in run.line and "1 copied" in run.line
    assert "0 failed, 1 less consistent than its hooks would make it (HookUncalled)" in run.line
    told = next(outcome for outcome in run.outcomes if outcome.status == "less consistent")
    assert (told.reason, told.message_and_hint[1]) == ("HookUncalled", "Allow it.")


def test_a_run_whose_writes_were_let_go_on_too_early_says_so_in_its_line() -> None:
    world, _ = new_world()
    world.source.looks_until_made = 10
    world.run()
    assert "1 less consistent than its hooks would make it (ConsistencyMissed)" in world.history()[0].line


def test_a_run_that_asked_for_nothing_passes_on_what_to_do_about_the_hook() -> None:
    world, _ = new_world(DEMANDING)
    world.adapters.hooks.functions["stop"] = raising(UNCALLED)
    with pytest.raises(RunFailed):
        world.run()
    (told,) = [outcome for outcome in world.history()[0].outcomes if outcome.reason == "ConsistencyMissed"]
    message, hint = told.message_and_hint
    assert message.endswith("freezing failed: Calling the hook stop to freeze writes failed: AccessDeniedException.")
    assert hint == "Allow it."


def test_a_run_with_hooks_that_work_says_nothing_of_them_in_its_line() -> None:
    world, _ = new_world()
    world.run()
    assert "consistent" not in world.history()[0].line
