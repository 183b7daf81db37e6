"""Showing what a rule's retention keeps, what it would remove, and how its place will look in a year."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rdbkeeper.domain.catalog import Level, manifest_key
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.retention import KEEP_EVERYTHING, Retention
from rdbkeeper.domain.retention_plan import lock_notes
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.vault import Capabilities, VaultBinding, VaultOptions
from rdbkeeper.flows.rules.foresee import MOST_LISTED
from rdbkeeper.ports import ProbeFindings
from tests.fakes.rdb_files import rdb_file
from tests.fakes.vault import MemoryVault
from tests.flows.desk import NAME, NOW, Desk, new_rule
from tests.flows.requests import AS_CREATED, MANUAL, made

DAY_S = 86_400
LAST_THREE = Retention(keep_last=3)


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    made(desk)
    return desk


def desk_that_keeps(retention: Retention) -> Desk:
    desk = Desk()
    desk.register.create(new_rule(retention=retention))
    return desk


def add_backup(desk: Desk, backup_id: str, taken_at: datetime = NOW) -> None:
    desk.source.add_backup("orders", backup_id, taken_at, {"0001": rdb_file(200)}, source_size="1 GB")


def test_a_rule_without_a_retention_says_that_it_keeps_everything(desk: Desk) -> None:
    assert desk.shown()["keeps"] == "everything" and desk.shown()["retention"] == {}
    assert desk.show.list("", 10)["rules"][0]["keeps"] == "everything"


def test_a_listed_rule_tells_what_it_keeps_in_words(desk: Desk) -> None:
    desk.register.update(NAME, AS_CREATED, RuleEdit(retention=Retention(keep_days=7, keep_weekly=4)))
    [rule] = desk.show.list("", 10)["rules"]
    assert rule["keeps"] == "7 days, 4 weeks" and rule["retention"] == {"keep_days": 7, "keep_weekly": 4}


def test_what_the_rule_said_before_is_in_the_notes_until_it_is_over(desk: Desk) -> None:
    desk.register.update(NAME, AS_CREATED, RuleEdit(retention=LAST_THREE))
    [note] = desk.shown()["notes"]
    assert note == "Until 2026-11-24T03:00:00+00:00 all copies stay, whatever the retention says."
    desk.clock.advance(3 * DAY_S)
    assert desk.shown()["notes"] == []


def test_a_lock_that_does_not_match_the_retention_is_in_the_notes(desk: Desk) -> None:
    vault = desk.tables.vaults.find_vault("default")
    assert vault is not None
    locking = replace(vault, options=replace(vault.options, lock_days=30), revision=vault.revision + 1)
    desk.tables.vaults.replace_vault(locking, vault.revision)
    assert desk.shown()["notes"] == lock_notes(KEEP_EVERYTHING, 30)
    assert "locks each copy for 30 days" in desk.shown()["notes"][0]


def locks_as(desk: Desk, lock_days: int, seen: Capabilities) -> list[list[str]]:
    """What a rule, previews of it and of another, and its vault say once a vault locks so and its store is seen so."""
    vault = VaultBinding("locking", "copies-locking", NOW, options=VaultOptions(lock_days=lock_days))
    desk.adapters.others["locking"] = MemoryVault()
    desk.adapters.probes["locking"] = ProbeFindings("eu-west-1", seen)
    desk.vaults.bind(vault)
    desk.register.create(new_rule("locked", vault="locking", retention=Retention(keep_days=7)))
    wish = new_rule("wished", vault="locking", prefix="wished/", retention=Retention(keep_days=7))
    ways = [desk.shown("locked"), desk.show.preview("locked"), desk.show.preview_wish(wish)]
    told = [[note for note in way["notes"] if "lock" in note] for way in ways]
    return [*told, desk.vaults.get("locking")["vault"]["notes"]]


@pytest.mark.parametrize(
    "lock_days, by_default, effective", [(30, 0, 30), (0, 30, 30), (9, 30, 30), (30, 9, 30), (7, 0, 7), (0, 0, 0)]
)
def test_the_longer_of_the_vault_s_lock_and_the_bucket_s_own_is_told_wherever_the_rule_is(
    desk: Desk, lock_days: int, by_default: int, effective: int
) -> None:
    expected = lock_notes(Retention(keep_days=7), effective)
    *of_rule, of_vault = locks_as(desk, lock_days, Capabilities(locks=True, default_lock_days=by_default))
    assert of_rule == [expected] * 3
    assert of_vault == [f"locked: {note}" for note in expected]


def test_where_a_bucket_cannot_lock_that_is_said_once_and_no_lock_is_claimed(desk: Desk) -> None:
    *of_rule, of_vault = locks_as(desk, 30, Capabilities())
    told = "The vault locking is to lock copies for 30 days; its bucket cannot lock: nothing is locked."
    assert of_rule == [[told]] * 3
    assert of_vault == [], "its probe's warnings say so"


def test_a_bucket_that_cannot_lock_and_is_not_to_is_not_worth_a_note(desk: Desk) -> None:
    assert locks_as(desk, 0, Capabilities()) == [[], [], [], []]


def test_a_list_asks_the_vaults_nothing(desk: Desk) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"a list looked at the vault {name}")

    desk.tables.vaults.find_vault = refuse  # type: ignore[method-assign,assignment]
    assert len(desk.show.list("", 10)["rules"]) == 1


def test_a_preview_tells_what_retention_removes_once_the_run_has_copied() -> None:
    desk = desk_that_keeps(LAST_THREE)
    for day in range(3):
        add_backup(desk, f"automatic.orders-{day}", NOW - timedelta(days=9 - day))
    desk.fire()
    add_backup(desk, "automatic.orders-9")
    retention = desk.show.preview(NAME)["retention"]
    assert retention["keeps"] == "the last 3" and retention["says"] == {"keep_last": 3}
    assert retention["would_remove"] == [
        {
            "copy_id": "20261112T030000Z-automatic.orders-0",
            "reason": "NotKept",
            "detail": "The retention does not keep it; it keeps only the last 3.",
        }
    ]
    assert retention["would_remove_count"] == 1
    assert retention["kept"] == {"keep_last": 3}
    assert retention["waits"] is None and retention["until"] is None


def test_a_preview_tells_how_the_place_will_look_over_the_next_year() -> None:
    desk = desk_that_keeps(Retention(keep_days=7))
    add_backup(desk, "automatic.orders-1")
    desk.fire()
    retention = desk.show.preview(NAME)["retention"]
    assert retention["expects_a_copy_every_hours"] == 24
    assert [month["copies"] for month in retention["next_year"]] == [8, 8, 8, 8, 8]
    assert retention["next_year"][0] == {
        "at": "2026-12-21T03:00:00+00:00",
        "copies": 8,
        "oldest": "2026-12-14T03:00:00+00:00",
    }
    assert retention["kept_in_a_year"][0] == "2027-11-21T03:00:00+00:00" and len(retention["kept_in_a_year"]) == 8


def test_copies_are_expected_as_often_as_the_rule_fires_and_the_source_makes_backups() -> None:
    hourly, weekly = Cycle("custom", "UTC", cron="0 * * * *"), Cycle("weekly", "UTC", days=("SUN",))
    for cycle, hours, copies in ((weekly, 168, 52), (hourly, 24, 365), (MANUAL, None, 0)):
        desk = Desk()
        desk.register.create(new_rule(cycle=cycle))
        retention = desk.show.preview(NAME)["retention"]
        assert retention["expects_a_copy_every_hours"] == hours
        assert retention["next_year"][-1]["copies"] == copies


def test_a_preview_tells_until_when_an_earlier_retention_keeps_copies(desk: Desk) -> None:
    for day in range(4):
        add_backup(desk, f"automatic.orders-{day}", NOW - timedelta(days=9 - day))
    desk.fire()
    desk.register.update(NAME, AS_CREATED, RuleEdit(retention=LAST_THREE))
    retention = desk.show.preview(NAME)["retention"]
    assert retention["would_remove"] == [] and retention["kept"] == {"keep_last": 3, "OutgoingRetention": 1}
    assert retention["until"] == "2026-11-24T03:00:00+00:00"


def test_a_long_list_of_removals_is_cut_and_counted() -> None:
    desk = desk_that_keeps(Retention(keep_last=1))
    for number in range(MOST_LISTED + 7):
        copy_id = f"{NOW - timedelta(hours=number):%Y%m%dT%H%M%SZ}-b"
        desk.vault.objects[manifest_key(desk.rule().place.path, copy_id, Level.VERIFIED)] = b"{}"
    retention = desk.show.preview(NAME)["retention"]
    assert retention["would_remove_count"] == MOST_LISTED + 6
    assert len(retention["would_remove"]) == MOST_LISTED
    assert retention["would_remove"][0]["copy_id"] == "20261121T020000Z-b"


def test_a_preview_says_while_nothing_is_removed() -> None:
    desk = desk_that_keeps(LAST_THREE)
    add_backup(desk, "automatic.orders-1")
    desk.fire()
    desk.clock.advance(9 * DAY_S)
    for look in (desk.register.resume, desk.register.pause):  # being paused makes no copy younger
        look(NAME)
        waits = desk.show.preview(NAME)["retention"]["waits"]
        assert waits.startswith("Nothing is removed now: the newest verified copy is ")
    add_backup(desk, "automatic.orders-2", desk.clock.now())
    assert desk.show.preview(NAME)["retention"]["waits"] is None, "the run would copy a new one first"
    desk.source.remove_instance("orders")
    assert "while the instance orders is not there" in desk.show.preview(NAME)["retention"]["waits"]


def test_a_preview_names_the_backups_that_retention_would_not_keep() -> None:
    desk = desk_that_keeps(Retention(keep_days=7))
    add_backup(desk, "automatic.orders-1", NOW - timedelta(days=8))
    add_backup(desk, "automatic.orders-2")
    preview = desk.show.preview(NAME)
    assert [backup["backup_id"] for backup in preview["would_copy"]] == ["automatic.orders-2"]
    [other] = preview["others"]
    assert (other["backup_id"], other["reason"]) == ("automatic.orders-1", "NotKept")
