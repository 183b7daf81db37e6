"""Gives up multipart uploads that nobody will complete."""

from __future__ import annotations

from collections.abc import Sequence

from rdbkeeper.domain.errors import RdbkeeperError
from rdbkeeper.domain.rule import Rule
from rdbkeeper.ports import Journal, RunTable, Upload, Vault


def give_up_uploads(
    rule: Rule, uploads: Sequence[Upload], vault: Vault, runs: RunTable, journal: Journal
) -> list[Upload]:
    """Abort uploads and strike them off the record; returns those that were aborted.

    One that cannot be aborted stays on record for the next run, and the bucket's lifecycle rule stands behind that: it
    must not keep the other backups from being copied, nor a rule from being deleted.
    """
    aborted = [upload for upload in uploads if _abort(upload, vault, journal)]
    try:
        runs.forget_uploads(rule.name, aborted)
    except RdbkeeperError as error:
        # What stays on record is aborted once more by the next run, which is no error.
        journal.warning("RecordLeft", f"Uploads that are given up stay on record for now: {error}", reason=error.code)
    return aborted


def _abort(upload: Upload, vault: Vault, journal: Journal) -> bool:
    try:
        vault.abort_upload(upload)
    except RdbkeeperError as error:
        journal.warning("UploadLeft", f"An upload of {upload.key} stays open for now: {error}", reason=error.code)
        return False
    return True
