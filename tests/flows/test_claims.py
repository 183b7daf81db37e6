"""Two stacks on one bucket: a place bears the claim of the one whose rule keeps copies there."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from rdbkeeper.domain.catalog import Level, claim_key, manifest_key
from rdbkeeper.domain.claim import make_claim
from rdbkeeper.domain.errors import PlaceTaken, RdbkeeperError, StoreMismatch, VaultDenied, VaultUnavailable
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.vault import VaultBinding
from rdbkeeper.flows.fleet.claim_upkeep import KeepClaims
from rdbkeeper.flows.vaults.claims import claim_place, release_place
from rdbkeeper.ports import Record
from tests.fakes.faults import Faults, FaultyPort
from tests.fakes.fleet import SETTINGS
from tests.fakes.vault import MemoryVault
from tests.flows.desk import NAME, NOW, Desk, Through, directly, new_rule
from tests.flows.disturbances import Killed, count_calls, unavailable
from tests.flows.order import disorders, picture
from tests.flows.requests import AS_CREATED, half_created, made

PATH = "redis/orders/"
KEY = claim_key(PATH)
DENIED = VaultDenied("s3:PutObject is lacking.", hint="Grant it.")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def other(desk: Desk) -> Desk:
    """Another stack, which keeps its copies in the same bucket."""
    other = Desk()
    other.adapters.the_vault = desk.vault
    other.fleet.settings = replace(SETTINGS, stack="the-other-stack")
    return other


def claims(desk: Desk) -> dict[str, str]:
    """Whose each claim is: the stack's name and the rule's."""
    found = {key: json.loads(body) for key, body in desk.vault.objects.items() if key.endswith("claim.json")}
    return {key: f"{claim['stack_name']}/{claim['rule']}" for key, claim in found.items()}


def codes(answer: Record, what: str = "repairs") -> list[str]:
    return [record["code"] for record in answer[what]]


def test_a_rule_claims_its_place_and_lets_go_of_it_when_it_is_deleted(desk: Desk) -> None:
    desk.register.create(new_rule())
    assert claims(desk) == {KEY: f"rdbkeeper/{NAME}"}
    desk.register.delete(NAME)
    assert desk.vault.objects == {}


def test_a_claim_says_to_people_whose_it_is_and_names_no_account(desk: Desk) -> None:
    desk.fleet.settings = replace(desk.fleet.settings, stack_id="arn:aws:cloudformation:eu-west-1:000000000000:stack/a")
    desk.register.create(new_rule())
    claim = json.loads(desk.vault.objects[KEY])
    assert claim.pop("stack").isalnum()
    assert claim == {
        "format": "rdbkeeper-claim/1",
        "stack_name": "rdbkeeper",
        "rule": NAME,
        "claimed_at": "2026-11-21T03:00:00+00:00",
    }
    assert b"000000000000" not in desk.vault.objects[KEY]


@pytest.mark.parametrize("of_same_name", [True, False])
def test_a_place_of_another_stack_is_refused_and_nothing_is_made(desk: Desk, other: Desk, of_same_name: bool) -> None:
    if of_same_name:
        other.fleet.settings = replace(SETTINGS, stack_id="the same name in another region")
    other.register.create(new_rule("theirs"))
    before = dict(desk.vault.objects)
    with pytest.raises(PlaceTaken) as refused:
        desk.register.create(new_rule())
    assert refused.value.field == "prefix" and '"take_over": true' in refused.value.hint
    assert "theirs" in refused.value.message and "2026-11-21T03:00:00" in refused.value.message
    with pytest.raises(PlaceTaken):
        desk.show.preview_wish(new_rule())
    assert desk.nothing_was_made() and desk.vault.objects == before
    assert desk.tables.rules.find_deletion(NAME) is None, "there was no rule that could have been deleted"


def test_a_place_of_a_stack_that_is_gone_is_taken_over_on_demand(desk: Desk, other: Desk) -> None:
    other.register.create(new_rule("theirs"))
    desk.register.create(new_rule(), take_over=True)
    assert claims(desk) == {KEY: f"rdbkeeper/{NAME}"}
    other.register.delete("theirs")
    assert claims(desk) == {KEY: f"rdbkeeper/{NAME}"}, "a stack lets go of its own claim alone"


def test_taking_over_may_be_cut_off_anywhere_and_sent_again() -> None:
    def world() -> Desk:
        desk = Desk()
        desk.vault.objects[KEY] = make_claim("gone", "", new_rule("theirs"), NOW).to_json()
        return desk

    def create(desk: Desk, through: Through = directly) -> None:
        desk.actions(through).register.create(new_rule(), take_over=True)

    healthy = world()
    calls = count_calls(lambda through: create(healthy, through))
    for number, call in enumerate(calls, 1):
        for when in ("before", "after"):
            for error in (unavailable(call), Killed()):
                desk, faults = world(), Faults(number, when, error)
                with suppress(RdbkeeperError, Killed):
                    create(desk, lambda port, faults=faults: FaultyPort(port, faults))
                create(desk)
                assert picture(desk) == picture(healthy), f"{error!r} {when} {call}"
                assert claims(desk) == {KEY: f"rdbkeeper/{NAME}"}


def test_a_stack_that_is_taken_down_lets_go_of_its_places(desk: Desk, other: Desk) -> None:
    other.register.create(new_rule("theirs"))
    other.reconcile().end()
    desk.register.create(new_rule())
    assert claims(desk) == {KEY: f"rdbkeeper/{NAME}"}


def test_a_stack_that_is_there_after_all_has_its_places_again(desk: Desk) -> None:
    desk.register.create(new_rule())
    desk.reconcile().run()
    desk.reconcile().end()
    assert claims(desk) == {}
    desk.reconcile().begin()
    assert claims(desk) == {KEY: f"rdbkeeper/{NAME}"}


def test_copies_that_somebody_left_are_no_claim(desk: Desk) -> None:
    copy_id = "20261120T021500Z-automatic.orders"
    desk.vault.objects[manifest_key(PATH, copy_id, Level.VERIFIED)] = b"{}"
    desk.register.create(new_rule())
    assert disorders(desk) == []


def test_a_move_claims_the_new_place_and_lets_go_of_the_old_one(desk: Desk) -> None:
    made(desk)
    desk.vaults.bind(VaultBinding("offsite", "copies-offsite", NOW))
    desk.register.update(NAME, AS_CREATED, RuleEdit(prefix="moved/"))
    assert claims(desk) == {claim_key("moved/orders/"): f"rdbkeeper/{NAME}"}
    desk.register.update(NAME, desk.rule().revision, RuleEdit(vault="offsite"))
    assert claims(desk) == {}
    assert claim_key("moved/orders/") in desk.adapters.others["offsite"].objects


def test_a_move_to_another_stacks_place_is_refused_unless_it_is_to_be_taken_over(desk: Desk, other: Desk) -> None:
    made(desk)
    other.register.create(new_rule("theirs", prefix="moved/"))
    edit = RuleEdit(prefix="moved/")
    with pytest.raises(PlaceTaken):
        desk.register.update(NAME, AS_CREATED, edit)
    assert desk.rule().revision == AS_CREATED and KEY in claims(desk)
    desk.register.update(NAME, AS_CREATED, edit, take_over=True)
    assert claims(desk) == {claim_key("moved/orders/"): f"rdbkeeper/{NAME}"}


def test_many_rules_take_places_over_together(desk: Desk, other: Desk) -> None:
    other.register.create(new_rule("theirs"))
    wanted = [(NAME, new_rule()), ("second", new_rule("second", instance="sessions"))]
    assert desk.register.create_many(wanted, 45, lambda: 900.0)["failed"] == 1
    assert desk.register.create_many(wanted, 45, lambda: 900.0, take_over=True)["failed"] == 0


def test_a_claim_that_cannot_be_read_is_somebodys(desk: Desk) -> None:
    for body in (b"", b"{}", b"[]", b'{"stack": 7}', b"\xff"):
        desk.vault.objects[KEY] = body
        with pytest.raises(PlaceTaken):
            desk.register.create(new_rule())
    desk.register.create(new_rule(), take_over=True)


def test_a_claim_that_a_former_rule_of_this_stack_left_is_replaced(desk: Desk) -> None:
    desk.register.create(new_rule("former"))
    desk.vault.failing["find_object"] = [VaultUnavailable("no answer")]
    desk.register.delete("former")
    assert "ClaimLeft" in desk.journal.events()
    desk.register.create(new_rule())
    assert claims(desk) == {KEY: f"rdbkeeper/{NAME}"}


@pytest.mark.parametrize("method", ["find_object", "create_object"])
def test_a_vault_that_does_not_let_a_place_be_claimed_lets_no_rule_be_made(desk: Desk, method: str) -> None:
    desk.vault.failing[method] = [DENIED]
    with pytest.raises(VaultDenied):
        desk.register.create(new_rule())
    assert desk.nothing_was_made() and claims(desk) == {}
    desk.register.create(new_rule())


def test_a_vault_that_is_not_there_any_more_keeps_no_rule_from_being_deleted(desk: Desk) -> None:
    desk.vaults.bind(VaultBinding("offsite", "copies-offsite", NOW))
    desk.register.create(new_rule(vault="offsite"))
    desk.tables.vault_records.clear()
    del desk.adapters.others["offsite"]
    desk.register.delete(NAME)
    assert desk.nothing_was_made()
    assert "ClaimLeft" in desk.journal.events()


# What reconciling mends


def test_a_claim_that_is_missing_is_put_when_the_vault_is_next_examined(desk: Desk) -> None:
    made(desk)
    del desk.vault.objects[KEY]  # by hand; or the rule is older than claims are
    assert codes(desk.reconcile().run()) == ["PlaceClaimed"]
    assert claims(desk) == {KEY: f"rdbkeeper/{NAME}"}
    assert codes(desk.reconcile().run()) == []


def test_a_place_that_another_stack_has_claimed_meanwhile_is_told_and_left(desk: Desk, other: Desk) -> None:
    made(desk)
    del desk.vault.objects[KEY]
    other.register.create(new_rule("theirs"))
    answer = desk.reconcile().run()
    assert codes(answer, "failures") == ["PlaceTaken"]
    assert "PlaceNotClaimed" in desk.journal.events()
    assert claims(desk) == {KEY: "the-other-stack/theirs"}


def test_a_creation_that_was_cut_off_is_undone_when_its_place_is_another_stacks(desk: Desk, other: Desk) -> None:
    half_created(desk)
    other.register.create(new_rule("theirs"))
    answer = desk.reconcile().run()
    assert "CreateUndone" in codes(answer) and codes(answer, "failures") == []
    assert desk.nothing_was_made()
    assert claims(desk) == {KEY: "the-other-stack/theirs"}


def claims_of(desk: Desk, vault: str) -> list[str]:
    return [json.loads(body)["rule"] for key, body in desk.adapters.vault(vault).objects.items() if key == KEY]


def bind_offsite(desk: Desk, name: str = "offsite", **facts: str) -> None:
    desk.vaults.bind(VaultBinding(name, "copies-offsite", NOW, **facts))


@pytest.mark.parametrize("repeat", ["the same request", "upkeep"])
def test_a_rule_that_moved_to_the_same_path_of_another_vault_keeps_its_claim(desk: Desk, repeat: str) -> None:
    made(desk)
    bind_offsite(desk)
    desk.register.update(NAME, AS_CREATED, RuleEdit(vault="offsite"))
    for _ in range(2):
        if repeat == "upkeep":
            desk.clock.advance(25 * 3600)
            assert "PlaceClaimed" not in codes(desk.reconcile().run())
        else:
            desk.register.update(NAME, AS_CREATED, RuleEdit(vault="offsite"))
        assert (claims_of(desk, "offsite"), claims_of(desk, "default")) == ([NAME], [])


@pytest.mark.parametrize("repeat", ["the same request", "upkeep"])
def test_a_claim_that_stayed_in_the_vault_that_a_rule_left_goes_later(desk: Desk, repeat: str) -> None:
    made(desk)
    bind_offsite(desk)
    left = dict(desk.vault.objects)
    desk.register.update(NAME, AS_CREATED, RuleEdit(vault="offsite"))
    desk.vault.objects.update(left)
    if repeat == "upkeep":
        desk.clock.advance(25 * 3600)
        desk.reconcile().run()
    else:
        desk.register.update(NAME, AS_CREATED, RuleEdit(vault="offsite"))
    assert (claims_of(desk, "offsite"), claims_of(desk, "default")) == ([NAME], [])


def test_a_claim_goes_when_the_vault_that_a_rule_has_left_is_back(desk: Desk) -> None:
    made(desk)
    bind_offsite(desk)
    left = dict(desk.vault.objects)
    desk.register.update(NAME, AS_CREATED, RuleEdit(vault="offsite"))
    desk.vault.objects.update(left)
    del desk.adapters.others["offsite"]  # nothing is asked of the one that is not due
    KeepClaims(desk.work(), lambda: True).keep([desk.rule()], {"default"})
    assert claims_of(desk, "default") == [] and "PlaceNotClaimed" not in desk.journal.events()


def test_a_vault_that_a_rule_has_left_and_that_is_let_go_of_since_is_not_missed(desk: Desk) -> None:
    made(desk)
    bind_offsite(desk)
    desk.register.update(NAME, AS_CREATED, RuleEdit(vault="offsite"))
    desk.register.update(NAME, desk.rule().revision, RuleEdit(vault="default"))
    desk.vaults.unbind("offsite")
    del desk.adapters.others["offsite"]
    desk.clock.advance(25 * 3600)
    desk.reconcile().run()
    assert "ClaimLeft" not in desk.journal.events() and claims_of(desk, "default") == [NAME]


# One bucket under two names


@pytest.fixture
def twice(desk: Desk) -> Desk:
    """A desk whose vaults `offsite` and `again` are one bucket, which nobody noticed when they were bound."""
    bind_offsite(desk)
    bind_offsite(desk, "again", endpoint="https://s3.example.com", secret="rdbkeeper/s3")
    desk.adapters.others["again"] = desk.adapters.others["offsite"]
    return desk


@pytest.mark.parametrize("take_over", [False, True])
def test_a_place_of_a_rule_of_this_stack_is_refused_by_whichever_name_its_vault_goes(
    twice: Desk, take_over: bool
) -> None:
    twice.register.create(new_rule("first", vault="offsite"))
    with pytest.raises(PlaceTaken, match="first"):
        twice.register.create(new_rule(vault="again"), take_over=take_over)
    assert claims_of(twice, "again") == ["first"] and twice.tables.rules.find_rule(NAME) is None


def test_upkeep_leaves_the_claim_of_a_rule_that_keeps_copies_there_and_tells_the_other(twice: Desk) -> None:
    twice.register.create(new_rule("first", vault="offsite"))
    kept = dict(twice.adapters.others["offsite"].objects)
    twice.adapters.others["offsite"].objects.clear()
    twice.register.create(new_rule(vault="again"))
    twice.adapters.others["offsite"].objects.clear()
    twice.adapters.others["offsite"].objects.update(kept)
    twice.clock.advance(25 * 3600)
    answer = twice.reconcile().run()
    assert codes(answer, "failures") == ["PlaceTaken"] and claims_of(twice, "again") == ["first"]


@pytest.mark.parametrize("where", [{"prefix": "moved/"}, {"vault": "default"}, None])
def test_upkeep_replaces_the_claim_of_a_rule_that_is_gone_or_keeps_copies_elsewhere(
    desk: Desk, where: dict[str, str] | None
) -> None:
    bind_offsite(desk)
    desk.register.create(new_rule(vault="offsite"))
    desk.adapters.others["offsite"].objects[KEY] = make_claim(
        SETTINGS.stack, SETTINGS.stack_id, new_rule("former"), NOW
    ).to_json()
    if where is not None:
        desk.register.create(new_rule("former", **{"vault": "offsite", **where}))
    desk.clock.advance(25 * 3600)
    assert "PlaceClaimed" in codes(desk.reconcile().run())
    assert claims_of(desk, "offsite") == [NAME]


def test_a_rule_that_moves_to_its_own_place_by_another_name_keeps_its_claim(twice: Desk) -> None:
    twice.register.create(new_rule(vault="offsite"))
    twice.register.update(NAME, twice.rule().revision, RuleEdit(vault="again"))
    twice.register.update(NAME, twice.rule().revision, RuleEdit(vault="again"))
    twice.clock.advance(25 * 3600)
    twice.reconcile().run()
    assert claims_of(twice, "again") == [NAME]


# Two stacks at the same moment


def between(vault: MemoryVault, method: str, act: Callable[[], object]) -> None:
    """Let something happen once, before the next call of a vault's method."""
    call = getattr(vault, method)

    def act_then_call(*given: object) -> object:
        setattr(vault, method, call)
        act()
        return call(*given)

    setattr(vault, method, act_then_call)


