"""Vaults are probed every hour; one that goes offline blocks its rules, which go on by themselves when it is back."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.errors import (
    InvalidRequest,
    RdbkeeperError,
    TableUnavailable,
    VaultDenied,
    VaultUnavailable,
    VaultUnfit,
)
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.status import Block
from rdbkeeper.domain.vault import Capabilities, LockState, VaultBinding
from rdbkeeper.ports import ProbeFindings, Record
from tests.flows.desk import NAME, NOW, Desk, new_rule
from tests.flows.order import disorders
from tests.flows.requests import AS_CREATED, made

GONE = VaultUnavailable("The bucket copies-offsite did not answer.", hint="Look at its endpoint.")


@pytest.fixture
def desk() -> Desk:
    """A rule in the default vault and one in another; every vault has been probed."""
    desk = Desk()
    made(desk)
    desk.vaults.bind(VaultBinding("offsite", "copies-offsite", NOW))
    desk.register.create(new_rule("second", vault="offsite"))
    for _ in range(6):  # long enough for the rules to be no new ones
        desk.reconcile().run()
        desk.clock.advance(3600)
    desk.vaults.probe("default")
    desk.vaults.probe("offsite")
    desk.adapters.probed.clear()
    desk.journal.lines.clear()
    return desk


def codes(answer: Record, what: str = "repairs") -> list[str]:
    return [record["code"] for record in answer[what]]


def an_hour_later(desk: Desk) -> Record:
    desk.clock.advance(3600)
    return desk.reconcile().run()


def block(desk: Desk, name: str = "second") -> Block | None:
    return desk.tables.rules.find_status(name).block


def test_every_vault_is_probed_lightly_every_hour_and_closely_every_day(desk: Desk) -> None:
    for _ in range(23):
        an_hour_later(desk)
    assert desk.adapters.probed == [("default", False), ("offsite", False)] * 23
    desk.adapters.probed.clear()
    an_hour_later(desk)
    assert desk.adapters.probed == [("default", True), ("offsite", True)]


def test_a_light_probe_leaves_what_the_close_one_saw(desk: Desk) -> None:
    before = desk.vaults.get("offsite")["vault"]
    an_hour_later(desk)
    after = desk.vaults.get("offsite")["vault"]
    assert after.pop("probed_at") > before.pop("probed_at")
    assert after == before


LOCKING = Capabilities(locks=True, default_lock_days=30)


def test_a_bucket_that_begins_to_lock_is_looked_at_closely_within_the_hour(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(binding: VaultBinding, *, closely: bool) -> ProbeFindings:
        desk.adapters.probed.append((binding.name, closely))
        if binding.name == "default":
            return ProbeFindings("eu-west-1", Capabilities() if closely else None, (), LockState())
        if closely:
            return ProbeFindings("eu-west-1", LOCKING, ("It locks for 30 days.",))
        return ProbeFindings("eu-west-1", None, (), LOCKING.lock_state)

    monkeypatch.setattr(desk.adapters, "probe_vault", find)
    an_hour_later(desk)
    assert sorted(desk.adapters.probed) == [("default", False), ("offsite", False), ("offsite", True)]
    vault = desk.vaults.get("offsite")["vault"]
    assert (vault["capabilities"]["locks"], vault["capabilities"]["default_lock_days"]) == (True, 30)
    assert vault["warnings"] == ["It locks for 30 days."]
    desk.adapters.probed.clear()
    an_hour_later(desk)
    assert sorted(desk.adapters.probed) == [("default", False), ("offsite", False)], "it locks as is known by now"


def test_a_store_that_does_not_tell_how_it_locks_is_believed_to_lock_as_before(desk: Desk) -> None:
    desk.adapters.probes["offsite"] = ProbeFindings("eu-west-1", LOCKING)
    desk.vaults.probe("offsite")
    desk.adapters.probes["offsite"] = ProbeFindings("eu-west-1", None)
    an_hour_later(desk)
    assert desk.vaults.get("offsite")["vault"]["capabilities"]["locks"] is True


def test_a_vault_that_goes_offline_blocks_its_own_rules_alone_and_says_why(desk: Desk) -> None:
    desk.adapters.probes["offsite"] = GONE
    answer = an_hour_later(desk)
    assert codes(answer, "reports") == ["VaultOffline", "RuleBlocked"]
    rule = desk.shown("second")
    assert (rule["state"], rule["hint"]) == ("blocked", "Look at its endpoint.")
    assert rule["reason"].startswith("VaultOffline: The vault offsite is offline: VaultUnavailable: The bucket")
    assert desk.shown(NAME)["state"] == "active"
    known = block(desk)
    assert known is not None and not known.owes_run


def test_it_is_told_once_and_over_by_itself(desk: Desk) -> None:
    desk.adapters.probes["offsite"] = GONE
    an_hour_later(desk)
    assert codes(an_hour_later(desk), "reports") == []
    del desk.adapters.probes["offsite"]
    assert codes(an_hour_later(desk)) == ["VaultAvailable", "RuleUnblocked"]
    assert desk.shown("second")["state"] == "active"
    assert not desk.fleet.going.get("second"), "no run was put off, so none is caught up"
    assert codes(an_hour_later(desk)) == []
    assert [event for event in desk.journal.events() if event.startswith("Vault")] == ["VaultOffline", "VaultAvailable"]


def test_a_run_that_failed_meanwhile_is_caught_up(desk: Desk) -> None:
    desk.adapters.probes["offsite"] = GONE
    an_hour_later(desk)
    failing = desk.adapters.others["offsite"].failing
    failing["catalog"] = [GONE] * 9
    with pytest.raises(VaultUnavailable):
        desk.fire("second")
    failing.clear()
    an_hour_later(desk)
    known = block(desk)
    assert known is not None and (known.code, known.owes_run) == ("VaultOffline", True)
    del desk.adapters.probes["offsite"]
    assert codes(an_hour_later(desk)) == ["VaultAvailable", "RuleUnblocked", "RunCaughtUp"]


def test_what_only_a_close_probe_can_find_is_not_taken_for_gone_by_a_light_one(desk: Desk) -> None:
    desk.adapters.probes["offsite"] = VaultUnfit("It reads what it was not given.")
    desk.vaults.probe("offsite")
    desk.adapters.probed.clear()
    an_hour_later(desk)
    assert ("offsite", True) in desk.adapters.probed
    assert desk.vaults.get("offsite")["vault"]["state"] == "offline"


@pytest.mark.parametrize("error", [GONE, InvalidRequest("The address is a private one.", field="endpoint", hint="No.")])
def test_one_bad_vault_keeps_no_other_from_being_probed(desk: Desk, error: RdbkeeperError) -> None:
    desk.adapters.probes["default"] = error
    answer = an_hour_later(desk)
    assert [name for name, _ in desk.adapters.probed] == ["default", "offsite"]
    assert answer["failures"] == []
    assert (desk.shown(NAME)["state"], desk.shown("second")["state"]) == ("blocked", "active")


def test_a_defect_in_one_probe_is_that_vaults_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = desk.adapters.probe_vault

    def stumble(binding: VaultBinding, *, closely: bool) -> ProbeFindings:
        if binding.name == "default":
            raise KeyError(binding.name)
        return probe(binding, closely=closely)

    monkeypatch.setattr(desk.adapters, "probe_vault", stumble)
    an_hour_later(desk)
    assert desk.shown(NAME)["reason"].startswith("VaultOffline: The vault default is offline: UnexpectedError")
    assert desk.shown("second")["state"] == "active"


def test_a_probe_that_cannot_be_put_on_record_is_told_and_stops_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, report: object) -> None:
        raise TableUnavailable("PutItem did not answer.")

    monkeypatch.setattr(desk.tables.vaults, "record_probe", fail)
    desk.fleet.delete_alarm_by_hand(NAME)
    answer = an_hour_later(desk)
    assert codes(answer) == ["AlarmMade"]
    assert [failure["rule"] for failure in answer["failures"]] == ["vault default", "vault offsite"]


def test_no_probe_is_begun_that_might_not_end_in_time(desk: Desk) -> None:
    desk.seconds_left = 60.0
    answer = an_hour_later(desk)
    assert desk.adapters.probed == []
    assert answer["left"] == ["vault default", "vault offsite"]


def test_a_dry_run_probes_nothing(desk: Desk) -> None:
    desk.reconcile().run(dry_run=True)
    assert desk.adapters.probed == []


def test_looking_closely_examines_every_vault(desk: Desk) -> None:
    desk.reconcile().run(closely=True)
    assert desk.adapters.probed == [("default", True), ("offsite", True)]


def test_a_rule_whose_instance_is_gone_as_well_is_told_that_first(desk: Desk) -> None:
    desk.adapters.probes["default"] = GONE
    desk.source.remove_instance("orders")
    an_hour_later(desk)
    assert desk.shown(NAME)["reason"].startswith("InstanceNotFound")
    desk.source.add_instance("orders")
    an_hour_later(desk)
    assert desk.shown(NAME)["reason"].startswith("VaultOffline")


def test_a_rule_whose_vault_is_not_registered_any_more_is_blocked_until_it_is(desk: Desk) -> None:
    desk.tables.vault_records.clear()  # as after the table was put back to an earlier day
    an_hour_later(desk)
    assert desk.shown("second")["reason"] == "VaultNotFound: There is no vault offsite."
    desk.vaults.bind(VaultBinding("offsite", "copies-offsite", NOW))
    an_hour_later(desk)
    assert desk.shown("second")["state"] == "active"


def test_a_denial_that_a_run_met_gives_way_to_what_the_probe_finds(desk: Desk) -> None:
    desk.tables.rules.record_block("second", Block("VaultDenied", "Listing was denied.", owes_run=True))
    desk.adapters.probes["offsite"] = VaultDenied("Listing was denied to all.")
    an_hour_later(desk)
    known = block(desk)
    assert known is not None and (known.code, known.owes_run) == ("VaultOffline", True)


# Rules that are made while their vault is offline


@pytest.fixture
def offline(desk: Desk) -> Desk:
    desk.adapters.probes["offsite"] = GONE
    an_hour_later(desk)
    vault = desk.adapters.others["offsite"]
    vault.failing.update({method: [GONE] * 9 for method in ("find_object", "create_object", "catalog")})
    return desk


def back_again(desk: Desk) -> Record:
    del desk.adapters.probes["offsite"]
    desk.adapters.others["offsite"].failing.clear()
    return an_hour_later(desk)


def test_a_rule_in_an_offline_vault_is_registered_and_blocked_and_goes_on_by_itself(offline: Desk) -> None:
    rule = offline.register.create(new_rule("third", vault="offsite", prefix="third/"))["rule"]
    assert rule["state"] == "blocked" and rule["reason"].startswith("VaultOffline")
    assert any("once its vault is available again" in note for note in rule["notes"])
    assert disorders(offline) == []
    answer = back_again(offline)
    assert "PlaceClaimed" in codes(answer)
    assert offline.shown("third")["state"] == "active"
    assert "third/orders/claim.json" in offline.adapters.others["offsite"].objects


def test_a_rule_that_moves_to_an_offline_vault_is_blocked_and_leaves_its_old_place(offline: Desk) -> None:
    rule = offline.register.update(NAME, AS_CREATED, RuleEdit(vault="offsite", prefix="moved/"))["rule"]
    assert rule["state"] == "blocked"
    assert not [key for key in offline.vault.objects if key.endswith("claim.json")]
    assert "PlaceClaimed" in codes(back_again(offline))


def test_a_rule_of_an_offline_vault_can_be_deleted_and_moved_away(offline: Desk) -> None:
    offline.register.update("second", AS_CREATED, RuleEdit(vault="default", prefix="home/"))
    assert offline.shown("second")["state"] == "active"
    offline.register.delete("second")
    assert "ClaimLeft" in offline.journal.events()
    assert [rule.name for rule in offline.tables.rules.rules()] == [NAME]
