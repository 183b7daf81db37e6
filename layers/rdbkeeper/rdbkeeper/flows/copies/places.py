"""Finds the places that somebody means: a rule's, one of a vault, or all that a vault holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from rdbkeeper.domain.catalog import Mark, find_taken_at
from rdbkeeper.domain.copy_query import RulePlace, VaultPlace, VaultPlaces
from rdbkeeper.domain.errors import RuleNotFound, VaultNotFound
from rdbkeeper.domain.rule import Place
from rdbkeeper.domain.vault import VaultBinding
from rdbkeeper.flows.rules.context import RulesContext
from rdbkeeper.ports import Clock, Vault

# A person waits less than a minute for an answer, and a listing takes a twentieth of a second.
MOST_FOLDERS_OPENED = 300
MOST_PLACES = 100
LONGEST_WALK_S = 20.0


@dataclass(frozen=True)
class OpenPlace:
    """A place and the vault it is in; `rule` is the one that keeps its copies there now, "" for none."""

    vault: Vault
    name: str
    path: str
    rule: str


def get_place(context: RulesContext, where: RulePlace | VaultPlace) -> OpenPlace:
    """The place that is meant. Raises RuleNotFound, VaultNotFound."""
    if isinstance(where, RulePlace):
        rule = context.rules.find_rule(where.rule)
        if rule is None:
            raise RuleNotFound(
                f"There is no rule {where.rule}.",
                field="rule",
                hint="The action `list` shows the rules that there are. The copies of a rule that was deleted are "
                "found by vault, prefix and instance.",
            )
        return OpenPlace(context.adapters.vault(rule.vault), rule.vault, rule.place.path, rule.name)
    vault = context.adapters.vault(where.vault)
    return OpenPlace(vault, where.vault, where.path, _find_rules(context, where.vault).get(where.path, ""))


def find_places(context: RulesContext, where: VaultPlaces) -> tuple[list[OpenPlace], bool]:
    """Every place below a prefix of a vault, and whether there may be more: a very large bucket is not walked whole."""
    vault = context.adapters.vault(where.vault)
    paths, is_cut = _walk(vault, where.prefix, context.clock)
    rules = _find_rules(context, where.vault)
    meant = [path for path in paths if not where.instance or path.split("/")[-2] == where.instance]
    return [OpenPlace(vault, where.vault, path, rules.get(path, "")) for path in meant], is_cut


def get_binding(context: RulesContext, name: str) -> VaultBinding:
    """The vault as it is registered. Raises VaultNotFound."""
    binding = context.vaults.find_vault(name)
    if binding is None:
        raise VaultNotFound(
            f"There is no vault {name}.", field="vault", hint="The action `vaults` shows those there are."
        )
    return binding


def _find_rules(context: RulesContext, vault: str) -> Mapping[str, str]:
    return {rule.place.path: rule.name for rule in context.rules.rules() if rule.place == Place(vault, rule.place.path)}


def _walk(vault: Vault, prefix: str, clock: Clock) -> tuple[list[str], bool]:
    """A folder that holds manifests is a place; whatever is no copy's and no mark's may hold another."""
    deadline = clock.monotonic() + LONGEST_WALK_S
    found: list[str] = []
    waiting = deque([prefix])
    for _ in range(MOST_FOLDERS_OPENED):
        if not waiting or len(found) == MOST_PLACES or clock.monotonic() > deadline:
            break
        here = waiting.popleft()
        below = [folder.removeprefix(here) for folder in vault.folders(here)]
        # The bucket's root is no place, as a place's path names its instance, which may be called `manifests`.
        is_place = bool(here) and "manifests/" in below
        if is_place:
            found.append(here)
        waiting.extend(f"{here}{folder}" for folder in below if _may_hold_a_place(folder, is_in_place=is_place))
    return sorted(found), bool(waiting)


def _may_hold_a_place(folder: str, *, is_in_place: bool) -> bool:
    if find_taken_at(folder) is not None:
        return False
    # An instance may be called `holds`, so these names mean something within a place alone.
    return not (is_in_place and folder.removesuffix("/") in ("manifests", *Mark))
