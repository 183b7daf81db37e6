"""Servers that are reached directly: nothing is listed, and what is read is a stream that comes once."""

from __future__ import annotations

from typing import Protocol

from rdbkeeper.domain.backup import Instance
from rdbkeeper.domain.live import LiveFile, LiveFindings, LivePlan
from rdbkeeper.ports.stores import ByteStream


class LiveStream(ByteStream, Protocol):
    """One shard as an RDB file of a length that nobody knows before its end.

    `readinto` returns 0 only when the file is whole; it raises ServerLost when the server goes away or falls silent
    before that, and KeyUndumpable, SourceDenied, SyncRefused. What it raises cannot be helped by going on.
    """

    @property
    def findings(self) -> LiveFindings:
        """What became of it; to be asked after its end."""


class LiveSource(Protocol):
    """Reads servers directly."""

    def find_instance(self, name: str) -> Instance:
        """The server as an instance of that name.

        Raises SourceUnavailable where nothing answers, SourceRefused where something does that is no Redis,
        SourceDenied.
        """

    def measure(self) -> LivePlan:
        """What there is to read, in shard order, and in which way each server allows it.

        Raises SourceUnavailable, SourceDenied, SourceRefused; SyncRefused where the way that the rule demands is not
        allowed.
        """

    def open_stream(self, file: LiveFile) -> LiveStream:
        """Begin to read a shard. Raises SourceUnavailable while nothing has been begun, SourceDenied, SyncRefused."""
