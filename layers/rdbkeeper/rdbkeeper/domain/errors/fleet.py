"""Functions, schedules, log groups and alarms could not be made, read or removed."""

from __future__ import annotations

from rdbkeeper.domain.errors.base import RdbkeeperError


class FleetError(RdbkeeperError):
    """A function, schedule, log group or alarm could not be made, read or removed."""


class FleetUnavailable(FleetError):
    """The service did not answer, or asked for a slower pace."""

    retryable = True


class FleetDenied(FleetError):
    """The service refused for lack of permission."""


class FleetRefused(FleetError):
    """The service says that this cannot be done."""


class NotOurs(FleetError):
    """Something of that name exists and lacks this stack's tag."""
