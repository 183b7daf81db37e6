"""Which copies there are, and all that can be said of one; read from the vault, with or without a rule."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from rdbkeeper.domain.catalog import Level, Mark, manifest_key, mark_key
from rdbkeeper.domain.copy import data_key
from rdbkeeper.domain.copy_query import CopyFilter, CopyState, RulePlace, VaultPlace, VaultPlaces
from rdbkeeper.domain.errors import CopyNotFound, RuleNotFound, VaultDenied, VaultNotFound, VaultUnavailable
from rdbkeeper.flows.copies import places as copy_places
from rdbkeeper.ports import Lock, Record
from tests.flows.copies_desk import BESIDE, HERE, NIGHT, PATH, at_desk, id_of, in_vault, mark, put_copy, show
from tests.flows.desk import NAME, Desk
from tests.flows.disturbances import count_calls
from tests.flows.world import after_each

ALL = CopyFilter()
VERIFIED, UNCHECKED = Level.VERIFIED, Level.UNCHECKED
LONG = datetime(2027, 1, 1, tzinfo=UTC)


def damage(desk: Desk, night: int) -> None:
    desk.vault.create_object(mark_key(PATH, Mark.DAMAGED, id_of(night)), b"{}", "application/json")


def listed(desk: Desk, which: CopyFilter = ALL, after: str = "", limit: int = 50) -> list[str]:
    return [copy["copy_id"] for copy in show(desk).list(HERE, which, after, limit)["copies"]]


def one(desk: Desk, night: int = 0) -> Record:
    copy: Record = show(desk).get(HERE, id_of(night))["copy"]
    return copy


# Listing


def test_copies_are_listed_newest_first_with_their_states() -> None:
    desk = at_desk(VERIFIED, UNCHECKED, VERIFIED)
    mark(desk).hold(HERE, id_of(0), "")
    damage(desk, 2)
    desk.tables.runs.record_check(NAME, id_of(1), LONG)
    answer = show(desk).list(HERE, ALL, "", 50)
    assert [(copy["copy_id"], copy["states"], copy["level"]) for copy in answer["copies"]] == [
        (id_of(2), ["damaged"], "verified"),
        (id_of(1), ["unchecked"], "unchecked"),
        (id_of(0), ["verified", "held"], "verified"),
    ]
    assert answer["counts"] == {"copies": 3, "verified": 1, "unchecked": 1, "damaged": 1, "held": 1}
    newest = answer["copies"][1]
    assert newest["taken_at"] == "2026-11-02T02:15:00+00:00"
    assert newest["published_at"] == "2026-11-21T03:00:00+00:00"
    assert newest["last_checked_at"] == "2027-01-01T00:00:00+00:00"
    assert (newest["rule"], newest["vault"], newest["path"]) == (NAME, "default", PATH)
    assert answer["next_after"] is None and answer["notes"] == []


def test_a_place_without_a_rule_shows_all_that_it_holds() -> None:
    with_rule, without = at_desk(VERIFIED, UNCHECKED), Desk()
    without.vault.objects = dict(with_rule.vault.objects)
    ruled, free = show(with_rule).list(HERE, ALL, "", 50), show(without).list(BESIDE, ALL, "", 50)
    assert [copy["copy_id"] for copy in free["copies"]] == [copy["copy_id"] for copy in ruled["copies"]]
    assert {copy["rule"] for copy in free["copies"]} == {None}
    assert {copy["rule"] for copy in show(with_rule).list(BESIDE, ALL, "", 50)["copies"]} == {NAME}


@pytest.mark.parametrize(
    "state, nights",
    [
        (CopyState.VERIFIED, [0]),
        (CopyState.UNCHECKED, [1]),
        (CopyState.DAMAGED, [2]),
        (CopyState.HELD, [2, 0]),
        (CopyState.LOCKED, [1]),
    ],
)
def test_copies_are_found_by_state(state: CopyState, nights: list[int]) -> None:
    desk = at_desk(VERIFIED, UNCHECKED, VERIFIED)
    in_vault(desk, locks=True).lock_object(manifest_key(PATH, id_of(1), UNCHECKED), LONG)
    damage(desk, 2)
    for night in (0, 2):
        mark(desk).hold(HERE, id_of(night), "")
    assert listed(desk, CopyFilter(state=state)) == [id_of(night) for night in nights]


def test_copies_are_found_by_when_their_backups_were_taken() -> None:
    desk = at_desk(*[VERIFIED] * 5)
    second, fourth = NIGHT + timedelta(days=1), NIGHT + timedelta(days=3)
    assert listed(desk, CopyFilter(second, fourth)) == [id_of(2), id_of(1)]
    assert listed(desk, CopyFilter(since=fourth)) == [id_of(4), id_of(3)]
    assert listed(desk, CopyFilter(until=second)) == [id_of(0)]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_together_show_each_copy_once(limit: int) -> None:
    desk = at_desk(*[VERIFIED] * 7)
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = show(desk).list(HERE, ALL, after, limit)
        assert len(seen) < 7
        assert 0 < len(page["copies"]) <= limit
        seen += [copy["copy_id"] for copy in page["copies"]]
        after = page["next_after"]
    assert seen == [id_of(night) for night in reversed(range(7))]


def test_a_page_goes_on_where_it_ended_when_its_last_copy_is_gone() -> None:
    desk = at_desk(*[VERIFIED] * 4)
    after = show(desk).list(HERE, ALL, "", 2)["next_after"]
    del desk.vault.objects[manifest_key(PATH, id_of(2), VERIFIED)]
    assert listed(desk, after=after) == [id_of(1), id_of(0)]
    assert listed(desk, after=id_of(2)) == [id_of(1), id_of(0)]


def test_no_lock_is_asked_for_where_the_store_has_none() -> None:
    desk = at_desk(VERIFIED)
    calls = count_calls(lambda through: show(desk, through).list(HERE, ALL, "", 50))
    assert calls.count("MemoryVault.catalog") == 1
    assert "MemoryVault.find_lock" not in calls
    assert show(desk).list(HERE, CopyFilter(state=CopyState.LOCKED), "", 50)["copies"] == []


def test_only_the_copies_of_the_page_are_asked_for_their_locks() -> None:
    desk = at_desk(*[VERIFIED] * 5)
    in_vault(desk, locks=True)
    calls = count_calls(lambda through: show(desk, through).list(HERE, ALL, "", 2))
    assert calls.count("MemoryVault.find_lock") == 2


def test_a_lock_that_has_ended_locks_nothing_and_a_legal_hold_has_no_end() -> None:
    desk = at_desk(VERIFIED, VERIFIED)
    vault = in_vault(desk, locks=True)
    vault.locks[manifest_key(PATH, id_of(0), VERIFIED)] = Lock(desk.clock.now())
    vault.locks[manifest_key(PATH, id_of(1), VERIFIED)] = Lock(is_legal_hold=True)
    newer, older = show(desk).list(HERE, ALL, "", 50)["copies"]
    assert (newer["states"], newer["locked_until"], newer["legal_hold"]) == (["verified", "locked"], None, True)
    assert (older["states"], older["legal_hold"]) == (["verified"], False)


def test_a_request_for_locked_copies_looks_at_so_many_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rdbkeeper.flows.copies.show.MOST_LOCKS_READ", 3)
    desk = at_desk(*[VERIFIED] * 8)
    vault = in_vault(desk, locks=True)
    for night in (0, 6):
        vault.lock_object(manifest_key(PATH, id_of(night), VERIFIED), LONG)
    pages, after = [], ""
    while after is not None:
        page = show(desk).list(HERE, CopyFilter(state=CopyState.LOCKED), after, 2)
        assert len(pages) < 3
        pages.append([copy["copy_id"] for copy in page["copies"]])
        after = page["next_after"]
    assert pages == [[id_of(6)], [], [id_of(0)]]


def test_pages_of_locked_copies_show_each_once() -> None:
    desk = at_desk(*[VERIFIED] * 5)
    vault = in_vault(desk, locks=True)
    for night in (1, 2, 4):
        vault.lock_object(manifest_key(PATH, id_of(night), VERIFIED), LONG)
    locked = CopyFilter(state=CopyState.LOCKED)
    first = show(desk).list(HERE, locked, "", 2)
    assert [copy["copy_id"] for copy in first["copies"]] == [id_of(4), id_of(2)]
    assert listed(desk, locked, first["next_after"], 2) == [id_of(1)]
    calls = count_calls(lambda through: show(desk, through).list(HERE, locked, "", 1))
    assert calls.count("MemoryVault.find_lock") == 1


def test_locks_that_must_not_be_read_are_said_not_to_be_shown() -> None:
    desk = at_desk(VERIFIED)
    in_vault(desk, locks=True).failing["find_lock"] = [VaultDenied("Reading the lock failed: AccessDenied.")]
    answer = show(desk).list(HERE, ALL, "", 50)
    assert answer["copies"][0]["states"] == ["verified"]
    assert "could not be read" in answer["notes"][0]


def test_an_empty_place_says_that_it_is_empty() -> None:
    assert show(at_desk()).list(HERE, ALL, "", 50)["notes"] == ["There are no copies there."]


def test_foreign_objects_are_no_copies() -> None:
    desk = at_desk(VERIFIED)
    for name in ("notes.txt", "manifests/readme.md", "manifests/sub/x.verified.json", "holds/x/y.json", "zzz"):
        desk.vault.create_object(f"{PATH}{name}", b"?", "text/plain")
    assert listed(desk) == [id_of(0)]
    desk.vault.create_object(f"{PATH}manifests/by-hand.verified.json", b"?", "text/plain")
    assert listed(desk) == [id_of(0), "by-hand"]
    assert listed(desk, CopyFilter(since=NIGHT)) == [id_of(0)]


def test_a_rule_or_a_vault_that_is_not_there_is_named() -> None:
    with pytest.raises(RuleNotFound) as rule:
        show(Desk()).list(RulePlace("nightly"), ALL, "", 50)
    assert rule.value.field == "rule"
    for where in (VaultPlace("offsite", "", "orders"), VaultPlaces("offsite")):
        with pytest.raises(VaultNotFound):
            show(Desk()).list(where, ALL, "", 50)


# A whole vault


def test_a_fresh_stack_finds_every_place_of_an_old_bucket() -> None:
    desk = Desk()
    for path in ("orders/", "redis/prod/orders/", "redis/sessions/", "holds/", "manifests/"):
        put_copy(desk.vault, 0, path=path)
    put_copy(desk.vault, 1, path="redis/sessions/")
    desk.vault.create_object("photos/2026/cat.jpg", b"?", "image/jpeg")
    answer = show(desk).list(VaultPlaces("default"), ALL, "", 50)
    assert [(place["path"], place["counts"]["copies"]) for place in answer["places"]] == [
        ("holds/", 1),
        ("manifests/", 1),
        ("orders/", 1),
        ("redis/prod/orders/", 1),
        ("redis/sessions/", 2),
    ]
    assert answer["counts"]["copies"] == len(answer["copies"]) == 6
    assert (answer["copies"][0]["path"], answer["notes"]) == ("redis/sessions/", [])


def test_the_places_of_a_vault_are_narrowed_by_prefix_and_instance() -> None:
    desk = at_desk(VERIFIED)
    for path in ("orders/", "redis/sessions/"):
        put_copy(desk.vault, 0, path=path)

    def paths(where: VaultPlaces) -> list[str]:
        return [place["path"] for place in show(desk).list(where, ALL, "", 50)["places"]]

    assert paths(VaultPlaces("default", "redis/")) == [PATH, "redis/sessions/"]
    assert paths(VaultPlaces("default", "", "orders")) == ["orders/", PATH]
    assert paths(VaultPlaces("default", "other/")) == []


def test_pages_over_several_places_show_copies_of_one_night_each_once() -> None:
    desk = Desk()
    for night in range(3):
        for path in ("orders/", "redis/orders/", "redis/sessions/"):
            put_copy(desk.vault, night, path=path)
    seen, after = [], ""
    while after is not None:
        page = show(desk).list(VaultPlaces("default"), ALL, after, 2)
        assert len(seen) < 9
        seen += [(copy["copy_id"], copy["path"]) for copy in page["copies"]]
        after = page["next_after"]
    assert len(seen) == len(set(seen)) == 9
    assert seen == sorted(seen, reverse=True)


def test_an_instance_called_like_a_folder_of_a_place_hides_no_other() -> None:
    desk = Desk()
    for path in ("redis/manifests/", "redis/orders/"):
        put_copy(desk.vault, 0, path=path)
    answer = show(desk).list(VaultPlaces("default"), ALL, "", 50)
    assert [place["path"] for place in answer["places"]] == ["redis/orders/"]
    named = show(desk).list(VaultPlace("default", "redis/", "manifests"), ALL, "", 50)
    assert len(named["copies"]) == 1


def test_the_folders_of_copies_are_not_opened() -> None:
    desk = at_desk(VERIFIED, VERIFIED)
    mark(desk).hold(HERE, id_of(0), "")
    calls = count_calls(lambda through: show(desk, through).list(VaultPlaces("default"), ALL, "", 50))
    assert calls.count("MemoryVault.folders") == 3  # the root, redis/ and redis/orders/


@pytest.mark.parametrize("limit", ["MOST_FOLDERS_OPENED", "MOST_PLACES"])
def test_a_vast_bucket_is_walked_in_part_and_the_answer_says_so(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_places, limit, 5)
    desk = Desk()
    for number in range(9):
        put_copy(desk.vault, number, path=f"instance-{number}/")
    answer = show(desk).list(VaultPlaces("default"), ALL, "", 50)
    assert 0 < len(answer["places"]) < 9
    assert "there may be more" in answer["notes"][0]


def test_a_slow_store_is_walked_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_places, "LONGEST_WALK_S", -1.0)
    desk = at_desk(VERIFIED)
    assert "there may be more" in show(desk).list(VaultPlaces("default"), ALL, "", 50)["notes"][0]


def test_ten_thousand_copies_are_listed_in_one_reading() -> None:
    desk = at_desk()
    for hour in range(10_000):
        copy_id = f"{NIGHT + timedelta(hours=hour):%Y%m%dT%H%M%SZ}-automatic.orders"
        desk.vault.objects[manifest_key(PATH, copy_id, VERIFIED)] = b""
    readings: list[str] = []
    after_each(desk.vault, "catalog", lambda: readings.append("one"))
    answer = show(desk).list(HERE, CopyFilter(state=CopyState.VERIFIED), "", 200)
    assert len(readings) == 1
    assert (len(answer["copies"]), answer["counts"]["verified"]) == (200, 10_000)


# One copy


def test_a_copy_is_shown_with_its_manifest_its_files_and_how_to_get_it() -> None:
    desk = at_desk()
    manifest = put_copy(desk.vault, 0)
    copy = one(desk)
    key = manifest_key(PATH, id_of(0), VERIFIED)
    assert copy["manifest"] == json.loads(manifest.to_json())
    assert copy["manifest_key"] == key
    assert (copy["states"], copy["problems"], copy["other_objects"], copy["marks"]) == (["verified"], [], [], {})
    assert copy["size_bytes"] == 200
    assert [(file["name"], file["present"], file["size_found_bytes"]) for file in copy["files"]] == [
        ("0001", True, 100),
        ("0002", True, 100),
    ]
    assert copy["links"]["manifest"].endswith(
        f"/s3/object/the-default-bucket?region=eu-west-1&bucketType=general&prefix={key}"
    )
    assert copy["files"][0]["link"].endswith("0001.rdb")
    assert copy["commands"]["verify"] == (
        f"python -m rdbkeeper.verify s3://the-default-bucket/{key} --region eu-west-1"
    )


def test_a_copy_tells_who_marked_it_when_and_why() -> None:
    desk = at_desk(VERIFIED)
    mark(desk).hold(HERE, id_of(0), "before the migration")
    damage(desk, 0)
    marks = one(desk)["marks"]
    assert marks["holds"] == {
        "copy_id": id_of(0),
        "note": "before the migration",
        "at": "2026-11-21T03:00:00+00:00",
        "made_by": "rdbkeeper 0.1.0",
    }
    assert marks["damaged"] == {}
    assert one(desk)["states"] == ["damaged", "held"]


def test_a_copy_tells_what_locks_each_of_its_objects() -> None:
    desk = at_desk(VERIFIED)
    vault = in_vault(desk, locks=True)
    vault.lock_object(data_key(PATH, id_of(0), "0002"), LONG)
    copy = one(desk)
    assert [file["locked_until"] for file in copy["files"]] == [None, "2027-01-01T00:00:00+00:00"]
    assert (copy["locked_until"], copy["states"]) == (None, ["verified"])
    vault.lock_object(manifest_key(PATH, id_of(0), VERIFIED), LONG)
    assert (one(desk)["locked_until"], one(desk)["states"]) == ("2027-01-01T00:00:00+00:00", ["verified", "locked"])


def test_data_removed_or_replaced_by_hand_are_told_and_the_copy_is_not_called_verified() -> None:
    desk = at_desk(VERIFIED)
    del desk.vault.objects[data_key(PATH, id_of(0), "0001")]
    desk.vault.objects[data_key(PATH, id_of(0), "0002")] = b"short"
    desk.vault.objects[data_key(PATH, id_of(0), "0003")] = b"more"
    copy = one(desk)
    assert copy["states"] == ["damaged"]
    assert copy["problems"] == ["0001.rdb is missing.", "0002.rdb has 5 bytes; its manifest says 100."]
    assert [file["present"] for file in copy["files"]] == [False, True]
    assert copy["files"][0]["link"] is None
    assert copy["other_objects"] == [data_key(PATH, id_of(0), "0003")]


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"format": "other/1"}', b"\xff\xfe"])
def test_a_manifest_that_cannot_be_read_is_told_with_what_lies_there(body: bytes) -> None:
    desk = at_desk(VERIFIED)
    desk.vault.objects[manifest_key(PATH, id_of(0), VERIFIED)] = body
    copy = one(desk)
    assert (copy["states"], copy["manifest"], copy["files"]) == (["damaged"], None, [])
    assert "Reading the manifest" in copy["problems"][0]
    assert len(copy["other_objects"]) == 2


def test_a_manifest_of_another_copy_is_told() -> None:
    desk = at_desk(VERIFIED, VERIFIED)
    keys = [manifest_key(PATH, id_of(night), VERIFIED) for night in (0, 1)]
    desk.vault.objects[keys[0]] = desk.vault.objects[keys[1]]
    copy = one(desk)
    assert copy["states"] == ["damaged"]
    assert copy["problems"][0] == f"The manifest is that of {id_of(1)}."


def test_a_vast_manifest_is_shown_without_the_sums_of_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rdbkeeper.flows.copies.show.LARGEST_MANIFEST_SHOWN_BYTES", 100)
    copy = one(at_desk(VERIFIED))
    assert {file["part_sha256"] for file in copy["manifest"]["files"]} == {"left out: look into the manifest"}


def test_a_copy_that_is_not_there_is_not_found() -> None:
    with pytest.raises(CopyNotFound, match="There is no copy") as unknown:
        one(at_desk(VERIFIED), 1)
    assert unknown.value.field == "copy_id"


def test_a_copy_that_a_person_removed_is_told_from_one_that_never_was() -> None:
    desk = at_desk(VERIFIED)
    mark(desk).delete(HERE, id_of(0), id_of(0), "holds test data")
    with pytest.raises(CopyNotFound, match=r"a person removed it at 2026-11-21T03:00:00\+00:00 \(holds test data\)"):
        one(desk)


def test_looking_changes_nothing() -> None:
    desk = at_desk(VERIFIED, UNCHECKED)
    before = dict(desk.vault.objects)
    for where in (HERE, BESIDE):
        show(desk).list(where, ALL, "", 50)
        show(desk).get(where, id_of(0))
    show(desk).list(VaultPlaces("default"), ALL, "", 50)
    assert desk.vault.objects == before


def test_a_store_that_does_not_answer_is_told_as_such() -> None:
    desk = at_desk(VERIFIED)
    desk.vault.failing["catalog"] = [VaultUnavailable("The vault did not answer.")]
    with pytest.raises(VaultUnavailable):
        show(desk).list(HERE, ALL, "", 50)
