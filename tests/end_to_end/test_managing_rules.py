"""The rules function as a person calls it: events in, answers out, and nothing changed on an error."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import chain, pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.demo.world import EVENTS, Made, World
from tests.end_to_end.asking import CREATE, Answer, ask, create_event, read_event, send, show
from tests.end_to_end.by_hand import held_exports
from tests.end_to_end.conftest import ORDERS
from tests.local_cloud.server import ScheduleDisabledError

README = Path(__file__).parents[2] / "README.md"
# Every file of events/, as a person could send them one after the other.
IN_ORDER = (
    "list_instances",
    "preview_new_rule",
    "create_rule",
    "create_weekly_rule",
    "create_custom_rule",
    "create_manual_rule",
    "create_many_rules",
    "create_rule_with_retention",
    "list_rules",
    "get_rule",
    "preview_rule",
    "run_rule",
    "list_backups",
    "rule_history",
    "update_rule",
    "pause_rule",
    "resume_rule",
    "list_vaults",
    "list_copies",
    "list_copies_of_vault",
    "audit_copies",
    "reconcile_dry_run",
    "reconcile",
    "delete_rule",
)
# Those that name a bucket or a copy which is each person's own; `test_vaults_and_retention` sends their like.
OF_ONE_S_OWN = (
    "bind_vault",
    "bind_vault_endpoint",
    "bind_vault_other_account",
    "create_second_copy_rule",
    "delete_copy",
    "get_copy",
    "get_copy_without_rule",
    "get_vault",
    "hold_copy",
    "probe_vault",
    "release_copy",
    "unbind_vault",
    "update_vault",
)
# Those about other providers and about backups on demand; `test_every_source` sends their like.
OF_EVERY_SOURCE = (
    "backup_now",
    "create_rule_memorydb",
    "create_rule_redis",
    "create_rule_serverless",
    "create_rule_tencentdb",
)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module", autouse=True)
def orders(world: World) -> None:
    """The instance that most requests are about."""
    world.make_instance(ORDERS)


def everything(world: World) -> tuple[object, ...]:
    """What a request could have changed."""
    rows = world.cloud.client("dynamodb").scan(TableName=world.deployment.resources["Table"])["Items"]
    alarms = world.cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
    names = sorted(alarm["AlarmName"] for alarm in alarms)
    return sorted(map(str, rows)), sorted(world.function_names()), sorted(world.schedule_names()), names


def lasting(answer: Answer) -> Answer:
    """An answer about a rule, less the times at which it fires next: they go by while a test runs."""
    return answer | {"rule": {key: value for key, value in answer["rule"].items() if key != "next_fire_times"}}


WRONG = {
    "no object": ([], "InvalidRequest", ""),
    "unknown action": ({"action": "explode"}, "UnknownAction", "action"),
    "unknown field": (create_event(colour="red"), "InvalidRequest", "rule.colour"),
    "wrong type": (create_event(name=7), "InvalidRequest", "rule.name"),
    "empty name": (create_event(name=""), "InvalidRequest", "rule.name"),
    "long name": (create_event(name="a" * 32), "InvalidRequest", "rule.name"),
    "name with a path": (create_event(name="../a"), "InvalidRequest", "rule.name"),
    "name with a control character": (create_event(name="a\u0000b"), "InvalidRequest", "rule.name"),
    "prefix from the root": (create_event(prefix="/redis/"), "InvalidRequest", "rule.prefix"),
    "prefix that climbs": (create_event(prefix="redis/../"), "InvalidRequest", "rule.prefix"),
    "role that the stack does not allow": (create_event(role="Administrator"), "InvalidRequest", "rule.role"),
    "cron with seconds": (
        create_event(cycle={"kind": "custom", "cron": "0 30 2 * * *", "time_zone": "UTC"}),
        "InvalidRequest",
        "rule.cycle.cron",
    ),
    "unknown zone": (
        create_event(cycle={"kind": "daily", "at": "02:30", "time_zone": "Mars/Base"}),
        "InvalidRequest",
        "rule.cycle.time_zone",
    ),
    "no such instance": (
        create_event(source={"provider": "elasticache", "instance": "nowhere"}),
        "InstanceNotFound",
        "rule.source.instance",
    ),
    "backups of no such instance": (
        {"action": "backups", "provider": "elasticache", "instance": "nowhere"},
        "InstanceNotFound",
        "instance",
    ),
    "no such rule": ({"action": "delete", "name": "nothing"}, "RuleNotFound", "name"),
    "run of no such rule": ({"action": "run", "name": "nothing"}, "RuleNotFound", "name"),
}


@pytest.mark.parametrize(("event", "code", "field"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_request_is_answered_with_code_field_and_hint_and_changes_nothing(
    world: World, event: object, code: str, field: str
) -> None:
    before = everything(world)
    error = ask(world, event)["error"]
    assert (error["code"], error["field"]) == (code, field)
    assert error["message"]
    assert error["hint"]
    assert everything(world) == before


def test_an_instance_without_backups_is_refused(world: World) -> None:
    client = world.cloud.client("elasticache")
    client.modify_replication_group(ReplicationGroupId="orders", SnapshotRetentionLimit=0, ApplyImmediately=True)
    before = everything(world)
    error = ask(world, CREATE)["error"]
    client.modify_replication_group(ReplicationGroupId="orders", SnapshotRetentionLimit=7, ApplyImmediately=True)
    assert error["code"] == "BackupsDisabled"
    assert everything(world) == before


def test_a_rule_lives_from_create_to_delete(world: World) -> None:
    before = everything(world)
    created = ask(world, CREATE)
    assert created["made"]["function"] == "rdbkeeper-rule-orders-nightly"
    assert created["rule"]["state"] == "active"
    assert lasting(send(world, "get", "orders-nightly"))["rule"] == lasting(created)["rule"]
    assert [rule["name"] for rule in ask(world, {"action": "list"})["rules"]] == ["orders-nightly"]

    settled = everything(world)
    assert lasting(ask(world, CREATE)) == lasting(created)
    assert everything(world) == settled
    other = ask(world, create_event(prefix="elsewhere/"))["error"]
    assert (other["code"], other["field"]) == ("NameTaken", "rule.name")
    place = ask(world, create_event(name="second"))["error"]
    assert (place["code"], place["field"]) == ("PlaceTaken", "rule.prefix")
    assert everything(world) == settled

    deleted = send(world, "delete", "orders-nightly")
    assert deleted["copies_stay_at"] == {"vault": "default", "path": "redis/orders/"}
    assert everything(world)[1:] == before[1:]
    assert ask(world, {"action": "list"}) == {"rules": [], "next_after": None}
    assert send(world, "delete", "orders-nightly") == deleted


# Every file of events/


def test_every_event_is_sent_here_and_named_in_the_readme() -> None:
    assert sorted((*IN_ORDER, *OF_ONE_S_OWN, *OF_EVERY_SOURCE)) == sorted(path.stem for path in EVENTS.iterdir())
    readme = README.read_text()
    assert not [path.stem for path in EVENTS.iterdir() if f"events/{path.name}" not in readme]


@pytest.fixture(scope="module")
def answers(world: World) -> Mapping[str, Answer]:
    """The answer to every file of events/, each sent once: a day in which a person does everything there is to do."""
    for instance in ("sessions", "carts"):
        world.make_instance(Made(instance, shards=1, ballast_bytes=0))
    world.take_backup(ORDERS)
    world.cloud.elasticache.take_manual_backup("before-the-release", "orders")
    answers = {}
    for name in IN_ORDER:
        function = "reconcile-rules" if name.startswith("reconcile") else "manage-rules"
        answers[name] = answer = ask(world, read_event(name), function)
        if name == "run_rule":
            world.wait_for_run("orders-nightly", answer["run"])
            world.cloud.elasticache.take_manual_backup("after-the-run", "orders")
        if name == "resume_rule":
            answers["the run at once"] = world.wait_for_run("orders-nightly", answer["run"]["run"])
    return answers


def test_every_event_is_answered_without_an_error(answers: Mapping[str, Answer]) -> None:
    assert not {name: answer for name, answer in answers.items() if "error" in answer}
    made = answers["create_many_rules"]
    assert (made["created"], made["failed"]) == (3, 0)
    many = ["carts-hourly", "orders-hourly", "sessions-hourly"]
    others = ["carts-working-hours", "orders-by-hand", "orders-for-years", "orders-nightly", "sessions-weekly"]
    assert [rule["name"] for rule in answers["list_rules"]["rules"]] == sorted([*many, *others])
    assert answers["reconcile_dry_run"]["would_change"] == []
    assert (answers["reconcile"]["repairs"], answers["reconcile"]["reports"]) == ([], [])


def test_the_instances_that_can_be_protected_are_shown_with_their_backup_settings(
    answers: Mapping[str, Answer],
) -> None:
    found = {instance["instance"]: instance for instance in answers["list_instances"]["instances"]}
    assert sorted(found) == ["carts", "orders", "sessions"]
    orders = found["orders"]
    assert (orders["engine"], orders["available"], orders["rules"]) == ("redis", True, [])
    assert (orders["backups_enabled"], orders["backup_retention_days"], orders["backup_count"]) == (True, 7, 2)


def test_backups_are_shown_automatic_and_manual_kept_and_not(answers: Mapping[str, Answer]) -> None:
    found = {backup["backup_id"]: backup for backup in answers["list_backups"]["backups"]}
    (automatic,) = [backup for backup in found.values() if backup["automatic"]]
    kept_by = [{"rule": "orders-nightly", "level": "verified"}]
    assert (automatic["kept"], automatic["kept_by"], automatic["files"]) == (True, kept_by, 2)
    assert (found["before-the-release"]["automatic"], found["before-the-release"]["kept"]) == (False, True)
    assert (found["after-the-run"]["kept"], found["after-the-run"]["kept_by"]) == (False, [])


def test_a_preview_tells_what_a_run_would_copy(answers: Mapping[str, Answer]) -> None:
    preview = answers["preview_rule"]
    assert {(backup["backup_id"], backup["files"]) for backup in preview["would_copy"]} == {
        (backup["backup_id"], 2) for backup in answers["list_backups"]["backups"] if backup["kept"]
    }
    assert preview["blocked"] is None
    assert (preview["sent_to_scheduler"], len(preview["next_fire_times"])) == (["cron(30 2 * * ? *)"], 10)
    assert preview["retention"]["would_remove"] == []


def test_a_preview_of_a_new_rule_makes_nothing(answers: Mapping[str, Answer]) -> None:
    preview = answers["preview_new_rule"]
    fridays = [datetime.fromisoformat(time) for time in preview["next_fire_times"]]
    assert {(time.weekday(), (time + timedelta(days=7)).month != time.month) for time in fridays} == {(4, True)}
    assert "orders-last-friday" not in [rule["name"] for rule in answers["list_rules"]["rules"]]


def test_history_tells_what_became_of_each_backup(answers: Mapping[str, Answer]) -> None:
    (run,) = answers["rule_history"]["runs"]
    assert (run["run"], run["state"]) == (answers["run_rule"]["run"], "succeeded")
    assert {outcome["status"] for outcome in run["outcomes"]} == {"copied"}
    assert "before-the-release" in [outcome["backup_id"] for outcome in run["outcomes"]]


def test_resuming_with_a_run_at_once_copies_what_was_made_meanwhile(answers: Mapping[str, Answer]) -> None:
    run = answers["the run at once"]
    assert (run["state"], [outcome["backup_id"] for outcome in run["outcomes"]]) == ("succeeded", ["after-the-run"])


def test_a_manual_rule_has_no_timer_and_no_alarm(answers: Mapping[str, Answer]) -> None:
    manual = answers["create_manual_rule"]
    assert (manual["made"]["schedules"], manual["made"]["alarm"]) == ([], None)
    assert (manual["rule"]["next_fire_times"], manual["rule"]["sent_to_scheduler"]) == ([], [])


# What people do with the rules that are there now


def find_clock_changes(zone: ZoneInfo) -> list[date]:
    """The days of the next year on which a zone's clocks change."""
    now = datetime.now(UTC)
    hours = [(now + timedelta(hours=number)).astimezone(zone) for number in range(366 * 24 + 1)]
    return [later.date() for hour, later in pairwise(hours) if hour.utcoffset() != later.utcoffset()]


