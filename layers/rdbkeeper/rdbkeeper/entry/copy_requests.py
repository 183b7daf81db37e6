"""What people ask of copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from rdbkeeper.domain.copy_query import CopyFilter, CopyState, RulePlace, VaultPlace, VaultPlaces
from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.rule import check_instance_name, check_name, check_prefix
from rdbkeeper.domain.vault import DEFAULT_VAULT, LONGEST_NOTE, check_vault_name
from rdbkeeper.entry.json_object import JsonObject
from rdbkeeper.entry.request_fields import LARGEST_PAGE, read_request_id

COPIES_PER_PAGE = 50
MOST_GIGABYTES = 100_000
_LONGEST_COPY_ID = 512
_LONGEST_PAGE_MARK = 1024  # a copy's id and its place's path: less than a key, of which Amazon S3 takes 1,024 bytes


@dataclass(frozen=True)
class Copies:
    """Show a page of copies, the newest first."""

    where: RulePlace | VaultPlace | VaultPlaces
    which: CopyFilter
    after: str
    limit: int


@dataclass(frozen=True)
class ShowCopy:
    """Show one copy."""

    where: RulePlace | VaultPlace
    copy_id: str


@dataclass(frozen=True)
class HoldCopy:
    """Keep a copy from being removed."""

    where: RulePlace | VaultPlace
    copy_id: str
    note: str


@dataclass(frozen=True)
class ReleaseCopy:
    """Let go of a copy that was held."""

    where: RulePlace | VaultPlace
    copy_id: str


@dataclass(frozen=True)
class DeleteCopy:
    """Remove a copy for good; `confirm` names it once more."""

    where: RulePlace | VaultPlace
    copy_id: str
    confirm: str
    note: str


@dataclass(frozen=True)
class AuditCopies:
    """Read copies of a rule again, at most so many gigabytes (10^9 bytes); None for as many as is usual."""

    rule: str
    request_id: str
    most_gigabytes: int | None


CopyCommand = Copies | ShowCopy | HoldCopy | ReleaseCopy | DeleteCopy | AuditCopies


def _copies(request: JsonObject, _: datetime) -> CopyCommand:
    where = _where(request) if request.has("rule") else _places(request)
    since, until = _moment(request, "from"), _moment(request, "to", is_end=True)
    if since and until and since >= until:
        raise InvalidRequest(
            "There is no time between `from` and `to`.", field="to", hint="Write a later moment or day for `to`."
        )
    limit = request.number("limit", 1, LARGEST_PAGE, COPIES_PER_PAGE)
    return Copies(where, CopyFilter(since, until, _state(request)), _page_mark(request), limit)


def _copy(request: JsonObject, _: datetime) -> CopyCommand:
    return ShowCopy(_where(request), _copy_id(request))


def _hold(request: JsonObject, _: datetime) -> CopyCommand:
    return HoldCopy(_where(request), _copy_id(request), _note(request))


def _release(request: JsonObject, _: datetime) -> CopyCommand:
    return ReleaseCopy(_where(request), _copy_id(request))


def _delete_copy(request: JsonObject, _: datetime) -> CopyCommand:
    return DeleteCopy(_where(request), _copy_id(request), request.text("confirm", ""), _note(request))


def _audit(request: JsonObject, _: datetime) -> CopyCommand:
    most = request.number("most_gigabytes", 1, MOST_GIGABYTES) if request.has("most_gigabytes") else None
    return AuditCopies(_rule(request), read_request_id(request), most)


COPY_READERS: Mapping[str, Callable[[JsonObject, datetime], CopyCommand]] = {
    "copies": _copies,
    "copy": _copy,
    "hold": _hold,
    "release": _release,
    "delete_copy": _delete_copy,
    "audit": _audit,
}


def _where(request: JsonObject) -> RulePlace | VaultPlace:
    """One place: a rule's, or the one that vault, prefix and instance name. Both at once are refused with the rest."""
    if request.has("rule"):
        return RulePlace(_rule(request))
    if not request.has("instance"):
        raise InvalidRequest(
            "The request does not say where the copy lies.",
            field="rule",
            hint="Name a rule, or a vault, a prefix and an instance: the action `copies` with a vault alone shows all "
            "places that there are.",
        )
    return VaultPlace(_vault(request), _prefix(request), _instance(request))


def _places(request: JsonObject) -> VaultPlace | VaultPlaces:
    if request.has("prefix") and request.has("instance"):
        return VaultPlace(_vault(request), _prefix(request), _instance(request))
    instance = _instance(request) if request.has("instance") else ""
    return VaultPlaces(_vault(request), _prefix(request), instance)


def _rule(request: JsonObject) -> str:
    name = request.text("rule")
    check_name(name, "rule")
    return name


def _vault(request: JsonObject) -> str:
    name = request.text("vault", DEFAULT_VAULT)
    check_vault_name(name, "vault")
    return name


def _prefix(request: JsonObject) -> str:
    prefix = request.text("prefix", "")
    check_prefix(prefix)
    return prefix


def _instance(request: JsonObject) -> str:
    instance = request.text("instance")
    check_instance_name(instance, "instance")
    return instance


def _copy_id(request: JsonObject) -> str:
    copy_id = request.text("copy_id")
    if not copy_id or len(copy_id) > _LONGEST_COPY_ID or "/" in copy_id or not copy_id.isprintable():
        raise InvalidRequest(
            f"{copy_id[:80]!r} is not the id of a copy.",
            field="copy_id",
            hint="Write it as the action `copies` shows it, such as 20261122T021500Z-automatic.orders.",
        )
    return copy_id


def _note(request: JsonObject) -> str:
    note = request.text("note", "")
    if len(note) > LONGEST_NOTE or not note.isprintable():
        raise InvalidRequest(
            "The note is too long or not plain text.",
            field="note",
            hint=f"At most {LONGEST_NOTE} characters in a line.",
        )
    return note


def _state(request: JsonObject) -> CopyState | None:
    state = request.text("state", "")
    if not state:
        return None
    if state not in {known.value for known in CopyState}:
        raise InvalidRequest(
            f"The state {state[:80]!r} is unknown.", field="state", hint=f"Use {', '.join(CopyState)}; or leave it out."
        )
    return CopyState(state)


def _moment(request: JsonObject, name: str, *, is_end: bool = False) -> datetime | None:
    """A moment with its offset, or a day of UTC: from its beginning, or `is_end`, to its end."""
    said = request.text(name, "")
    if not said:
        return None
    try:
        moment = datetime.fromisoformat(said)
        if len(said) == len("2026-11-22"):
            moment = datetime.combine(moment, time(), UTC) + timedelta(days=1 if is_end else 0)
        elif moment.tzinfo is None:
            raise ValueError("it has no offset")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(
            f"The field {name} is {said[:80]!r}, which is no moment.",
            field=name,
            hint="Write a day of UTC, 2026-11-22, or a moment with its offset, 2026-11-22T02:15:00Z. Copies taken on "
            "the day `to` are meant as well; those taken at a moment `to` are not.",
        ) from error


def _page_mark(request: JsonObject) -> str:
    mark = request.text("after", "")
    if len(mark) > _LONGEST_PAGE_MARK or not mark.isprintable():
        raise InvalidRequest(
            f"The field after is {mark[:80]!r}, which no page said.",
            field="after",
            hint="Pass on what the last page said as `next_after`, or leave it out to begin at the newest.",
        )
    return mark
