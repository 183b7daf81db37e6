"""Claims places in vaults for this stack's rules, so that no other stack or rule keeps, and removes, copies there.

A rule's row comes first and its claim second, so whatever is cut off is finished or undone by the row. A place that
lost its claim, or never had one, gets it when its vault is next examined closely.
"""

from __future__ import annotations

from collections.abc import Callable

from rdbkeeper.domain.catalog import claim_key
from rdbkeeper.domain.claim import Claim, read_claim
from rdbkeeper.domain.errors import (
    ObjectExists,
    PlaceTaken,
    StoreMismatch,
    VaultRefused,
    VaultUnavailable,
)
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.ports import StoredObject, Vault

# Whoever comes between changes the claim once; more often than this nobody does by chance.
MOST_TRIES = 4

HasLeft = Callable[[str], bool]
"""True when a rule of this stack, asked for by name, is gone or keeps its copies elsewhere, as the table says."""


def _stays(_rule: str) -> bool:
    return False


def check_place_is_unclaimed(vault: Vault, path: str, owner: Claim, has_left: HasLeft = _stays) -> None:
    """Raise PlaceTaken when another stack's claim is on the place, or that of a rule that is there. Changes nothing.

    Without `has_left` any other rule's claim counts: whoever removes copies wants the place to be the owner's alone.
    """
    found = _find_claim(vault, path, owner)
    if found is not None and not (found[0].is_same(owner) or _is_left(found[0], owner, has_left)):
        raise _taken(path, found[0], owner)


def claim_place(vault: Vault, path: str, owner: Claim, *, take_over: bool = False, has_left: HasLeft = _stays) -> bool:
    """Put the owner's claim on a place; False when it was there. Raises PlaceTaken for another's.

    With `take_over` another stack's is replaced. One of another rule of this stack is when that rule `has_left`; while
    it is there, the bucket goes by two names, and the first to claim a place keeps it.
    """
    for _ in range(MOST_TRIES):
        try:
            vault.create_object(claim_key(path), owner.to_json(), "application/json")
        except ObjectExists:
            found = _find_claim(vault, path, owner)
            if found is None:
                continue
            there, stored = found
            if there.is_same(owner):
                return False
            is_foreign = not there.is_of_same_stack(owner)
            if not (is_foreign and take_over) and not _is_left(there, owner, has_left):
                raise _taken(path, there, owner) from None
            _remove(vault, path, stored)
            continue
        return True
    raise VaultUnavailable(
        f"Claiming {path!r} failed: its claim kept changing.", hint="Somebody else claims it. Send the request again."
    )


def release_place(vault: Vault, path: str, owner: Claim) -> bool:
    """Take the owner's own claim off a place; False when there was none of its own."""
    found = _find_claim(vault, path, owner)
    if found is None or not found[0].is_same(owner):
        return False
    _remove(vault, path, found[1])
    return True


def _find_claim(vault: Vault, path: str, owner: Claim) -> tuple[Claim, StoredObject] | None:
    """The claim on a place and the object that holds it; None when there is none, or it went while it was read."""
    key = claim_key(path)
    stored = vault.find_object(key)
    if stored is None:
        return None
    try:
        return read_claim(vault.read_object(key), owner.claimed_at), stored
    except VaultRefused:
        if vault.find_object(key) is None:
            return None
        raise


def _remove(vault: Vault, path: str, stored: StoredObject) -> None:
    try:
        vault.remove_object(claim_key(path), stored.etag)
    except StoreMismatch:
        return  # another one by now: whoever goes on looks at it again


def _is_left(there: Claim, owner: Claim, has_left: HasLeft) -> bool:
    return there.is_of_same_stack(owner) and has_left(there.rule)


def _taken(path: str, there: Claim, owner: Claim) -> PlaceTaken:
    if there.is_of_same_stack(owner):
        return PlaceTaken(
            f"The rule {there.rule[:80]} of this stack keeps copies at {path!r} since "
            f"{write_moment(there.claimed_at)}, perhaps in a vault that is the same bucket by another name.",
            field="prefix",
            hint="Choose another prefix. The claim of a rule that is gone or keeps its copies elsewhere by now is "
            "replaced within a day.",
        )
    return PlaceTaken(
        f"The stack {there.stack_name[:80]} keeps copies at {path!r} since {write_moment(there.claimed_at)}, for its "
        f"rule {there.rule[:80]}.",
        field="prefix",
        hint="Choose another prefix: two stacks at one place would remove each other's copies. If that stack is gone, "
        'send the request with `"take_over": true`; the copies that are there stay and are gone on with.',
    )
