"""Makes a copy exist: judges its files, completes them, and writes the manifest last.

After a lost answer it looks instead of assuming: an object that is there already counts when its length and sum are
those that were sent, whoever's answer was lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

from rdbkeeper.domain.backup import Backup
from rdbkeeper.domain.catalog import manifest_key
from rdbkeeper.domain.copy import CopiedFile, Manifest, describe_copy
from rdbkeeper.domain.errors import FileMissing, IntegrityError, ObjectExists, StoreMismatch, UploadGone
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.sums import Sums, composite_etag
from rdbkeeper.domain.transfer import FileTransfer, Transfer
from rdbkeeper.domain.vault import StoreSum
from rdbkeeper.ports import Clock, Journal, Part, StoredObject, Upload, Vault
from rdbkeeper.rdb import checksum
from rdbkeeper.rdb.envelope import Verdict, judge

# What proved that the store holds the bytes that were sent, by the best sum that it keeps.
STORE_CHECKS = {
    StoreSum.CRC64NVME: "store crc64nvme",
    StoreSum.PART_MD5: "store md5 of parts",
}
READ_BACK = "read back whole"


@dataclass(frozen=True)
class Judged:
    """A file that has passed whole: its sums, and what they say."""

    file: FileTransfer
    sums: Sums
    verdict: Verdict


def judge_file(file: FileTransfer) -> Judged:
    """Judge a file that has passed whole, in however many legs. Raises IntegrityError, naming the file."""
    sums = reduce(checksum.join, (stretch.sums for stretch in file.stretches), Sums())
    try:
        return Judged(file, sums, judge(sums.head, sums.tail, sums.size_bytes, sums.crc64))
    except IntegrityError as error:
        raise type(error)(f"{file.name}.rdb: {error.message}", hint=error.hint) from error


def check_all_shards(backup: Backup, transfer: Transfer) -> None:
    """Raise FileMissing unless there is exactly one file for each of the backup's shards: all or nothing.

    Of a backup that is listed without its shards, whatever its export made is all of it.
    """
    expected = [shard.name for shard in backup.shards]
    there = [file.name for file in transfer.files]
    if not there or (expected and there != expected):
        raise FileMissing(
            f"The backup {backup.backup_id} has the shards {', '.join(expected)}; its files are {', '.join(there)}.",
            hint="Nothing was published; the next run asks for all of them again.",
        )


def find_rejected(transfer: Transfer, store_sum: StoreSum) -> list[FileTransfer]:
    """The files found in the vault without a manifest that must not be adopted: damaged, or without sums to tell."""
    return [file for file in transfer.files if file.is_read_again and not _can_be_adopted(file, store_sum)]


def _can_be_adopted(file: FileTransfer, store_sum: StoreSum) -> bool:
    try:
        judged = judge_file(file)
    except IntegrityError:
        return False
    if judged.verdict.unchecked_reason:
        return False
    # The store may keep no sum of this object, or another. Where it keeps none at all, the reading is the proof.
    return store_sum is not StoreSum.CRC64NVME or file.found_crc64nvme == judged.sums.crc64nvme


def complete_files(transfer: Transfer, vault: Vault, journal: Journal) -> tuple[CopiedFile, ...]:
    """Judge every file, then complete every upload. Raises IntegrityError before anything is completed."""
    judged_files = [judge_file(file) for file in transfer.files]
    return tuple(_complete_file(judged, vault, journal) for judged in judged_files)


def complete_to_read_back(transfer: Transfer, vault: Vault, journal: Journal) -> dict[str, list[Any]]:
    """Judge every file, then complete the uploads into a store that keeps no sum, which leaves the proof to reading.

    Returns by key the object's tag and the CRC64NVME of what was sent. Raises IntegrityError.
    """
    judged_files = [judge_file(file) for file in transfer.files]
    completed = {}
    for judged in judged_files:
        if not judged.file.is_read_again:
            _complete_upload(judged, vault, journal)
            stored = _find_whole(judged.file, vault)
            completed[judged.file.key] = [stored.etag, judged.sums.crc64nvme]
    return completed


def _complete_file(judged: Judged, vault: Vault, journal: Journal) -> CopiedFile:
    file, verdict = judged.file, judged.verdict
    if file.is_read_again and file.sent_crc64nvme is None:
        journal.warning(
            "FragmentAdopted",
            f"{file.key} was in the vault without a manifest; it is whole, so it is kept.",
            key=file.key,
        )
    elif not file.is_read_again:
        _complete_upload(judged, vault, journal)
    check = _check_what_is_stored(judged, vault)
    return CopiedFile(
        name=file.name,
        key=file.key,
        slots=file.staged.shard.slots,
        size_bytes=file.staged.size_bytes,
        rdb_version=verdict.rdb_version,
        crc64=checksum.as_hex(verdict.stored_crc64) if verdict.stored_crc64 is not None else "",
        crc64nvme=checksum.as_hex(judged.sums.crc64nvme),
        part_size_bytes=file.part_size_bytes,
        part_sha256=tuple(receipt.sha256 for receipt in file.receipts),
        checks=(*verdict.checks, check),
        unchecked_reason=verdict.unchecked_reason,
    )


def _complete_upload(judged: Judged, vault: Vault, journal: Journal) -> None:
    file = judged.file
    parts = [Part(number, receipt.etag, receipt.crc64nvme) for number, receipt in enumerate(file.receipts, start=1)]
    upload = Upload(file.key, file.upload_id)
    try:
        vault.complete_upload(upload, parts, judged.sums.size_bytes, judged.sums.crc64nvme)
    except (ObjectExists, UploadGone) as error:
        if vault.find_object(file.key) is None:
            raise
        # An earlier attempt completed it and its answer was lost; whether those are our bytes is checked next.
        journal.warning("AnswerLost", f"Completing {file.key} had been done already.", key=file.key, reason=error.code)
        vault.abort_upload(upload)


def _check_what_is_stored(judged: Judged, vault: Vault) -> str:
    """The check by which the store was seen to hold the file. Raises StoreMismatch when it holds another."""
    file, store_sum = judged.file, vault.capabilities.sum
    stored = _find_whole(file, vault)
    if store_sum is StoreSum.CRC64NVME:
        is_ours, check = stored.crc64nvme == judged.sums.crc64nvme, STORE_CHECKS[store_sum]
    elif file.is_read_again:
        is_as_sent = file.sent_crc64nvme in (None, judged.sums.crc64nvme)
        is_ours, check = stored.etag == file.found_etag and is_as_sent, READ_BACK
    else:
        is_ours, check = stored.etag == _expected_etag(file), STORE_CHECKS[StoreSum.PART_MD5]
    if not is_ours:
        raise _mismatch(file)
    return check


def _find_whole(file: FileTransfer, vault: Vault) -> StoredObject:
    """What the store holds under the file's key. Raises StoreMismatch unless its length is the file's."""
    stored = vault.find_object(file.key)
    if stored is None or stored.size_bytes != file.staged.size_bytes:
        raise _mismatch(file)
    return stored


def _mismatch(file: FileTransfer) -> StoreMismatch:
    return StoreMismatch(
        f"The vault does not hold under {file.key} the {file.staged.size_bytes:,} bytes that were sent.",
        hint="Something else wrote there, or the store damaged it. No manifest was written; the next run reads it "
        "again, and adopts or replaces it.",
    )


def _expected_etag(file: FileTransfer) -> str:
    """The tag of an object made of the parts that were put; "" where their tags are no sums, which matches none."""
    try:
        return composite_etag([receipt.etag for receipt in file.receipts])
    except ValueError:
        return ""


def publish_manifest(
    rule: Rule, backup: Backup, files: tuple[CopiedFile, ...], vault: Vault, clock: Clock, made_by: str
) -> Manifest:
    """Write the manifest, once; from here on the copy exists. Raises ObjectExists when another copy's is there."""
    manifest = describe_copy(rule=rule.name, backup=backup, files=files, copied_at=clock.now(), made_by=made_by)
    key = manifest_key(rule.place.path, manifest.copy_id, manifest.level)
    try:
        vault.create_object(key, manifest.to_json(), "application/json")
    except ObjectExists:
        there = Manifest.from_json(vault.read_object(key), key)
        if not there.same_copy(manifest):
            raise
        return there
    return manifest
