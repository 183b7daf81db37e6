"""The provider of the backups did not do what was asked."""

from __future__ import annotations

from rdbkeeper.domain.errors.base import RdbkeeperError


class SourceError(RdbkeeperError):
    """The provider of the backups did not do what was asked."""


class SourceUnavailable(SourceError):
    """The provider did not answer, or asked for a slower pace."""

    retryable = True


class SourceDenied(SourceError):
    """The provider refused for lack of permission."""


class SourceRefused(SourceError):
    """The provider says that this cannot be done."""


class BackupBusy(SourceError):
    """The provider is working on this backup."""

    retryable = True


class BackupGone(SourceError):
    """The backup or its staged file is no longer there."""


class ExportTimedOut(SourceError):
    """The export was asked for and never became readable."""


class StagedFileChanged(SourceError):
    """A staged file is no longer the one that was measured."""
