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
    aborted = []
    for upload in uploads:
        try:
            vault.abort_upload(upload)
            runs.forget_uploads(rule.name, [upload])
            aborted.append(upload)
        except RdbkeeperError as error:
            journal.warning("UploadLeft", f"An upload of {upload.key} stays open for now: {error}", reason=error.code)
    return aborted
