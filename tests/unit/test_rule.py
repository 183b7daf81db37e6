"""Rules and their places."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import InvalidRequest, PlaceTaken
from rdbkeeper.domain.retention import GRACE, KEEP_EVERYTHING, OutgoingRetention, Retention
from rdbkeeper.domain.rule import MOST_BANDWIDTH_MBPS, MOST_FORMER_PLACES, Place, Rule, RuleState, check_place_is_free
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.source import SourceAccess
from tests.flows.world import make_rule

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)

BAD_NAMES = [
    "",
    "Orders",
    "1orders",
    "-orders",
    "orders_nightly",
    "a" * 32,
    "a/b",
    "../a",
    "a\x00",
    "a\n",
    "ä",
    "a b",
]
BAD_PREFIXES = [
    "/",
    "/redis/",
    "redis",
    "a//b/",
    "../",
    "a/../b/",
    "./",
    "a/./",
    "a b/",
    "a\x00/",
    "ä/",
    "a" * 512 + "/",
]
BAD_ROLES = ["a/b", "arn:aws:iam::000000000000:role/a", "a" * 65, "ä", "a b", "a\n"]
BAD_INSTANCES = ["", "Orders", "orders-", "a--b", "1orders", "a" * 41, "a/b", "a.b", "a\n"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_not_one_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_rule(name)
    assert refused.value.field == "name"


@pytest.mark.parametrize("name", ["a", "orders-nightly", "a" * 31, "a-", "a1"])
def test_a_name_of_the_right_form_is_taken(name: str) -> None:
    assert make_rule(name).name == name


@pytest.mark.parametrize("prefix", BAD_PREFIXES)
def test_a_prefix_that_is_not_one_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_rule(prefix=prefix)
    assert refused.value.field == "prefix"


@pytest.mark.parametrize("instance", BAD_INSTANCES)
def test_an_instance_that_is_not_one_is_refused(instance: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_rule(instance=instance)
    assert refused.value.field == "source.instance"


@pytest.mark.parametrize("role", BAD_ROLES)
def test_a_role_that_is_not_the_name_of_one_is_refused(role: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_rule(role=role)
    assert refused.value.field == "role"


@pytest.mark.parametrize("role", ["", "reader", "a" * 64, "AWS+=,.@_-1"])
def test_the_name_of_a_role_is_taken(role: str) -> None:
    assert make_rule(role=role).role == role


@pytest.mark.parametrize("bandwidth_mbps", [-1, MOST_BANDWIDTH_MBPS + 1, 10**40])
def test_a_bandwidth_that_is_no_cap_is_refused(bandwidth_mbps: int) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_rule(bandwidth_mbps=bandwidth_mbps)
    assert refused.value.field == "bandwidth_mbps"


@pytest.mark.parametrize("bandwidth_mbps", [0, 1, MOST_BANDWIDTH_MBPS])
def test_a_bandwidth_or_none_is_taken(bandwidth_mbps: int) -> None:
    assert make_rule(bandwidth_mbps=bandwidth_mbps).bandwidth_mbps == bandwidth_mbps


@pytest.mark.parametrize(
    "field, change", [("source.provider", {"provider": "memcached"}), ("vault", {"vault": "Elsewhere"})]
)
def test_an_unknown_provider_or_vault_is_refused(field: str, change: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_rule(**change)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("prefix", "instance"),
    [("rdbkeeper-probe/", "orders"), ("rdbkeeper-probe/redis/", "orders"), ("", "rdbkeeper-probe")],
)
def test_where_probes_write_and_remove_no_copies_are_kept(prefix: str, instance: str) -> None:
    with pytest.raises(InvalidRequest, match="probes") as refused:
        make_rule(prefix=prefix, instance=instance)
    assert refused.value.field == "prefix"
    assert make_rule(prefix="redis/", instance="rdbkeeper-probe").place.path == "redis/rdbkeeper-probe/"


@pytest.mark.parametrize("prefix, path", [("", "orders/"), ("redis/", "redis/orders/"), ("a/b/", "a/b/orders/")])
def test_a_place_names_the_instance(prefix: str, path: str) -> None:
    assert make_rule(prefix=prefix).place.path == path


# Written down


def test_a_rule_survives_being_written_down() -> None:
    rule = make_rule(
        role="reader",
        bandwidth_mbps=400,
        state=RuleState.PAUSED,
        revision=7,
        watched_since=NOW,
        former_places=(Place("default", "a/orders/"), Place("offsite", "b/orders/")),
    )
    assert Rule.from_record(rule.as_record()) == rule


def test_a_rule_of_the_first_version_is_read_as_one_without_role_cap_and_past() -> None:
    record = {
        name: value
        for name, value in make_rule().as_record().items()
        if name not in ("role", "bandwidth_mbps", "watched_since", "former_places")
    }
    assert Rule.from_record(record) == make_rule()


def test_a_rule_is_watched_since_it_was_made() -> None:
    assert make_rule().watched_since == make_rule().created_at


# Places


@pytest.mark.parametrize(
    "one, other, overlap",
    [
        ("a/", "a/", True),
        ("a/", "a/b/", True),
        ("a/b/", "a/", True),
        ("a/", "ab/", False),
        ("a/b/", "a/c/", False),
    ],
)
def test_places_overlap_where_one_holds_the_other(one: str, other: str, overlap: bool) -> None:
    assert Place("default", one).overlaps(Place("default", other)) is overlap
    assert not Place("default", one).overlaps(Place("another", other))


def test_a_rule_in_anothers_place_is_told_which_and_its_own_place_is_free_for_it() -> None:
    there = make_rule("there")
    with pytest.raises(PlaceTaken, match="there keeps its copies at 'redis/orders/'") as refused:
        check_place_is_free(make_rule("new"), [make_rule("elsewhere", prefix="else/"), there])
    assert refused.value.field == "prefix"
    check_place_is_free(there, [there])


# Edits


def edited(rule: Rule, **said: Any) -> Rule:
    return RuleEdit(**said).apply_to(rule, NOW)


@pytest.mark.parametrize(
    "said", [{}, {"prefix": "redis/"}, {"instance": "orders", "vault": "default", "role": "", "bandwidth_mbps": 0}]
)
def test_an_edit_that_changes_nothing_gives_the_rule_itself(said: dict[str, Any]) -> None:
    rule = make_rule()
    assert edited(rule, **said) is rule


@pytest.mark.parametrize("said", [{"role": "reader"}, {"bandwidth_mbps": 400}, {"cycle": Cycle("manual", "UTC")}])
def test_an_edit_that_moves_nothing_keeps_since_when_the_rule_is_watched(said: dict[str, Any]) -> None:
    rule = make_rule(revision=3)
    after = edited(rule, **said)
    assert (after.revision, after.watched_since, after.former_places) == (4, rule.watched_since, ())
    assert (after.state, after.created_at) == (rule.state, rule.created_at)


@pytest.mark.parametrize("said", [{"prefix": "else/"}, {"instance": "carts"}])
def test_an_edit_of_the_place_notes_the_former_one_and_begins_to_watch_anew(said: dict[str, Any]) -> None:
    after = edited(make_rule(), **said)
    assert after.former_places == (Place("default", "redis/orders/"),)
    assert after.watched_since == NOW


def test_a_rule_that_goes_back_to_a_former_place_is_no_longer_told_that_it_left_it() -> None:
    there_and_back = edited(edited(make_rule(), prefix="else/"), prefix="redis/")
    assert there_and_back.former_places == (Place("default", "else/orders/"),)


def test_a_former_place_in_another_vault_is_told_from_the_one_of_the_same_path() -> None:
    moved = edited(make_rule(), vault="offsite")
    assert moved.former_places == (Place("default", "redis/orders/"),)
    assert moved.as_record()["former_places"] == ["default:redis/orders/"]
    assert Rule.from_record(moved.as_record()) == moved
    back = edited(moved, vault="default")
    assert back.as_record()["former_places"] == ["offsite:redis/orders/"]


CALENDARS = [{"keep_daily": 1}, {"keep_weekly": 1}, {"keep_monthly": 1}, {"keep_yearly": 1}]


@pytest.mark.parametrize("counts", CALENDARS)
def test_another_time_zone_takes_no_copy_away_for_a_while_where_calendars_count(counts: dict[str, int]) -> None:
    rule = make_rule(retention=Retention(keep_last=3, **counts))
    everything = (OutgoingRetention(KEEP_EVERYTHING, NOW + GRACE),)
    assert edited(rule, cycle=Cycle("daily", "UTC", at="02:30")).outgoing == everything
    narrowed = edited(rule, retention=Retention(keep_last=1), cycle=Cycle("manual", "UTC"))
    assert narrowed.outgoing == everything, "what kept copies until now kept them by the former zone"
    assert edited(rule, cycle=Cycle("manual", rule.cycle.time_zone)).outgoing == ()


def live_rule(**changes: Any) -> Rule:
    access = SourceAccess(address="queue:6379", secret="rdbkeeper/queue")
    return make_rule(provider="redis", instance="queue", access=access, **changes)


@pytest.mark.parametrize("said", [{}, {"retention": Retention(keep_last=1)}, {"cycle": Cycle("manual", "UTC")}])
def test_another_address_takes_no_copy_of_the_former_server_away_for_a_while(said: dict[str, Any]) -> None:
    after = edited(live_rule(retention=Retention(keep_last=7)), access={"address": "other:6379"}, **said)
    assert after.outgoing == (OutgoingRetention(KEEP_EVERYTHING, NOW + GRACE),)
    assert after.watched_since == NOW and after.former_places == ()


@pytest.mark.parametrize("retention", [Retention(keep_last=1), KEEP_EVERYTHING], ids=["last", "everything"])
def test_another_provider_at_the_same_place_leaves_no_place_and_takes_no_copy_away_for_a_while(
    retention: Retention,
) -> None:
    after = edited(make_rule(retention=retention), provider="redis", access={"address": "orders:6379"})
    assert after.former_places == () and after.has_former_copies
    assert after.outgoing == (OutgoingRetention(KEEP_EVERYTHING, NOW + GRACE),)
    assert after.watched_since == NOW
    assert Rule.from_record(after.as_record()) == after
    moved = edited(after, prefix="else/")
    assert moved.former_places == (after.place,) and not moved.has_former_copies


def test_a_rule_has_moved_once_it_was_pointed_at_another_instance_or_place() -> None:
    assert not make_rule().has_moved
    for said in ({"instance": "carts"}, {"vault": "offsite"}, {"provider": "memorydb"}):
        assert edited(make_rule(), **said).has_moved
    assert edited(live_rule(), access={"address": "other:6379"}).has_moved
    assert not edited(live_rule(), access={"keys_per_second": 500}).has_moved


def test_a_server_that_is_reached_in_another_way_is_the_same_one() -> None:
    rule = live_rule(retention=Retention(keep_last=7))
    after = edited(rule, access={"secret": "rdbkeeper/another", "keys_per_second": 500})
    assert (after.outgoing, after.watched_since) == ((), rule.watched_since)


def test_a_retention_that_goes_out_by_calendar_guards_all_copies_as_well() -> None:
    by_days = OutgoingRetention(Retention(keep_daily=9), NOW + GRACE)
    rule = make_rule(retention=Retention(keep_last=3), outgoing=(by_days,))
    after = edited(rule, cycle=Cycle("manual", "UTC"))
    assert OutgoingRetention(KEEP_EVERYTHING, NOW + GRACE) in after.outgoing


def test_another_time_zone_changes_nothing_where_no_calendar_counts() -> None:
    rule = make_rule(retention=Retention(keep_days=3, keep_last=3))
    assert edited(rule, cycle=Cycle("manual", "UTC")).outgoing == ()


def test_a_cap_stays_unless_an_edit_names_it_and_goes_with_a_zero() -> None:
    capped = edited(make_rule(), bandwidth_mbps=400)
    assert edited(capped, role="reader").bandwidth_mbps == 400
    assert edited(capped, bandwidth_mbps=0).bandwidth_mbps == 0


def test_only_the_last_former_places_are_kept() -> None:
    rule = make_rule()
    for number in range(MOST_FORMER_PLACES + 5):
        rule = edited(rule, prefix=f"{number}/")
    assert len(rule.former_places) == MOST_FORMER_PLACES
    assert rule.former_places[-1].path == f"{MOST_FORMER_PLACES + 3}/orders/"


def test_an_edit_that_gives_no_rule_is_refused_by_the_field() -> None:
    with pytest.raises(InvalidRequest) as refused:
        edited(make_rule(), prefix="/")
    assert refused.value.field == "prefix"


def test_two_rules_are_the_same_wish_however_far_each_has_come() -> None:
    rule = make_rule()
    left = (Place("default", "a/"),)
    assert rule.is_same_wish(make_rule(state=RuleState.CREATING, revision=9, created_at=NOW, former_places=left))
    others: list[dict[str, Any]] = [
        {"prefix": ""},
        {"role": "reader"},
        {"bandwidth_mbps": 400},
        {"instance": "carts"},
        {"cycle": Cycle("manual", "UTC")},
    ]
    for other in others:
        assert not rule.is_same_wish(make_rule(**other))
