"""Claims places in vaults for this stack's rules, so that no other stack keeps, and removes, copies there.

A rule's row comes first and its claim second, so whatever is cut off is finished or undone by the row. A place that
lost its claim, or never had one, gets it when its vault is next examined closely.
"""

from __future__ import annotations

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


def check_place_is_unclaimed(vault: Vault, path: str, owner: Claim) -> None:
    """Raise PlaceTaken when another stack's claim is on the place. Changes nothing."""
    found = _find_claim(vault, path, owner)
    if found is not None and not found[0].is_of_same_stack(owner):
        raise _taken(path, found[0])


def claim_place(vault: Vault, path: str, owner: Claim, *, take_over: bool = False) -> bool:
    """Put the owner's claim on a place; False when it was there. Raises PlaceTaken for another stack's.

    With `take_over` another stack's is replaced. One of another rule of this stack always is: the table knows better.
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
            if not (there.is_of_same_stack(owner) or take_over):
                raise _taken(path, there) from None
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


def _taken(path: str, there: Claim) -> PlaceTaken:
    return PlaceTaken(
        f"The stack {there.stack_name[:80]} keeps copies at {path!r} since {write_moment(there.claimed_at)}, for its "
        f"rule {there.rule[:80]}.",
        field="prefix",
        hint="Choose another prefix: two stacks at one place would remove each other's copies. If that stack is gone, "
        'send the request with `"take_over": true`; the copies that are there stay and are gone on with.',
    )
