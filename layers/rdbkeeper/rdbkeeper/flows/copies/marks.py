"""Holds, releases and removes copies on a person's word. What was said is a small object beside the copy, put first.

Whatever is cut off is finished by the same request again, with the same answer. Two people, or a person and a run, may
be at one copy at the same moment: each writes first and looks afterwards, so one of the two always sees the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import uuid4

from rdbkeeper import __version__
from rdbkeeper.domain.catalog import Catalog, CatalogEntry, Level, Mark, manifest_key, mark_key
from rdbkeeper.domain.copy_query import RulePlace, VaultPlace, is_last_verified
from rdbkeeper.domain.documents import write_document
from rdbkeeper.domain.errors import (
    CopyHeld,
    CopyLocked,
    CopyNotFound,
    ManifestUnreadable,
    NotConfirmed,
    ObjectExists,
    RequestError,
    RuleBusy,
    StoreMismatch,
    VaultRefused,
)
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.removal import RemovalEnd, RemovalOutcome
from rdbkeeper.flows.copies.places import OpenPlace, get_place
from rdbkeeper.flows.copies.removal import describe_lock, find_plan, remove_copy
from rdbkeeper.flows.rules.context import RulesContext
from rdbkeeper.ports import Record, Vault

# A removal writes its plan a second or so before its first object goes.
PAUSES_S = (0.5, 1.0, 2.0, 4.0)
MADE_BY = f"rdbkeeper {__version__}"
REASON = "a person asked for it"
REASON_DAMAGED = "a person asked for it, as it is damaged"

Refusal = RequestError | ManifestUnreadable


@dataclass(frozen=True)
class MarkCopies:
    """What a person may do with a copy."""

    context: RulesContext

    def hold(self, where: RulePlace | VaultPlace, copy_id: str, note: str) -> Record:
        """Keep a copy from being removed until it is released. One that is held stays as it is held.

        Raises CopyNotFound, also when a removal was faster. While one is still going it is not known which will win:
        then `removal_under_way` is true, and the request sent again tells.
        """
        place = get_place(self.context, where)
        self._get_entry(place, place.vault.catalog(place.path), copy_id)
        key = mark_key(place.path, Mark.HOLD, copy_id)
        said = self._say(copy_id, note)
        if _create(place.vault, key, said):
            self.context.journal.info("HoldPlaced", f"The copy {copy_id} is held.", copy_id=copy_id, reason=note)
        is_under_way = self._is_being_removed(place, copy_id)
        told = find_mark(place.vault, key) or said
        return {
            "copy_id": copy_id,
            "held": True,
            "held_since": told.get("at"),
            "note": told.get("note", ""),
            "removal_under_way": is_under_way,
        }

    def release(self, where: RulePlace | VaultPlace, copy_id: str) -> Record:
        """Let a copy be removed again when its rule's retention says so. One that is not held stays so."""
        place = get_place(self.context, where)
        self._get_entry(place, place.vault.catalog(place.path), copy_id)
        if _take_away(place.vault, mark_key(place.path, Mark.HOLD, copy_id)):
            self.context.journal.info("HoldReleased", f"The copy {copy_id} is no longer held.", copy_id=copy_id)
        return {"copy_id": copy_id, "held": False}

    def delete(self, where: RulePlace | VaultPlace, copy_id: str, confirm: str, note: str) -> Record:
        """Remove a copy for good: its backup is not fetched again. One that a person removed answers as it did then.

        A damaged one makes room: no word is left that it was removed, so its backup is copied again where it still is.
        Raises NotConfirmed, CopyNotFound, CopyHeld, CopyLocked; RuleBusy while somebody else is removing it;
        ManifestUnreadable when it is not known what belongs to the copy.
        """
        if confirm != copy_id:
            raise NotConfirmed(
                f"Removing {copy_id} is not confirmed.",
                field="confirm",
                hint="Its backup is not fetched again, and only a bucket that keeps versions has it for a while yet. "
                "Write the copy's id in the field `confirm` as well.",
            )
        place = get_place(self.context, where)
        catalog = place.vault.catalog(place.path)
        entry = catalog.find(copy_id)
        is_known = copy_id in catalog.removed
        comes_back = not is_known and self._is_damaged(place, catalog, copy_id)
        if entry is None and not is_known and not comes_back:
            self._get_entry(place, catalog, copy_id)
        refusal = self._find_refusal(place, entry) if entry else None
        if refusal is not None and not is_known:
            raise refusal
        was_last = entry is not None and is_last_verified(entry, catalog.entries)
        said = {**self._say(copy_id, note), "was_last_verified": was_last}
        is_others = comes_back
        if refusal is None:
            is_new = not comes_back and _create(place.vault, mark_key(place.path, Mark.REMOVED, copy_id), said)
            reason = REASON_DAMAGED if comes_back else REASON
            refusal = _find_refusal_in(self._remove(place, entry or CatalogEntry(copy_id, Level.UNCHECKED), reason))
            # Who is at it now may be the person whose word it is, and who still needs it.
            is_others = comes_back or (isinstance(refusal, RuleBusy) and not is_new)
        if refusal is not None and not self._was_removed_all_the_same(place, copy_id, None if is_others else said):
            raise refusal
        return self._tell_removed(place, copy_id, said, comes_back=comes_back)

    def _is_damaged(self, place: OpenPlace, catalog: Catalog, copy_id: str) -> bool:
        """Whether the copy is marked so, or was when its removal was begun which has been cut off since."""
        entry = catalog.find(copy_id)
        if entry is not None or copy_id not in catalog.unfinished_removals:
            return entry is not None and entry.is_damaged
        try:
            plan = find_plan(place.vault, place.path, copy_id)
        except (ManifestUnreadable, VaultRefused):  # no plan of ours, or finished between two looks
            return False
        return plan is not None and plan.reason == REASON_DAMAGED

    def _find_refusal(self, place: OpenPlace, entry: CatalogEntry) -> Refusal | None:
        """What is known beforehand to forbid a removal; everything that does is asked here and told by these errors."""
        if entry.is_held:
            return _held(entry.copy_id)
        lock = place.vault.find_lock(manifest_key(place.path, entry.copy_id, entry.level))
        if lock is not None and lock.holds(self.context.clock.now()):
            return _locked(entry.copy_id, describe_lock(lock))
        return None

    def _remove(self, place: OpenPlace, entry: CatalogEntry, reason: str) -> RemovalOutcome:
        """Remove what the copy has; a removal of somebody else's is given a moment to end."""
        # Each request is one of its own, the same sent again as well: two may be at work at once.
        by = f"a person (request {uuid4().hex})"
        pauses = iter(PAUSES_S)
        while True:
            try:
                outcome = self._try_to_remove(place, entry, reason, by)
            except VaultRefused:
                # Somebody else's removal took the manifest between two looks; what is left of it is looked for again.
                if _is_there(place, entry.copy_id):
                    raise
                outcome = self._try_to_remove(place, entry, reason, by)
            pause_s = next(pauses, None) if outcome.end is RemovalEnd.UNDER_WAY else None
            if pause_s is None:
                return outcome
            self.context.pause(pause_s)

    def _try_to_remove(self, place: OpenPlace, entry: CatalogEntry, reason: str, by: str) -> RemovalOutcome:
        return remove_copy(
            place.vault,
            place.path,
            entry,
            reason=reason,
            by=by,
            clock=self.context.clock,
            journal=self.context.journal,
        )

    def _was_removed_all_the_same(self, place: OpenPlace, copy_id: str, said: Record | None) -> bool:
        """Take the word back that the copy is removed; False when it is there, as it should be after a refusal.

        `said` is the word, None where it is not ours to take back. Looked at afterwards: somebody else may have removed
        it at the same moment, and then the word stands.
        """
        key = mark_key(place.path, Mark.REMOVED, copy_id)
        if said is not None:
            _take_away(place.vault, key)
        if _is_there(place, copy_id):
            return False
        if said is not None:
            _create(place.vault, key, said)
        return True

    def _tell_removed(self, place: OpenPlace, copy_id: str, said: Record, *, comes_back: bool) -> Record:
        """The answer, as the mark tells it. It is put again: somebody who was refused may have taken it away."""
        key = mark_key(place.path, Mark.REMOVED, copy_id)
        is_told = not comes_back and not _create(place.vault, key, said)
        told = (find_mark(place.vault, key) if is_told else None) or said
        if place.rule:
            self.context.runs.forget_checks(place.rule, [copy_id])
        self.context.journal.info(
            "CopyDeleted", f"The copy {copy_id} is removed, as a person asked for it.", copy_id=copy_id, path=place.path
        )
        was_last = told.get("was_last_verified") is True
        notes = ["It was the last verified copy of its place."] if was_last else []
        if comes_back:
            notes.append("It was damaged: the next run copies its backup again if the source still has it.")
        return {
            "copy_id": copy_id,
            "removed": True,
            "removed_at": told.get("at"),
            "note": told.get("note", ""),
            "was_last_verified": was_last,
            "notes": notes,
        }

    def _is_being_removed(self, place: OpenPlace, copy_id: str) -> bool:
        """Whether a removal is still going that may not have seen the hold. CopyNotFound when one was faster.

        The plan is looked for first: one that is not there either begins after the hold, or has taken the manifest.
        """
        for pause_s in (*PAUSES_S, None):
            is_planned = self._is_planned(place, copy_id)
            if not _is_there(place, copy_id):
                _take_away(place.vault, mark_key(place.path, Mark.HOLD, copy_id))
                raise CopyNotFound(
                    f"The copy {copy_id} was removed before it could be held.",
                    field="copy_id",
                    hint="In a bucket that keeps versions its objects can be brought back until their lifecycle rule "
                    "frees them: look at the versions of what lies below the copy's id and of its manifest.",
                )
            if not is_planned:
                return False
            if pause_s is not None:
                self.context.pause(pause_s)
        return True

    def _is_planned(self, place: OpenPlace, copy_id: str) -> bool:
        try:
            plan = find_plan(place.vault, place.path, copy_id)
        except ManifestUnreadable:  # by what cannot be read nothing is removed
            return False
        except VaultRefused:  # gone between two looks: look again
            return True
        return plan is not None and plan.is_at_work(self.context.clock.now())

    def _get_entry(self, place: OpenPlace, catalog: Catalog, copy_id: str) -> CatalogEntry:
        """The copy. Raises CopyNotFound, and takes away the hold that a request left which was cut off too late."""
        if catalog.find(copy_id) is None and not _is_there(place, copy_id):
            _take_away(place.vault, mark_key(place.path, Mark.HOLD, copy_id))
        return find_entry(place, catalog, copy_id)

    def _say(self, copy_id: str, note: str) -> Record:
        return {"copy_id": copy_id, "note": note, "at": write_moment(self.context.clock.now()), "made_by": MADE_BY}


