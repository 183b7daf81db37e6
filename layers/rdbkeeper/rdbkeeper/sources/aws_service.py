"""What the sources in AWS have in common: how a service is called, how it refuses, and backups on demand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import Family, Worded, code_of, translated
from rdbkeeper.domain.backup import Instance
from rdbkeeper.domain.backup_first import NAMES_OF_OURS
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupGone,
    BackupQuotaUsed,
    NotExportable,
    SourceDenied,
    SourceRefused,
    SourceUnavailable,
)
from rdbkeeper.sources.staging import BUCKET_REFUSALS

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
_INSTANCE_AT_WORK = (
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
    **dict.fromkeys(_INSTANCE_AT_WORK, (BackupBusy, _INSTANCE_BUSY)),
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
_QUOTA_USED = (
    BackupQuotaUsed,
    "The provider takes no more of this instance within 24 hours. Let the rule run less often, or see who else asks.",
)


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


@dataclass(frozen=True)
class ManualBackups:
    """Backups on demand: made once however often they are asked for, and removed only if they are ours.

    `find` gives a backup by its name, as the service describes it, `is_of` tells whether it is an instance's, and
    `list_tags` gives its tags by its ARN. `kind` is where it says whether it is manual; `exists` and `quota` are the
    codes for a name that is taken, and for too many in a day.
    """

    service: AwsService
    find: Callable[[str], dict[str, Any] | None]
    is_of: Callable[[dict[str, Any], Instance], bool]
    list_tags: Callable[[str], list[dict[str, Any]]]
    delete: Callable[[str], object]
    kind: str
    exists: str
    quota: str

    def find_of(self, instance: Instance, name: str) -> dict[str, Any] | None:
        """The instance's backup of that name, or None."""
        found = self.find(name)
        return found if found is not None and self.is_of(found, instance) else None

    def request(self, instance: Instance, name: str, tags: Mapping[str, str], create: Callable[..., object]) -> None:
        """Have `create`, which takes the Tags, make it.

        Raises SourceRefused when the name is taken by one that is not ours.
        """
        what = f"Making the backup {name} of {instance.name}"
        family = self.service.family
        making = replace(family, special={**family.special, self.quota: _QUOTA_USED})
        with translated(making, what):
            try:
                create(Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
            except ClientError as error:
                # An earlier call, whose answer was lost, may have made it, and may be why there is no room for another.
                if code_of(error) not in (self.exists, self.quota, *_INSTANCE_AT_WORK):
                    raise
                found = self.find(name)
                if found is not None and self.is_of(found, instance) and self._bears(found, tags):
                    return
                if code_of(error) == self.exists:
                    raise SourceRefused(
                        f"{what} failed: there is a backup of that name, which is another's or lacks this rule's tags.",
                        hint="Remove it if it is of no use; the next run asks under another name.",
                    ) from error
                raise

    def remove(self, instance: Instance, name: str, tags: Mapping[str, str]) -> bool:
        """Remove it if it is manual, named as ours are, and bears these tags; False where it stays."""
        found = self.find(name)
        if found is None:
            return True
        is_manual = str(found.get(self.kind, "")).lower() == "manual"
        may_be_ours = name.startswith(NAMES_OF_OURS) and is_manual and self.is_of(found, instance)
        if not may_be_ours or not self._bears(found, tags):
            return False
        with translated(self.service.family, f"Removing the backup {name}"):
            try:
                self.delete(name)
            except ClientError as error:
                if "SnapshotNotFound" not in code_of(error):
                    raise
        return True

    def _bears(self, found: dict[str, Any], tags: Mapping[str, str]) -> bool:
        """Whether it bears these tags; there must be some, or everybody's would do."""
        with translated(self.service.family, "Reading the tags of a backup"):
            try:
                listed = self.list_tags(found["ARN"])
            except ClientError as error:
                if "NotFound" not in code_of(error):
                    raise
                return False
        borne = {tag["Key"]: tag.get("Value", "") for tag in listed}
        return bool(tags) and dict(tags).items() <= borne.items()
