"""Manual backups at a service in AWS: those that a rule asks for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import code_of, translated
from rdbkeeper.domain.backup import Instance
from rdbkeeper.domain.backup_first import NAMES_OF_OURS
from rdbkeeper.domain.errors import BackupQuotaUsed, SourceRefused
from rdbkeeper.sources.aws.service import INSTANCE_AT_WORK, AwsService

_QUOTA_USED = (
    BackupQuotaUsed,
    "The provider takes no more of this instance within 24 hours. Let the rule run less often, or see who else asks.",
)


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
                if code_of(error) not in (self.exists, self.quota, *INSTANCE_AT_WORK):
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