def find_entry(place: OpenPlace, catalog: Catalog, copy_id: str) -> CatalogEntry:
    """The copy as the catalog has it. Raises CopyNotFound, saying so of one that a person removed."""
    entry = catalog.find(copy_id)
    if entry is not None:
        return entry
    what = f"There is no copy {copy_id} at {place.path!r} of vault {place.name!r}"
    if copy_id in catalog.removed:
        told = find_mark(place.vault, mark_key(place.path, Mark.REMOVED, copy_id)) or {}
        note = f" ({told['note']})" if told.get("note") else ""
        what = f"{what} any more: a person removed it at {told.get('at')}{note}"
    raise CopyNotFound(f"{what}.", field="copy_id", hint="The action `copies` shows those that there are.")


def find_mark(vault: Vault, key: str) -> Record | None:
    """What a mark says, or None without one; nothing where it is not of our form: that it is there counts."""
    if vault.find_object(key) is None:
        return None
    try:
        said = json.loads(vault.read_object(key))
    except VaultRefused:  # taken away between two looks
        return None
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _find_refusal_in(outcome: RemovalOutcome) -> Refusal | None:
    match outcome.end:
        case RemovalEnd.REMOVED | RemovalEnd.GONE:
            return None
        case RemovalEnd.HELD:
            return _held(outcome.copy_id)
        case RemovalEnd.LOCKED:
            return _locked(outcome.copy_id, outcome.detail)
        case RemovalEnd.UNDER_WAY:
            return RuleBusy(
                f"Removing {outcome.copy_id} was begun by somebody else and is not finished. {outcome.detail}",
                field="copy_id",
                hint="Send the request again in a quarter of an hour: what was cut off is finished or undone by then.",
            )
        case RemovalEnd.REFUSED | RemovalEnd.NEEDED:
            return ManifestUnreadable(
                f"Removing {outcome.copy_id} was not begun. {outcome.detail}",
                hint="Nothing is removed unless it is known what belongs to the copy. Remove its objects by hand.",
            )


