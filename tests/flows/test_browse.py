"""Showing what could be protected."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rdbkeeper.domain.backup import BackupState
from rdbkeeper.domain.errors import InstanceNotFound, SourceDenied
from rdbkeeper.flows.rules.browse import BrowseSources
from tests.fakes.rdb_files import rdb_file
from tests.flows.desk import NAME, NOW, Desk, new_rule
from tests.flows.order import picture
from tests.flows.requests import made


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    made(desk)
    return desk


def test_instances_are_shown_by_name_with_their_backup_settings_and_who_protects_them(desk: Desk) -> None:
    desk.source.add_instance("careless", retention_days=0)
    desk.source.set_status("sessions", "modifying", available=False)
    desk.register.create(new_rule("hourly", prefix="hourly/"))
    desk.source.add_backup("orders", "automatic.orders-1", NOW, {"0001": b""})
    shown = {instance["instance"]: instance for instance in desk.browse.instances("elasticache")["instances"]}
    assert list(shown) == ["careless", "orders", "sessions"]
    assert shown["orders"] == {
        "instance": "orders",
        "engine": "redis",
        "status": "available",
        "available": True,
        "backups_enabled": True,
        "backup_retention_days": 7,
        "backup_window": "02:00-03:00",
        "backup_count": 1,
        "rules": ["hourly", NAME],
    }
    assert not shown["careless"]["backups_enabled"]
    assert (shown["sessions"]["status"], shown["sessions"]["available"]) == ("modifying", False)
    assert (shown["sessions"]["backup_count"], shown["sessions"]["rules"]) == (0, [])


def test_backups_are_shown_newest_first_with_who_keeps_each(desk: Desk) -> None:
    add = desk.source.add_backup
    add("orders", "automatic.orders-1", NOW, {"0001": rdb_file(200)}, source_size="1 GB")
    desk.fire()
    desk.register.create(new_rule("second", prefix="second/"))
    desk.fire("second")
    add("orders", "automatic.orders-2", NOW + timedelta(days=1), {"0001": b"", "0002": b""})
    add("orders", "manual-1", None, {"0001": b""}, BackupState.IN_PROGRESS, automatic=False)
    add("orders", "manual-2", None, {"0001": b""}, BackupState.FAILED, automatic=False)
    before = picture(desk)
    backups = desk.browse.backups("elasticache", "orders")["backups"]
    assert [backup["backup_id"] for backup in backups[2:]] == ["automatic.orders-2", "automatic.orders-1"]
    assert {backup["state"] for backup in backups[:2]} == {"in progress", "failed"}
    assert backups[2] == {
        "backup_id": "automatic.orders-2",
        "automatic": True,
        "state": "complete",
        "taken_at": "2026-11-22T03:00:00+00:00",
        "files": 2,
        "source_size": "",
        "kept": False,
        "kept_by": [],
    }
    assert backups[3]["kept"]
    assert backups[3]["kept_by"] == [{"rule": NAME, "level": "verified"}, {"rule": "second", "level": "verified"}]
    assert picture(desk) == before


def test_a_copy_of_another_instances_backup_is_not_taken_for_this_ones(desk: Desk) -> None:
    for name in ("orders", "sessions"):
        desk.source.add_backup(name, "nightly", NOW, {"0001": rdb_file(200)}, automatic=False)
    desk.fire()
    assert not desk.browse.backups("elasticache", "sessions")["backups"][0]["kept"]


def test_the_backups_of_an_instance_that_is_not_there_are_refused(desk: Desk) -> None:
    with pytest.raises(InstanceNotFound) as refused:
        desk.browse.backups("elasticache", "nowhere")
    assert refused.value.field == "instance"


def test_a_provider_that_refuses_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise SourceDenied("DescribeReplicationGroups failed: AccessDenied.")

    monkeypatch.setattr(desk.source, "instances", refuse)
    browse: BrowseSources = desk.browse
    with pytest.raises(SourceDenied):
        browse.instances("elasticache")
