"""Whether a durable execution is still going."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import Family, code_of, translated
from rdbkeeper.domain.errors import FleetDenied, FleetRefused, FleetUnavailable

# GetDurableExecution, Lambda API reference. Any other status counts as going, so a lease is never taken too early.
ENDED = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"})
_FAMILY = Family(FleetDenied, FleetUnavailable, FleetRefused)


class DurableExecutions:
    """Asks Lambda about executions."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def has_ended(self, execution: str) -> bool:
        with translated(_FAMILY, "Asking whether the run that holds the lease has ended"):
            try:
                answer = self._client.get_durable_execution(DurableExecutionArn=execution)
            except ClientError as error:
                if code_of(error) == "ResourceNotFoundException":
                    return True  # it ended so long ago that Lambda no longer knows it, or its function is gone
                raise
        return answer["Status"] in ENDED