def _held(copy_id: str) -> CopyHeld:
    return CopyHeld(
        f"The copy {copy_id} is held.",
        field="copy_id",
        hint="The action `copy` shows since when and why; `release` lets go of it.",
    )


def _locked(copy_id: str, how: str) -> CopyLocked:
    return CopyLocked(
        f"The copy {copy_id} is {how}.",
        field="copy_id",
        hint="Its bucket's Object Lock keeps it. Nothing was removed; send the request again when the lock has ended.",
    )


def _is_there(place: OpenPlace, copy_id: str) -> bool:
    return any(place.vault.find_object(manifest_key(place.path, copy_id, level)) is not None for level in Level)


def _create(vault: Vault, key: str, said: Record) -> bool:
    """Put a mark; False when one is there already."""
    try:
        vault.create_object(key, write_document(said), "application/json")
    except ObjectExists:
        return False
    return True


def _take_away(vault: Vault, key: str) -> bool:
    """Take a mark away, whichever it is by now; False when there is none."""
    for _ in PAUSES_S:
        found = vault.find_object(key)
        if found is None:
            return False
        try:
            vault.remove_object(key, found.etag)
        except StoreMismatch:  # somebody put another in its place at the same moment
            continue
        return True
    raise RuleBusy(f"{key} kept changing.", field="copy_id", hint="Somebody else is at it. Send the request again.")
