"""Exports that are given a name: one object a shard, `{name}-{shard}.rdb`, as ElastiCache and MemoryDB write them.

Where the user guides are silent on when an export is over, this is safe either way: it counts as ready when every
shard's object is there AND the backup is `available` again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import code_of, translated, words_of
from rdbkeeper.domain.backup import Backup, Shard, StagedFile
from rdbkeeper.domain.errors import NotExportable
from rdbkeeper.sources.aws.service import AwsService
from rdbkeeper.sources.aws.staging import StagedObject, StagingBucket

# Nothing but our own names: what it is of, 8 digits of the rule, 8 of the chain, 12 of the copy, and the shard's.
OURS = re.compile(r"rdbkeeper-.+-(?P<rule>[0-9a-f]{8})(?P<chain>[0-9a-f]{8})[0-9a-f]{12}-[0-9]{4}\.rdb")
_EXISTS = "SnapshotAlreadyExistsFault"
_BUSY = ("InvalidSnapshotState", "InvalidSnapshotStateFault")
_ALREADY_EXPORTED = "already contains an object"


@dataclass(frozen=True)
class NamedExports:
    """Exports under names of ours, of each attempt at a backup its own, by the service's CopySnapshot.

    `find` gives a backup by its name, as the service describes it, and `is_available` tells whether nothing is being
    done with one.
    """

    service: AwsService
    staging: StagingBucket
    find: Callable[[str], dict[str, Any] | None]
    is_available: Callable[[dict[str, Any]], bool]

    def request(self, backup: Backup, attempt: str) -> None:
        """Ask for the export; asking twice is asking once. Raises NotExportable."""
        check_exportable(backup)
        with translated(self.service.family, f"Exporting the backup {backup.backup_id}"):
            try:
                self.service.client.copy_snapshot(
                    SourceSnapshotName=backup.backup_id,
                    TargetSnapshotName=self._target(backup, attempt),
                    TargetBucket=self.staging.name,
                )
            except ClientError as error:
                if not self._was_asked_already(backup, attempt, error):
                    raise

    def find_files(self, backup: Backup, attempt: str) -> tuple[StagedFile, ...] | None:
        """The files of all shards, in their order, once the export is over; None until then."""
        staged = self._staged(backup, attempt)
        files = []
        for position, shard in enumerate(backup.shards, start=1):
            found = staged.get(self._key(backup, attempt, shard, position))
            if found is None:
                return None
            files.append(found.as_file(shard))
        snapshot = self.find(backup.backup_id)
        # The backup may vanish from the list meanwhile; its files are whole all the same, as each is one S3 object.
        return tuple(files) if snapshot is None or self.is_available(snapshot) else None

    def discard(self, backup: Backup, attempt: str) -> None:
        """Remove the files of all shards."""
        for position, shard in enumerate(backup.shards, start=1):
            self.staging.remove(self._key(backup, attempt, shard, position))

    def discard_leftovers(self, instance: str, rule_tag: str, keep_chain_tag: str, older_than: datetime) -> list[str]:
        """Remove what the rule's other chains staged of the instance before then; returns the names."""
        begin = _exports_of(instance)
        removed = []
        for found in self.staging.find_objects(f"{begin}{rule_tag}", "staged files that were left").objects:
            name = OURS.fullmatch(found.key)
            # An instance's name may go on where another's ends: what follows must be the tags, and nothing else.
            is_ours = name is not None and (name.start("rule"), name["rule"]) == (len(begin), rule_tag)
            if name is None or not is_ours or name["chain"] == keep_chain_tag or found.written_at >= older_than:
                continue
            self.staging.remove(found.key)
            removed.append(found.key)
        return removed

    def _target(self, backup: Backup, attempt: str) -> str:
        """The export's name, unique to the attempt. The services store it in lower case."""
        return f"{_exports_of(backup.instance)}{attempt}".lower()

    def _was_asked_already(self, backup: Backup, attempt: str, error: ClientError) -> bool:
        """True when an earlier call, whose answer was lost, has begun or finished this very export.

        The name is this attempt's alone, so whatever exists under it was asked for by this attempt.
        """
        if code_of(error) == _EXISTS or _ALREADY_EXPORTED in words_of(error):
            return True
        return code_of(error) in _BUSY and bool(self._staged(backup, attempt))

    def _staged(self, backup: Backup, attempt: str) -> dict[str, StagedObject]:
        listing = self.staging.find_objects(
            f"{self._target(backup, attempt)}-", f"the staged files of {backup.backup_id}"
        )
        return {found.key: found for found in listing.objects}

    def _key(self, backup: Backup, attempt: str, shard: Shard, position: int) -> str:
        number = shard.name if re.fullmatch(r"[0-9]{4}", shard.name) else f"{position:04d}"
        return f"{self._target(backup, attempt)}-{number}.rdb"


def check_exportable(backup: Backup) -> None:
    """Raise NotExportable for a backup whose data are tiered, which no service exports ("Data tiering")."""
    if backup.engine.tiers_data:
        raise NotExportable(
            f"The backup {backup.backup_id} of {backup.instance} cannot be exported: its nodes "
            f"({backup.engine.node_type or 'r6gd'}) tier their data.",
            hint="Neither ElastiCache nor MemoryDB exports backups of such nodes. Move the instance to nodes without "
            "data tiering, or delete this rule.",
        )


def _exports_of(instance: str) -> str:
    return f"rdbkeeper-{instance}-".lower()
