"""Bugs in judging, completing and publishing a copy."""

from __future__ import annotations

from tests.faults.fault import Kind
from tests.faults.planted.bug import Change, Hint, PlantedBug, Promise

_PUBLISH = "flows/runs/publish.py"
_COPY = "flows/runs/copy.py"
_CHECKSUM = "rdb/checksum.py"
_ENVELOPE = "rdb/envelope.py"
_NOT_STORED = Change(
    _PUBLISH,
    "file, store_sum = judged.file, vault.capabilities.sum",
    "file, store_sum = judged.file, vault.capabilities.sum\n    if vault.find_object(file.key) is None: return ''",
)

PUBLISHING = (
    PlantedBug(
        "the CRC64 is not judged",
        Promise.IDENTICAL,
        Change(_PUBLISH, "sums.size_bytes, sums.crc64))", "sums.size_bytes, 0))"),
    ),
    PlantedBug(
        "a sum of zeros is taken for a sum",
        Promise.HONEST,
        Change(_ENVELOPE, "if trailer[1:] == bytes(8):", "if trailer[1:] == bytes(9):"),
    ),
    PlantedBug(
        "what lacks a sum is called verified",
        Promise.HONEST,
        Change(_ENVELOPE, '"no CRC: zeros stand in its place, as a server with rdbchecksum off writes them"', '""'),
    ),
    PlantedBug(
        "one verified file makes the whole copy verified",
        Promise.HONEST,
        Change("domain/copy.py", "if any(file.unchecked_reason for file", "if all(file.unchecked_reason for file"),
    ),
    PlantedBug(
        "every manifest is named as a verified one",
        Promise.HONEST,
        Change("domain/catalog.py", "{copy_id}.{level.value}.json", "{copy_id}.verified.json"),
    ),
    PlantedBug(
        "the manifest holds the CRC64 in the wrong order of bytes",
        Promise.HONEST,
        Change(_ENVELOPE, 'int.from_bytes(trailer[1:], "little")', 'int.from_bytes(trailer[1:], "big")'),
    ),
    PlantedBug(
        "two sums are put together in the wrong order",
        Promise.IDENTICAL,
        Change(
            _CHECKSUM, "first.crc64, second.crc64, second.size_bytes", "second.crc64, first.crc64, second.size_bytes"
        ),
    ),
    PlantedBug(
        "two sums are put together by the first one's length",
        Promise.IDENTICAL,
        Change(
            _CHECKSUM, "first.crc64, second.crc64, second.size_bytes", "first.crc64, second.crc64, first.size_bytes"
        ),
    ),
    PlantedBug(
        "the store's sum is put together from the other one",
        Promise.IDENTICAL,
        Change(_CHECKSUM, '"CRC64-NVME", first.crc64nvme, second', '"CRC64-NVME", first.crc64, second'),
    ),
    PlantedBug(
        "a trailer that lies in two parts is not joined",
        Promise.IDENTICAL,
        Change(_CHECKSUM, "tail=(first.tail + second.tail)[-TRAILER_BYTES:]", "tail=second.tail"),
    ),
    PlantedBug(
        "the last part's first bytes are taken for the header",
        Promise.IDENTICAL,
        Change(_CHECKSUM, "head=(first.head + second.head)[:HEADER_BYTES]", "head=second.head"),
    ),
    PlantedBug(
        "nothing found in the vault is ever rejected",
        Promise.CONVERGES,
        Change(_PUBLISH, "if file.is_read_again and not _can_be_adopted(file, store_sum)]", "if False]"),
    ),
    PlantedBug(
        "data whose CRC64 is wrong are adopted",
        Promise.CONVERGES,
        Change(_PUBLISH, "return False", "return True", below="except IntegrityError:"),
    ),
    PlantedBug(
        "data are adopted of which the store keeps no sum",
        Promise.CONVERGES,
        Change(_PUBLISH, "or file.found_crc64nvme == judged.sums.crc64nvme", "or True"),
    ),
    PlantedBug(
        "data without a CRC64 are adopted",
        Promise.IDENTICAL,
        Change(_PUBLISH, "if judged.verdict.unchecked_reason:", "if not judged.file:"),
    ),
    PlantedBug(
        "an upload that is gone counts as a failure",
        Promise.CONVERGES,
        Change(_PUBLISH, "except (ObjectExists, UploadGone) as error:", "except ObjectExists as error:"),
        Hint("one_small_backup", (Kind.DONE_BUT_GONE,)),
    ),
    PlantedBug(
        "an object that is there already counts as a failure",
        Promise.CONVERGES,
        Change(_PUBLISH, "except (ObjectExists, UploadGone) as error:", "except UploadGone as error:"),
        Hint("one_small_backup", (Kind.DONE_BUT_EXISTS,)),
    ),
    PlantedBug(
        "an upload that is gone counts as done without a look",
        Promise.MANIFEST_LAST,
        Change(_PUBLISH, "if vault.find_object(file.key) is None:", "if not file.key:"),
        Hint("one_small_backup", (Kind.UPLOAD_GONE,)),
        also=_NOT_STORED,
    ),
    PlantedBug(
        "the manifest is written and the upload never completed",
        Promise.MANIFEST_LAST,
        Change(_PUBLISH, "_complete_upload(judged, vault, journal)", "pass", below="elif not file.is_read_again:"),
        also=_NOT_STORED,
    ),
    PlantedBug(
        "parts are numbered from zero",
        Promise.CONVERGES,
        Change(_PUBLISH, "enumerate(file.receipts, start=1)]", "enumerate(file.receipts)]"),
    ),
    PlantedBug(
        "a manifest that is there already counts as a failure",
        Promise.HONEST,
        Change(_PUBLISH, "if not there.same_copy(manifest):", "if there:"),
    ),
    PlantedBug(
        "no key of the vault is looked at before uploading",
        Promise.CONVERGES,
        Change(_COPY, "found = vault.find_object(key)", "found = None"),
    ),
    PlantedBug(
        "data of another length are read again",
        Promise.CONVERGES,
        Change(_COPY, "if found is not None and found.size_bytes == staged.size_bytes:", "if found is not None:"),
    ),
    PlantedBug(
        "data of another length are left where they are",
        Promise.CONVERGES,
        Change(_COPY, 'self._remove_fragment(rule, ticket, key, found.etag, "its length', 'str("its length'),
    ),
    PlantedBug(
        "a fragment is removed without looking for its manifest",
        Promise.REMOVAL,
        Change(
            _COPY, "if vault.find_object(manifest_key(rule.place.path, ticket.copy_id, level)) is not None:", "if 0:"
        ),
    ),
    PlantedBug(
        "a fragment is removed where an unchecked copy has its manifest",
        Promise.REMOVAL,
        Change(_COPY, "for level in Level:", "for level in (Level.VERIFIED,):"),
    ),
    PlantedBug(
        "replacing fragments aborts the run's own uploads",
        Promise.CONVERGES,
        Change(_COPY, "for upload in open_now if upload not in ours]", "for upload in open_now]"),
    ),
    PlantedBug(
        "a deleted rule's run publishes",
        Promise.WANTED,
        Change(_COPY, "self.context.check_still_wanted(rule)", "pass", below="self.context.renew_lease()"),
    ),
    PlantedBug(
        "staged files are discarded before they are copied",
        Promise.CONVERGES,
        Change(
            _COPY,
            "return Transfer(tuple(files)",
            "self.context.source(rule).discard_export(export.backup, ticket.attempt); return Transfer(tuple(files)",
        ),
    ),
)
