"""Vaults are bound, shown, edited, probed and let go of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from rdbkeeper.domain.errors import (
    BucketTaken,
    InvalidRequest,
    NameTaken,
    RdbkeeperError,
    RevisionStale,
    RuleBusy,
    RuleNotReady,
    TableUnavailable,
    VaultDenied,
    VaultInUse,
    VaultNotFound,
    VaultUnavailable,
    VaultUnfit,
)
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.vault import Addressing, Capabilities, LockMode, StoreSum, VaultBinding, VaultOptions
from rdbkeeper.domain.vault_edit import VaultEdit
from rdbkeeper.ports import ProbeFindings, Record
from tests.fakes.faults import Faults, FaultyPort
from tests.flows.desk import NAME, NOW, STAGING_BUCKET, Desk, Through, directly, new_rule
from tests.flows.disturbances import Killed, Meanwhile, count_calls, once_at, unavailable
from tests.flows.requests import AS_CREATED, made

ROLE = "arn:aws:iam::000000000000:role/copies"
Act = Callable[[Desk], None]
OFFSITE = VaultBinding("offsite", "copies-offsite", NOW, role=ROLE, note="far away")
WEAK = Capabilities(sum=StoreSum.NONE, conditional_create=False)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def bind(desk: Desk, binding: VaultBinding = OFFSITE) -> Record:
    vault: Record = desk.vaults.bind(binding)["vault"]
    return vault


def registered(desk: Desk) -> Record:
    return {**desk.tables.vault_records, **desk.tables.probe_records}


# Binding


def test_a_bound_vault_is_probed_closely_and_shown_with_what_its_store_honours(desk: Desk) -> None:
    desk.adapters.probes["offsite"] = ProbeFindings("eu-central-1", WEAK, ("Copies will be unchecked.",))
    vault = bind(desk)
    assert desk.adapters.probed == [("offsite", True)]
    assert (vault["state"], vault["reason"], vault["region"]) == ("available", "", "eu-central-1")
    assert vault["capabilities"] == WEAK.as_record()
    assert vault["warnings"] == ["Copies will be unchecked."]
    assert vault["examined_at"] == vault["probed_at"] == "2026-11-21T03:00:00+00:00"
    assert vault["rules"] == []
    assert desk.journal.events() == ["VaultBound"]


def test_no_account_number_is_in_what_is_shown_of_a_vault(desk: Desk) -> None:
    key = "arn:aws:kms:eu-west-1:000000000000:key/1"
    vault = bind(desk, replace(OFFSITE, options=VaultOptions(kms_key=key)))
    assert (vault["role"], vault["options"]["kms_key"]) == ("role/copies", "key/1")
    assert "000000000000" not in json.dumps(desk.vaults.list()) + json.dumps(vault) + desk.journal.text()


def test_a_vault_whose_probe_fails_is_not_bound_and_says_why(desk: Desk) -> None:
    desk.adapters.probes["offsite"] = VaultDenied(
        "Listing the bucket failed: s3:ListBucket is lacking.", hint="Grant it."
    )
    with pytest.raises(VaultDenied, match="s3:ListBucket"):
        bind(desk)
    assert registered(desk) == {}


def test_the_same_binding_again_gives_the_same_vault(desk: Desk) -> None:
    first = bind(desk)
    desk.clock.advance(3600)
    assert bind(desk, replace(OFFSITE, created_at=desk.clock.now())) == first
    assert len(desk.adapters.probed) == 1


def test_another_vault_of_the_same_name_is_refused(desk: Desk) -> None:
    bind(desk)
    for other in (replace(OFFSITE, bucket="other-copies"), replace(OFFSITE, options=VaultOptions(lock_days=1))):
        with pytest.raises(NameTaken):
            bind(desk, other)
    with pytest.raises(NameTaken):
        bind(desk, VaultBinding("default", "copies-of-mine", NOW))


@pytest.mark.parametrize("bucket", ["the-default-bucket", STAGING_BUCKET, "copies-offsite"])
def test_a_bucket_that_is_something_else_already_is_refused(desk: Desk, bucket: str) -> None:
    bind(desk)
    with pytest.raises(BucketTaken) as refused:
        bind(desk, VaultBinding("second", bucket, NOW))
    assert refused.value.field == "bucket" and refused.value.hint
    assert len(desk.adapters.probed) == 1


def test_buckets_of_one_name_at_two_stores_are_two_vaults(desk: Desk) -> None:
    bind(desk)
    elsewhere = VaultBinding(
        "elsewhere",
        OFFSITE.bucket,
        NOW,
        endpoint="https://minio.example.com",
        addressing=Addressing.PATH,
        secret="rdbkeeper/minio",
    )
    bind(desk, elsewhere)
    with pytest.raises(BucketTaken):
        bind(desk, replace(elsewhere, name="third", endpoint="https://MINIO.example.com:443/"))
    with pytest.raises(BucketTaken):
        bind(desk, replace(elsewhere, name="third", endpoint="https://minio.example.com."))


ELSEWHERE = VaultBinding(
    "elsewhere", OFFSITE.bucket, NOW, endpoint="https://s3.example.com", secret="rdbkeeper/s3", region="eu-west-1"
)


def test_a_bucket_that_is_a_vault_by_another_spelling_of_its_address_is_refused(desk: Desk) -> None:
    bind(desk)
    desk.adapters.others["elsewhere"] = desk.adapters.others["offsite"]
    with pytest.raises(BucketTaken, match="offsite") as refused:
        bind(desk, ELSEWHERE)
    assert refused.value.field == "bucket" and "elsewhere" not in desk.tables.vault_records
    assert desk.adapters.others["offsite"].objects == {}


def test_looking_whether_two_buckets_are_one_leaves_nothing_in_either(desk: Desk) -> None:
    bind(desk)
    bind(desk, ELSEWHERE)
    assert desk.adapters.others["elsewhere"].removed, "a mark was there"
    assert desk.adapters.others["elsewhere"].objects == desk.adapters.others["offsite"].objects == {}


def test_a_vault_that_does_not_answer_keeps_no_bucket_of_the_same_name_from_being_bound(desk: Desk) -> None:
    bind(desk)
    desk.adapters.others["offsite"].failing["find_object"] = [VaultUnavailable("no answer")]
    bind(desk, ELSEWHERE)
    assert "BucketNotCompared" in desk.journal.events()


def test_nothing_is_bound_while_the_stack_goes(desk: Desk) -> None:
    desk.tables.rules.record_fleet_end(ended=True)
    with pytest.raises(RuleNotReady):
        bind(desk)


def test_two_people_who_bind_one_bucket_at_once_do_not_both_get_it() -> None:
    calls = count_calls(lambda through: Desk().actions(through).vaults.bind(OFFSITE))
    for number, _ in enumerate(calls, 1):
        desk = Desk()
        refused: list[RdbkeeperError] = []

        def second(desk: Desk = desk, refused: list[RdbkeeperError] = refused) -> None:
            try:
                desk.vaults.bind(replace(OFFSITE, name="second"))
            except BucketTaken as error:
                refused.append(error)

        try:
            desk.actions(Meanwhile(once_at(number, second)).before).vaults.bind(OFFSITE)
        except BucketTaken as error:
            refused.append(error)
        assert len(refused) == 1 and len(desk.tables.vault_records) == 1, number


def test_a_binding_that_is_cut_off_anywhere_is_finished_by_sending_it_again() -> None:
    healthy = Desk()
    end = bind(healthy)
    for what, through in _disturbances(lambda desk, through: desk.actions(through).vaults.bind(OFFSITE)):
        desk = Desk()
        with pytest.raises((RdbkeeperError, Killed)):
            desk.actions(through).vaults.bind(OFFSITE)
        assert bind(desk) == end, what
        assert registered(desk) == registered(healthy), what


# Showing


def test_all_vaults_are_listed_with_how_they_are_and_who_uses_them(desk: Desk) -> None:
    made(desk)
    bind(desk)
    desk.register.create(new_rule("second", vault="offsite"))
    listed = {vault["name"]: vault for vault in desk.vaults.list()["vaults"]}
    assert list(listed) == ["default", "offsite"]
    assert (listed["default"]["state"], listed["default"]["rules"]) == ("unknown", [NAME])
    assert (listed["offsite"]["state"], listed["offsite"]["rules"]) == ("available", ["second"])


def test_the_default_vault_is_there_without_ever_having_been_bound(desk: Desk) -> None:
    vault = desk.vaults.get("default")["vault"]
    assert (vault["bucket"], vault["capabilities"]) == ("the-default-bucket", None)
    assert vault["console"].startswith("https://eu-west-1.console.aws.amazon.com/s3/")


def test_a_vault_that_is_not_there_is_not_found(desk: Desk) -> None:
    for ask in (desk.vaults.get, desk.vaults.unbind, desk.vaults.probe):
        with pytest.raises(VaultNotFound) as refused:
            ask("nowhere")
        assert refused.value.field == "name" and refused.value.hint
    with pytest.raises(VaultNotFound):
        desk.vaults.update("nowhere", 1, VaultEdit(note="a"))


# Editing


def test_a_note_is_edited_without_a_probe(desk: Desk) -> None:
    bind(desk)
    vault = desk.vaults.update("offsite", 1, VaultEdit(note="nearer"))["vault"]
    assert (vault["note"], vault["revision"]) == ("nearer", 2)
    assert len(desk.adapters.probed) == 1


def test_other_options_are_put_when_the_vault_can_be_used_with_them(desk: Desk) -> None:
    bind(desk)
    edit = VaultEdit(options={"lock_days": 30, "lock_mode": LockMode.COMPLIANCE})
    desk.adapters.probes["offsite"] = ProbeFindings("eu-west-1", Capabilities(locks=True))
    vault = desk.vaults.update("offsite", 1, edit)["vault"]
    assert (vault["options"]["lock_days"], vault["capabilities"]["locks"]) == (30, True)
    desk.adapters.probes["offsite"] = VaultUnfit("It has no lock.", hint="Leave it.")
    with pytest.raises(VaultUnfit):
        desk.vaults.update("offsite", 2, VaultEdit(options={"lock_days": 60}))
    assert desk.vaults.get("offsite")["vault"] == vault


def test_the_same_edit_again_gives_the_same_result(desk: Desk) -> None:
    bind(desk)
    edit = VaultEdit(note="nearer", options={"lock_days": 1})
    assert desk.vaults.update("offsite", 1, edit) == desk.vaults.update("offsite", 1, edit)
    assert desk.vaults.get("offsite")["vault"]["revision"] == 2


def test_an_edit_of_what_somebody_else_has_edited_is_refused(desk: Desk) -> None:
    bind(desk)
    desk.vaults.update("offsite", 1, VaultEdit(note="nearer"))
    with pytest.raises(RevisionStale):
        desk.vaults.update("offsite", 1, VaultEdit(note="farther"))
    somebody = Meanwhile(lambda number, call: _edit_meanwhile(desk, call))
    with pytest.raises(RevisionStale):
        desk.actions(somebody.before).vaults.update("offsite", 2, VaultEdit(options={"lock_days": 1}))
    assert desk.vaults.get("offsite")["vault"]["note"] == "in between"


def _edit_meanwhile(desk: Desk, call: str) -> None:
    if call == "MemoryAdapters.probe_vault":
        desk.vaults.update("offsite", 2, VaultEdit(note="in between"))


def test_options_of_the_default_vault_can_be_edited(desk: Desk) -> None:
    vault = desk.vaults.update("default", 1, VaultEdit(note="ours", options={"storage_class": "STANDARD_IA"}))["vault"]
    assert (vault["note"], vault["options"]["storage_class"], vault["revision"]) == ("ours", "STANDARD_IA", 2)
    assert vault["bucket"] == "the-default-bucket"


# Letting go


def test_a_vault_that_no_rule_uses_is_let_go_of_and_its_copies_stay(desk: Desk) -> None:
    bind(desk)
    desk.adapters.others["offsite"].objects["redis/orders/x/0001.rdb"] = b"a copy"
    answer = desk.vaults.unbind("offsite")
    assert answer["copies_stay_at"] == {"bucket": "copies-offsite", "endpoint": ""}
    assert registered(desk) == {}
    assert desk.adapters.others["offsite"].objects


def test_a_vault_that_rules_use_stays_and_they_are_named(desk: Desk) -> None:
    bind(desk)
    for name in ("first", "second"):
        desk.register.create(new_rule(name, vault="offsite", prefix=f"{name}/"))
    with pytest.raises(VaultInUse, match=r"first, second\.") as refused:
        desk.vaults.unbind("offsite")
    assert refused.value.hint
    desk.register.delete("first")
    desk.register.update("second", AS_CREATED, RuleEdit(vault="default"))
    desk.vaults.unbind("offsite")
    assert [vault["name"] for vault in desk.vaults.list()["vaults"]] == ["default"]


def test_the_default_vault_cannot_be_let_go_of(desk: Desk) -> None:
    with pytest.raises(InvalidRequest) as refused:
        desk.vaults.unbind("default")
    assert refused.value.field == "name"


@pytest.mark.parametrize("takes", ["create", "move"])
def test_no_rule_is_left_without_its_vault_when_both_happen_at_once(takes: str) -> None:
    def prepare() -> Desk:
        desk = Desk()
        made(desk)
        bind(desk)
        return desk

    def take(desk: Desk, through: Through = directly) -> None:
        register = desk.actions(through).register
        if takes == "create":
            register.create(new_rule("second", vault="offsite"))
        else:
            register.update(NAME, AS_CREATED, RuleEdit(vault="offsite"))

    def unbind(desk: Desk, through: Through = directly) -> None:
        desk.actions(through).vaults.unbind("offsite")

    for first, second in ((take, unbind), (unbind, take)):
        calls = count_calls(lambda through, first=first: first(prepare(), through))
        for number, call in enumerate(calls, 1):
            desk = prepare()
            refusals: list[RdbkeeperError] = []

            def come_between(desk: Desk = desk, refusals: list[RdbkeeperError] = refusals, then: Act = second) -> None:
                _note(refusals, lambda: then(desk))

            meanwhile = Meanwhile(once_at(number, come_between))
            _note(refusals, lambda desk=desk, meanwhile=meanwhile, first=first: first(desk, meanwhile.before))
            [refusal] = refusals
            assert isinstance(refusal, VaultInUse | VaultNotFound | RuleBusy), f"{call}: {refusal}"
            known = {vault.name for vault in desk.tables.vaults.vaults()}
            assert {rule.vault for rule in desk.tables.rules.rules()} <= known, call


def _note(refusals: list[RdbkeeperError], act: Callable[[], object]) -> None:
    try:
        act()
    except RdbkeeperError as error:
        refusals.append(error)


# Probing


def test_a_probe_on_request_is_a_close_one_and_shows_what_is_wrong(desk: Desk) -> None:
    bind(desk)
    desk.adapters.probes["offsite"] = VaultUnavailable("The bucket did not answer.", hint="Look at it.")
    vault = desk.vaults.probe("offsite")["vault"]
    assert (vault["state"], vault["hint"]) == ("offline", "Look at it.")
    assert vault["reason"] == "VaultUnavailable: The bucket did not answer."
    assert vault["capabilities"], "what was seen before is still known"
    del desk.adapters.probes["offsite"]
    assert desk.vaults.probe("offsite")["vault"]["state"] == "available"
    assert desk.adapters.probed == [("offsite", True)] * 3
    assert desk.journal.events() == ["VaultBound", "VaultOffline", "VaultAvailable"]


def _disturbances(send: Callable[[Desk, Through], object]) -> list[tuple[str, Through]]:
    found: list[tuple[str, Through]] = []
    for number, call in enumerate(count_calls(lambda through: send(Desk(), through)), 1):
        for when in ("before", "after"):
            for error in (unavailable(call), Killed(), TableUnavailable("no answer")):
                faults = Faults(number, when, error)
                found.append((f"{error!r} {when} {call}", lambda port, faults=faults: FaultyPort(port, faults)))
    return found
