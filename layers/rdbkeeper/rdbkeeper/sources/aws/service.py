"""How the services in AWS that keep backups are called, and how they refuse."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import Family, Worded, code_of, translated
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupGone,
    NotExportable,
    SourceDenied,
    SourceRefused,
    SourceUnavailable,
)
from rdbkeeper.sources.aws.staging import BUCKET_REFUSALS

KEY_REFUSAL = Worded(
    re.compile("(?i)customer.managed key|kms ?key"),
    NotExportable,
    "Exports cannot use a key of yours, and a backup that is encrypted with one can be read only while it is enabled. "
    "Look at the key; what it cannot be made to do needs an instance that the service's own key encrypts.",
)
_WORKING = "The provider is working on this backup; the next run asks again."
_INSTANCE_BUSY = "The provider is working on the instance; the next run asks again."
_INSTANCE_GONE = "The instance was deleted, or is being made: look at it in the provider's console."
_VANISHED = "It was deleted or has expired at the source before it could be copied."
# An instance that something is being done with, and can take no backup meanwhile.
INSTANCE_AT_WORK = (
    "InvalidCacheClusterState",
    "InvalidReplicationGroupState",
    "InvalidServerlessCacheStateFault",
    "InvalidClusterStateFault",
)
# The codes of the operations used, as botocore's models state them; some drop the "Fault" of their name.
_SPECIAL = {
    **dict.fromkeys(
        ("InvalidSnapshotState", "InvalidSnapshotStateFault", "InvalidServerlessCacheSnapshotStateFault"),
        (BackupBusy, _WORKING),
    ),
    **dict.fromkeys(INSTANCE_AT_WORK, (BackupBusy, _INSTANCE_BUSY)),
    "SnapshotQuotaExceededFault": (
        BackupBusy,
        "The account's quota is used up for now; the next run asks again.",
    ),
    **dict.fromkeys(("SnapshotNotFoundFault", "ServerlessCacheSnapshotNotFoundFault"), (BackupGone, _VANISHED)),
    **dict.fromkeys(
        (
            "CacheClusterNotFound",
            "ReplicationGroupNotFoundFault",
            "ServerlessCacheNotFoundFault",
            "ClusterNotFoundFault",
        ),
        (SourceRefused, _INSTANCE_GONE),
    ),
    "SnapshotFeatureNotSupportedFault": (
        SourceRefused,
        "Nodes of this type or engine cannot be backed up: move the instance to another node type.",
    ),
    "ServiceLinkedRoleNotFoundFault": (
        SourceDenied,
        "The service's own role is missing in this account: `aws iam create-service-linked-role` makes it.",
    ),
}


def service_family(service: str) -> Family:
    """How a service's errors are translated; `service` is what IAM calls it."""
    return Family(
        SourceDenied,
        SourceUnavailable,
        SourceRefused,
        special=_SPECIAL,
        worded=(*BUCKET_REFUSALS, KEY_REFUSAL),
        service=service,
    )


class AwsService:
    """Calls a service; its errors are translated."""

    def __init__(self, client: Any, label: str, family: Family) -> None:
        self.client = client
        self.label = label
        self.family = family

    def pages(self, operation: str, member: str, **filters: Any) -> list[dict[str, Any]]:
        """All that a listing holds."""
        with translated(self.family, f"{self.label}'s {operation}"):
            return self._read_pages(operation, member, filters)

    def find_pages(self, missing: str, operation: str, member: str, **filters: Any) -> list[dict[str, Any]] | None:
        """All that a listing holds; None where the service answers with the code `missing`."""
        with translated(self.family, f"{self.label}'s {operation}"):
            try:
                return self._read_pages(operation, member, filters)
            except ClientError as error:
                if code_of(error) != missing:
                    raise
        return None

    def _read_pages(self, operation: str, member: str, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
        pages = self.client.get_paginator(operation).paginate(**filters)
        return [item for page in pages for item in page.get(member, ())]

    def find(self, operation: str, member: str, **filters: Any) -> dict[str, Any] | None:
        """The one thing that the filters name, or None."""
        with translated(self.family, f"{self.label}'s {operation}"):
            try:
                found = getattr(self.client, operation)(**filters).get(member)
            except ClientError as error:
                if "NotFound" in code_of(error) and code_of(error) != "ServiceLinkedRoleNotFoundFault":
                    return None
                raise
        return found[0] if found else None
