"""The place where copies are kept did not do what was asked."""

from __future__ import annotations

from rdbkeeper.domain.errors.base import RdbkeeperError


class VaultError(RdbkeeperError):
    """The vault did not do what was asked."""


class VaultUnavailable(VaultError):
    """The vault did not answer, or asked for a slower pace."""

    retryable = True


class VaultDenied(VaultError):
    """The vault refused for lack of permission."""


class VaultRefused(VaultError):
    """The vault says that this cannot be done."""


class ObjectExists(VaultError):
    """A create-only write found an object of that key."""


class UploadGone(VaultError):
    """The multipart upload is no longer open."""


class VaultUnfit(VaultError):
    """The store lacks something without which no copy can be kept in it."""
