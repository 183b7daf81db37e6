"""A run of a rule cannot go on, or did not end well."""

from __future__ import annotations

from rdbkeeper.domain.errors.base import RdbkeeperError


class RunError(RdbkeeperError):
    """A run of a rule cannot go on, or did not end well."""


class LeaseLost(RunError):
    """Another run has taken over."""


class RuleGone(RunError):
    """The rule was deleted while its run was going."""


class RuleChanged(RunError):
    """The rule was pointed at another instance or place while its run was going."""


class LegNeverEnds(RunError):
    """A leg has begun too often without ending."""


class CopyTooSlow(RunError):
    """At its speed, or within its rule's cap, a backup would not be copied before its run's time is over."""


class WorkerDied(RunError):
    """A worker of a run was begun and ended without an answer."""

    retryable = True


class WorkerDenied(RunError):
    """A run's worker could not be begun: it is gone, or the run's role must not call it."""


class UnexpectedError(RunError):
    """A defect in rdbkeeper."""


def unexpected(what: str, error: Exception) -> UnexpectedError:
    """The error for a defect that was met while doing `what`; its text names nothing that should stay hidden."""
    return UnexpectedError(
        f"{what} met an error that rdbkeeper does not know: {type(error).__name__}.",
        hint="This is a defect. The function's log has the stack trace; please report it.",
    )


class HookFailed(RunError):
    """A function of the owner's that freezes or thaws writes could not be called, or failed."""

    retryable = True


class HookUnanswered(HookFailed):
    """A function of the owner's was called and has not answered: it may still do what it was called for."""


class HookUncalled(HookFailed):
    """A call to a function of the owner's was refused: it did nothing, and will not."""


class HookMissing(HookUncalled):
    """There is no such function of the owner's."""

    retryable = False


class ConsistencyMissed(RunError):
    """A backup is less consistent than its rule demands."""


class RunFailed(RunError):
    """At least one backup could not be copied."""
