"""DescribeEvents: what happened to caches and snapshots, for 14 days."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.local_cloud.managed.errors import ServiceError
from tests.local_cloud.paging import BadTokenError, cut_page

KEPT = timedelta(days=14)
DEFAULT_MINUTES = 60


@dataclass(frozen=True)
class Event:
    """One thing that happened; `source_id` is a name, or a snapshot's ARN where a test says so."""

    source_type: str
    source_id: str
    message: str
    at: datetime


class EventLog:
    """All events of a region, the oldest first."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._events: list[Event] = []

    def note(self, source_type: str, source_id: str, message: str) -> None:
        """Keep what has just happened."""
        with self._lock:
            self._events.append(Event(source_type, source_id, message, self._clock()))

    def forget(self) -> None:
        """Keep nothing of what has happened so far."""
        with self._lock:
            self._events.clear()

    def describe_events(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """List events of a span of time, of the last hour if none is given."""
        source_type, source_id = parameters.get("SourceType"), parameters.get("SourceIdentifier")
        if source_id and not source_type:
            raise ServiceError("InvalidParameterCombination", "SourceIdentifier needs SourceType.")
        size = parameters.get("MaxRecords", 100)
        if not 20 <= size <= 100:
            raise ServiceError("InvalidParameterValue", f"MaxRecords must be from 20 to 100: {size}")
        start, end = self._span(parameters)
        with self._lock:
            found = [
                event
                for event in self._events
                if start <= event.at <= end
                and source_type in (None, event.source_type)
                and source_id in (None, event.source_id)
            ]
        try:
            page = cut_page(found, parameters.get("Marker"), size)
        except BadTokenError as error:
            raise ServiceError("InvalidParameterValue", str(error)) from error
        return {"Marker": page.next_token, "Events": [_describe(event) for event in page.items]}

    def _span(self, parameters: Mapping[str, Any]) -> tuple[datetime, datetime]:
        now = self._clock()
        minutes = parameters.get("Duration")
        start, end = parameters.get("StartTime"), parameters.get("EndTime")
        if minutes is not None and (minutes < 1 or timedelta(minutes=minutes) > KEPT):
            raise ServiceError("InvalidParameterValue", f"Duration must be from 1 minute to 14 days: {minutes}")
        if minutes is not None and start and end:
            raise ServiceError("InvalidParameterCombination", "Duration, StartTime and EndTime exclude each other.")
        length = timedelta(minutes=minutes or DEFAULT_MINUTES)
        if start is None:
            end = end or now
            start = end - length
        else:
            end = end or (start + length if minutes else now)
        if end < start:
            raise ServiceError("InvalidParameterCombination", "EndTime is before StartTime.")
        if start < now - KEPT - timedelta(minutes=1):
            raise ServiceError("InvalidParameterValue", "StartTime is more than 14 days ago.")
        return start, end


def _describe(event: Event) -> dict[str, Any]:
    return {
        "SourceIdentifier": event.source_id,
        "SourceType": event.source_type,
        "Message": event.message,
        "Date": event.at,
    }
