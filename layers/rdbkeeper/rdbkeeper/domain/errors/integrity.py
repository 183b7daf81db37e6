"""Bytes are not what they should be."""

from __future__ import annotations

from rdbkeeper.domain.errors.base import RdbkeeperError


class IntegrityError(RdbkeeperError):
    """Bytes are not what they should be."""


class StreamCutShort(IntegrityError):
    """A stream ended before its declared length."""

    retryable = True


class StreamTooLong(IntegrityError):
    """A stream went on after its declared length."""

    retryable = True


class NotAnRdbFile(IntegrityError):
    """The file does not begin as an RDB file does."""


class EndMarkerMissing(IntegrityError):
    """The file does not end as an RDB file does."""


class ChecksumMismatch(IntegrityError):
    """The file's own CRC64 does not match its bytes."""


class FileMissing(IntegrityError):
    """A copy would lack one of its backup's files, or have one too many."""


class StoreMismatch(IntegrityError):
    """The store holds other bytes than were sent."""


class ManifestUnreadable(IntegrityError):
    """A manifest is there and cannot be read as one."""


class CopyDamaged(IntegrityError):
    """A copy at rest no longer holds the bytes of its manifest."""