@pytest.mark.parametrize("method", ["find_object", "create_object"])
def test_of_two_stacks_that_claim_a_place_at_once_one_gets_it(desk: Desk, other: Desk, method: str) -> None:
    between(desk.vault, method, lambda: other.register.create(new_rule("theirs")))
    with pytest.raises(PlaceTaken):
        desk.register.create(new_rule())
    assert claims(desk) == {KEY: "the-other-stack/theirs"}
    assert desk.nothing_was_made() and other.rule("theirs")


def test_a_claim_that_goes_while_it_is_read_is_none(desk: Desk, other: Desk) -> None:
    other.register.create(new_rule("theirs"))
    between(desk.vault, "read_object", lambda: other.register.delete("theirs"))
    desk.register.create(new_rule())
    assert claims(desk) == {KEY: f"rdbkeeper/{NAME}"}


def test_a_claim_that_was_taken_over_while_it_was_let_go_of_stays(desk: Desk, other: Desk) -> None:
    made(desk)
    between(desk.vault, "remove_object", lambda: other.register.create(new_rule("theirs"), take_over=True))
    desk.register.delete(NAME)
    assert claims(desk) == {KEY: "the-other-stack/theirs"}


def test_a_claim_that_keeps_changing_is_given_up_on(desk: Desk) -> None:
    owner = make_claim(SETTINGS.stack, SETTINGS.stack_id, new_rule(), NOW)
    vault = desk.vault
    claim_place(vault, PATH, replace(owner, stack="another"))

    def fail(key: str, etag: str) -> None:
        raise StoreMismatch("It is another one now.")

    vault.remove_object = fail  # type: ignore[method-assign]
    with pytest.raises(VaultUnavailable, match="kept changing"):
        claim_place(vault, PATH, owner, take_over=True)
    assert not release_place(vault, PATH, owner)
