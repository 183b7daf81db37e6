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
    """A backup's file is no longer the one that was measured."""


class NotExportable(SourceError):
    """The provider cannot make this backup's files readable, now or later."""


class BackupEncrypted(SourceError):
    """The backup's files are encrypted in a form that cannot be read."""


class DownloadRestricted(SourceError):
    """The owner's account lets this function download no backups."""


class LinkRefused(SourceError):
    """A link leads where no backup of this provider is kept, or on to somewhere else."""


class LinkMisanswered(SourceError):
    """A link was answered by something other than the bytes that were asked for."""


class BackupQuotaUsed(SourceError):
    """The provider takes no further manual backup of the instance today."""


class BackupNotMade(SourceError):
    """A backup that was asked for failed at the provider, or did not end in time."""


class ServerLost(SourceError):
    """A server went away, or fell silent, while it was being read."""


class ServerTooLarge(SourceError):
    """A server's data would not be read within the one attempt that there is."""


class SyncRefused(SourceError):
    """The server gives its data to no replica."""


class KeyUndumpable(SourceError):
    """The server cannot write a key down, or its value is too large to be held."""
