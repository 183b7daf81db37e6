"""A bucket of a store: how it is asked, and with what everything in it is put."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from rdbkeeper.aws.errors import Family
from rdbkeeper.domain.vault import Capabilities, VaultOptions
from rdbkeeper.vaults.store_errors import FAMILY, store_errors


@dataclass(frozen=True)
class Bucket:
    """A bucket and how it is reached. `client` gives the S3 client; `owner` is the account it must belong to, or ""."""

    client: Callable[[], Any]
    name: str
    owner: str = field(default="", repr=False)
    capabilities: Capabilities = field(default_factory=Capabilities)
    options: VaultOptions = field(default_factory=VaultOptions)

    @property
    def itself(self) -> dict[str, Any]:
        """The parameters that name the bucket."""
        # A bucket that was deleted and made anew by somebody else is refused ("Verifying bucket ownership with bucket
        # owner condition").
        return {"Bucket": self.name, "ExpectedBucketOwner": self.owner} if self.owner else {"Bucket": self.name}

    def at(self, key: str) -> dict[str, Any]:
        """The parameters that name an object."""
        return {**self.itself, "Key": key}

    def small(self) -> dict[str, Any]:
        """How a manifest or a mark is put: it is read far more often than it would save in a colder class."""
        wanted: dict[str, Any] = {}
        if self.options.kms_key:
            # A bucket key saves a call to KMS an object ("Reducing the cost of SSE-KMS").
            wanted |= {
                "ServerSideEncryption": "aws:kms",
                "SSEKMSKeyId": self.options.kms_key,
                "BucketKeyEnabled": True,
            }
        if self.options.tags:
            wanted["Tagging"] = urlencode(self.options.tags)
        return wanted

    def large(self) -> dict[str, Any]:
        """How data are put."""
        if self.options.storage_class == "STANDARD":
            return self.small()
        return {**self.small(), "StorageClass": self.options.storage_class}

    def errors(self, what: str, family: Family = FAMILY) -> AbstractContextManager[None]:
        """Translate what the store refuses of `what`."""
        return store_errors(self.name, what, family)