def test_a_preview_names_the_clock_changes_that_skip_or_repeat_its_time(world: World) -> None:
    nightly = {"kind": "daily", "at": "02:30", "time_zone": "Europe/Berlin"}
    preview = ask(world, create_event(name="in-berlin", prefix="berlin/", cycle=nightly) | {"action": "preview"})
    notes = [note for note in preview["notes"] if "02:30" in note]
    assert len(notes) >= 2
    for day, note in zip(find_clock_changes(BERLIN), notes, strict=True):
        assert f"{day:%d %b %Y}" in note


def test_an_edit_of_what_somebody_else_changed_is_refused_and_the_same_edit_again_is_not(
    world: World, answers: Mapping[str, Answer]
) -> None:
    name = "carts-working-hours"
    revision = show(world, name)["revision"]
    hourly = {"cycle": {"kind": "custom", "cron": "45 9-17 * * 1-5", "time_zone": "America/New_York"}}
    edit = {"action": "update", "name": name, "revision": revision, "rule": hourly}
    edited = ask(world, edit)
    assert edited["rule"]["revision"] == revision + 1
    assert lasting(ask(world, edit)) == lasting(edited)

    before = everything(world)
    stale = ask(world, edit | {"rule": {"prefix": "somewhere/else/"}})["error"]
    assert (stale["code"], stale["field"]) == ("RevisionStale", "revision")
    assert everything(world) == before


