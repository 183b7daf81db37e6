"""The event that starts a run: a timer's, a person's, or that of the run before it."""

from __future__ import annotations

from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.ports import Journal


def read_run_request(event: object, journal: Journal) -> RunRequest:
    """What the event asks for. Raises InvalidRequest, which is logged as well: an engine keeps only an error's text."""
    try:
        return RunRequest.from_record(event)  # type: ignore[arg-type] # what is no object is told by the error
    except (TypeError, ValueError, AttributeError) as error:
        wrong = InvalidRequest(
            f"The event that started this run is none of a run's: {error}.",
            hint='Send {} or {"requested": true}, or use the action `run` of the function that manages rules.',
        )
        journal.error("EventWrong", str(wrong), reason=wrong.code)
        raise wrong from error
