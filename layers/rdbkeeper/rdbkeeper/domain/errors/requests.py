"""Requests that cannot be served; nothing was changed."""

from __future__ import annotations

from rdbkeeper.domain.errors.base import RdbkeeperError


class RequestError(RdbkeeperError):
    """A request that cannot be served; nothing was changed."""


class InvalidRequest(RequestError):
    """A field is missing, unknown, or not of its form."""


def is_address_or_arn(text: str) -> bool:
    """True for what may hold a password or an account, and is not to be repeated."""
    return any(mark in text for mark in ":/@")


def not_a_name(text: str, field: str, what: str, hint: str) -> InvalidRequest:
    """The error for a text that is not `what`, which it shows unless a password or an account may stand in it."""
    if is_address_or_arn(text):
        said = f"The field {field} looks like an address or an ARN, and is not {what}."
    else:
        said = f"{text[:80]!r} is not {what}."
    return InvalidRequest(said, field=field, hint=hint)


class UnknownAction(RequestError):
    """The request names an action that does not exist."""


class RuleNotFound(RequestError):
    """There is no rule of that name."""


class NameTaken(RequestError):
    """A rule of that name exists."""


class PlaceTaken(RequestError):
    """Another rule keeps its copies in, above or below that place."""


class InstanceNotFound(RequestError):
    """The provider has no such instance in this region."""


class BackupsDisabled(RequestError):
    """The instance makes no automatic backups."""


class RuleBusy(RequestError):
    """Somebody else is changing the rules at this moment."""


class RevisionStale(RequestError):
    """The rule was changed after it was read."""


class RuleNotReady(RequestError):
    """The rule is still being made, or being deleted."""


class RunIsGoing(RequestError):
    """A run of the rule is going."""


class OutOfTime(RequestError):
    """Not begun, because the rest of the request took too long."""


class VaultNotFound(RequestError):
    """There is no vault of that name."""


class VaultInUse(RequestError):
    """A rule keeps its copies in the vault."""


class BucketTaken(RequestError):
    """The bucket is another vault's already, or is where exports are staged."""


class CopyNotFound(RequestError):
    """There is no such copy."""


class CopyHeld(RequestError):
    """A person holds the copy, or somebody is restoring it."""


class CopyLocked(RequestError):
    """The copy's objects are locked by their store."""


class NotConfirmed(RequestError):
    """The request does not name twice what it would remove."""