def test_a_cron_that_names_a_day_of_the_month_and_a_weekday_has_two_schedules(
    world: World, answers: Mapping[str, Answer]
) -> None:
    name = "carts-working-hours"

    def edit(cron: str) -> Answer:
        cycle = {"kind": "custom", "cron": cron, "time_zone": "UTC"}
        return send(world, "update", name, revision=show(world, name)["revision"], rule={"cycle": cycle})

    both = edit("0 3 1 * 1")
    assert both["made"]["schedules"] == [name, f"{name}_weekday"]
    scheduler = world.cloud.client("scheduler")
    sent = [scheduler.get_schedule(GroupName="rdbkeeper", Name=one) for one in both["made"]["schedules"]]
    assert [one["ScheduleExpression"] for one in sent] == both["rule"]["sent_to_scheduler"]
    assert world.fire(f"{name}_weekday") == "SUCCEEDED"
    assert edit("0 3 1 * *")["made"]["schedules"] == [name]


def test_a_paused_rule_s_timer_does_not_fire_and_a_person_can_still_run_it(
    world: World, answers: Mapping[str, Answer]
) -> None:
    name = "sessions-weekly"
    paused = send(world, "pause", name)
    assert paused["rule"]["state"] == "paused"
    assert lasting(send(world, "pause", name)) == lasting(paused)
    with pytest.raises(ScheduleDisabledError):
        world.fire(name)
    run = send(world, "run", name)["run"]
    assert world.wait_for_run(name, run)["state"] == "succeeded"
    resumed = send(world, "resume", name)
    assert (resumed["rule"]["state"], "run" in resumed) == ("active", False)
    assert world.fire(name) == "SUCCEEDED"


