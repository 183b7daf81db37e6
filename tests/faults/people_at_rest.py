"""What people, stores and other stacks do to copies that lie in a vault, by request or by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rdbkeeper.domain.copy_query import RulePlace
from rdbkeeper.domain.errors import RdbkeeperError
from rdbkeeper.domain.retention import Retention
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.flows.copies.marks import MarkCopies
from rdbkeeper.flows.rules.context import RulesContext
from tests.fakes.rdb_files import flip_bit
from tests.faults.fault import Kind
from tests.faults.reading import copy_id_of

if TYPE_CHECKING:
    from tests.faults.world import World


class RequestCut(BaseException):
    """The function that served a person's request is gone; not an Exception, so nothing can handle it."""


class PersonsVault:
    """The vault as a person's request reaches it: the oracles look on, and it may be cut off before a call."""

    def __init__(self, world: World, calls_until_cut: int | None) -> None:
        self._world = world
        self._left = calls_until_cut

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._world.the_vault, name)
        if not callable(found):
            return found

        def call(*given: Any, **named: Any) -> Any:
            if self._left is not None:
                self._left -= 1
                if self._left < 0:
                    raise RequestCut
            answer = found(*given, **named)
            at_rest = self._world.oracles.at_rest
            if name == "create_object":
                at_rest.after_create(None, given[0], given[1])
            elif name == "remove_object":
                at_rest.after_remove(None, given[0], given[1])
            return answer

        return call


class _QuietJournal:
    def bind(self, **keys: str) -> _QuietJournal:
        return self

    def _say(self, event: str, message: str, **fields: Any) -> None:
        pass

    info = warning = error = exception = _say


def happen_at_rest(world: World, kind: object, rule_name: str) -> None:
    """Let one such thing happen now, in that rule's place; nothing where there is no copy for it."""
    rule = world.find_rule(rule_name)
    if rule is None:
        return
    if kind is Kind.RETENTION_WIDENED:
        world.request_edit(rule_name, RuleEdit(retention=Retention()))
    elif kind is Kind.RETENTION_NARROWED:
        world.request_edit(rule_name, RuleEdit(retention=Retention(keep_last=1)))
    elif kind is Kind.PLACE_CLAIMED:
        world.oracles.at_rest.claim_for_another_stack(rule.place.path)
    elif kind is Kind.OTHERS_UPLOAD:
        key = f"{rule.place.path}20261102T000000Z-of-another-stack/0001.rdb"
        world.oracles.at_rest.others_uploads.add(world.the_vault.open_upload(key).upload_id)
    else:
        manifests = sorted(key for key in world.oracles.at_rest.published if key.startswith(rule.place.path))
        if manifests:
            _happen_to_copies(world, kind, rule, manifests)


def _happen_to_copies(world: World, kind: object, rule: Rule, manifests: list[str]) -> None:
    at_rest, vault = world.oracles.at_rest, world.the_vault
    newest, oldest = max(manifests, key=copy_id_of), min(manifests, key=copy_id_of)
    cut = len(world.injector.calls) % 14
    if kind in (Kind.COPY_HELD, Kind.HOLD_CUT_OFF):
        free = sorted((key for key in manifests if key not in at_rest.held), key=copy_id_of)
        hold(world, rule, free[0] if free else oldest, cut if kind is Kind.HOLD_CUT_OFF else None)
    elif kind is Kind.COPY_RELEASED:
        held = sorted((key for key in manifests if key in at_rest.held), key=copy_id_of)
        release(world, rule, held[0] if held else oldest)
    elif kind in (Kind.COPY_DELETED, Kind.OLD_COPY_DELETED, Kind.DELETION_CUT_OFF):
        delete(
            world, rule, newest if kind is Kind.COPY_DELETED else oldest, cut if kind is Kind.DELETION_CUT_OFF else None
        )
    elif kind is Kind.MANIFEST_TAKEN:
        del vault.objects[oldest]
        at_rest.note_people()
    else:
        key = max(at_rest.published[newest])
        if key in vault.objects and kind is Kind.KEEPER_DAMAGED:
            vault.objects[key] = flip_bit(vault.objects[key], len(vault.objects[key]) // 2)
        elif kind is Kind.KEEPER_TAKEN:
            vault.objects.pop(key, None)
        at_rest.note_people(spoiled=key)


def hold(world: World, rule: Rule, manifest: str, cut: int | None = None) -> None:
    """A person holds a copy; it is held once the answer says so without a removal under way."""
    answer = _ask(world, cut, lambda marks: marks.hold(RulePlace(rule.name), copy_id_of(manifest), "as a test"))
    if answer is not None and not answer["removal_under_way"]:
        at_rest = world.oracles.at_rest
        world.oracles.check(manifest in at_rest.published, f"{manifest} is told to be held and is not there")
        at_rest.held.add(manifest)


def release(world: World, rule: Rule, manifest: str) -> None:
    """A person lets go of a copy."""
    world.oracles.at_rest.held.discard(manifest)
    _ask(world, None, lambda marks: marks.release(RulePlace(rule.name), copy_id_of(manifest)))


def delete(world: World, rule: Rule, manifest: str, cut: int | None = None) -> None:
    """A person has a copy removed; one whose request was cut off asks again when people come to their end."""
    if not manifest.startswith(rule.place.path):
        return  # the rule was pointed elsewhere since
    copy_id = copy_id_of(manifest)
    where = RulePlace(rule.name)
    answer = _ask(world, cut, lambda marks: marks.delete(where, copy_id, copy_id, "as a test"))
    if answer is None and cut is not None:
        world.cut_deletions.append((rule.name, manifest))
    if answer is not None:
        world.oracles.check(manifest not in world.oracles.at_rest.published, f"{copy_id} is told to be removed")


def _ask(world: World, cut: int | None, do: Any) -> Any:
    """What a request is answered, None where it was refused or cut off."""
    vault = PersonsVault(world, cut)
    adapters = SimpleNamespace(vault=lambda name: vault)
    tables = world.tables
    fleet: Any = SimpleNamespace(
        rules=tables.rules,
        runs=tables.runs,
        vaults=tables.vaults,
        adapters=adapters,
        journal=_QuietJournal(),
        clock=world.clock,
    )
    try:
        return do(MarkCopies(RulesContext(fleet, pause=world.clock.advance)))
    except RequestCut:
        return None
    except RdbkeeperError as error:
        world.note(f"a request was refused: {error.code}")
        return None