def test_a_run_is_refused_while_one_is_going_and_the_same_request_is_the_same_run(
    world: World, answers: Mapping[str, Answer]
) -> None:
    name, request = "orders-by-hand", {"request_id": "by-hand-1"}
    with held_exports(world):
        going = send(world, "run", name, **request)
        assert send(world, "run", name, **request) == going
        refused = ask(world, {"action": "run", "name": name})["error"]
        assert (refused["code"], going["run"] in refused["message"]) == ("RunIsGoing", True)
        resumed = send(world, "resume", name, run="now")
        assert (resumed["run"], resumed["not_run"]["code"]) == (None, "RunIsGoing")
    assert world.wait_for_run(name, going["run"])["state"] == "succeeded"
    assert send(world, "run", name, **request) == going
    assert [run["run"] for run in send(world, "history", name)["runs"]] == [going["run"]]


def test_of_many_that_are_created_one_that_cannot_be_fails_alone(world: World, answers: Mapping[str, Answer]) -> None:
    many = read_event("create_many_rules") | {"instances": ["nowhere", "orders"]}
    answer = ask(world, many)
    failed, made = answer["results"]
    assert (answer["created"], answer["failed"]) == (1, 1)
    assert (failed["name"], failed["error"]["code"]) == ("nowhere-hourly", "InstanceNotFound")
    assert lasting(made) == lasting(answers["create_many_rules"]["results"][0])


def test_rules_and_runs_are_listed_in_pages(world: World, answers: Mapping[str, Answer]) -> None:
    whole = [rule["name"] for rule in ask(world, {"action": "list"})["rules"]]
    pages, after = [], ""
    while after is not None:
        page = ask(world, {"action": "list", "limit": 3, "after": after})
        pages.append([rule["name"] for rule in page["rules"]])
        after = page["next_after"]
    assert [len(page) for page in pages[:-1]] == [3] * (len(pages) - 1)
    assert list(chain(*pages)) == whole

    name = "sessions-weekly"
    while len(runs := send(world, "history", name)["runs"]) < 2:
        assert world.fire(name) == "SUCCEEDED"
    first = send(world, "history", name, limit=1)
    rest = send(world, "history", name, limit=len(runs), before=first["next_before"])
    assert ([*first["runs"], *rest["runs"]], rest["next_before"]) == (runs, None)
