"""Tries what a store honours: a capability is believed when the right call works and the wrong one is refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from rdbkeeper.domain.errors import VaultUnfit
from rdbkeeper.domain.vault import Capabilities, LockState, StoreSum, VaultBinding
from rdbkeeper.ports import Part, Upload
from rdbkeeper.rdb.checksum import as_base64, crc64_nvme
from rdbkeeper.vaults.locks import NOT_LOCKED, find_lock, lock_object
from rdbkeeper.vaults.store_errors import UNKNOWN_CALL
from rdbkeeper.vaults.sums import completing, expected_etag, opening
from rdbkeeper.vaults.trial import Attempt, Trial, md5_base64

_BODY = b"what a probe writes"
_OTHER = b"what it would write"
_REFUSED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
_TRIED_LOCK = timedelta(minutes=30)  # longer than the store's clock may be off
_DAYS_A_YEAR = 365
_WRONG_ETAG = '"00000000000000000000000000000000"'


class Examination:
    """One close look at a store."""

    def __init__(self, trial: Trial, binding: VaultBinding, now: datetime) -> None:
        self._trial = trial
        self._binding = binding
        self._now = now
        self._bucket = trial.bucket
        self._first = trial.key("first")

    def run(self) -> Capabilities:
        """Everything in Capabilities. Raises VaultUnfit for a store that no copy can be kept in."""
        self._trial.put(self._first, _BODY)
        self._check_ranges()
        lock_state = self._lock_state()
        return Capabilities(
            sum=self._sum(),
            conditional_create=self._honours_creates(),
            conditional_complete=self._honours_completes(),
            conditional_read=self._honours_reads(),
            lists_uploads=self._lists_uploads(),
            locks=lock_state.is_enabled,
            keeps_versions=self._keeps_versions(),
            conditional_delete=self._honours_deletes(),
            default_lock_days=lock_state.default_days,
        )

    def _check_ranges(self) -> None:
        if not self._trial.has(self._first, _BODY[2:6], Range="bytes=2-5"):
            raise VaultUnfit(
                "The store does not send the part of an object that is asked for.",
                hint="Copies are read again in parts. Use a store that honours Range.",
            )

    # -- sums

    def _sum(self) -> StoreSum:
        if self._checks_crc64nvme():
            return StoreSum.CRC64NVME
        refused = self._open_upload()  # some stores give an upload up with the first part that they refuse
        wrong = self._put_part(refused, ContentMD5=md5_base64(_OTHER))
        self._trial.abort(refused)
        upload = self._open_upload()
        right = self._put_part(upload, ContentMD5=md5_base64(_BODY))
        part = Part(1, str(right.answer.get("ETag")), 0)
        completed = self._complete(upload, completing(StoreSum.NONE, [part], len(_BODY), 0))
        refusal = right.refusal or completed.refusal
        if refusal or not self._trial.has(upload.key, _BODY):
            raise _no_multipart(refusal or "the object is not what was put")
        found = self._trial.find(upload.key)
        is_md5 = part.etag.strip('"') == hashlib.md5(_BODY, usedforsecurity=False).hexdigest()
        is_proof = found is not None and found.etag == expected_etag(StoreSum.PART_MD5, [part])
        return StoreSum.PART_MD5 if wrong.refusal and is_md5 and is_proof else StoreSum.NONE

    def _checks_crc64nvme(self) -> bool:
        """True when a wrong sum is refused with an object, a part and a whole upload, and the right one is kept."""
        right, wrong = ({"ChecksumCRC64NVME": as_base64(crc64_nvme(body))} for body in (_BODY, _OTHER))
        asked = self._trial.putting(self._trial.key("summed"), _BODY)
        del asked["ContentMD5"]
        put = self._bucket.client().put_object
        if self._trial.attempt("Writing with a sum", put, **asked, **right).refusal:
            return False
        if not self._trial.attempt("Writing with a wrong sum", put, **asked, **wrong).refusal:
            return False
        upload = self._trial.open(self._trial.key("summed-by-parts"), **opening(StoreSum.CRC64NVME))
        if upload is None or not self._put_part(upload, **wrong).refusal:
            return False
        part = Part(1, str(self._put_part(upload, **right).answer.get("ETag")), crc64_nvme(_BODY))
        if not self._complete(upload, completing(StoreSum.CRC64NVME, [part], len(_BODY), crc64_nvme(_OTHER))).refusal:
            return False
        if self._complete(upload, completing(StoreSum.CRC64NVME, [part], len(_BODY), crc64_nvme(_BODY))).refusal:
            return False
        found = self._trial.find(upload.key)
        return found is not None and found.crc64nvme == crc64_nvme(_BODY)

    def _open_upload(self) -> Upload:
        upload = self._trial.open(self._trial.key("by-parts"))
        if upload is None:
            raise _no_multipart("no upload can be opened")
        return upload

    def _put_part(self, upload: Upload, **more: Any) -> Attempt:
        put = self._bucket.client().upload_part
        return self._trial.attempt(
            "Putting a probe's part", put, **self._names(upload), PartNumber=1, Body=_BODY, **more
        )

    def _complete(self, upload: Upload, asked: dict[str, Any]) -> Attempt:
        complete = self._bucket.client().complete_multipart_upload
        attempt = self._trial.attempt("Completing a probe's upload", complete, **self._names(upload), **asked)
        if not attempt.refusal:
            self._trial.completed(upload)
        return attempt

    def _names(self, upload: Upload) -> dict[str, Any]:
        return {**self._bucket.at(upload.key), "UploadId": upload.upload_id}

    # -- conditions: the first object is there, and stays what it is where they are honoured

    def _honours_creates(self) -> bool:
        put, trial = self._bucket.client().put_object, self._trial
        absent = trial.putting(trial.key("absent"), _BODY)
        if trial.attempt("Writing what is absent", put, **absent, IfNoneMatch="*").refusal:
            return False
        there = trial.putting(self._first, _OTHER)
        attempt = trial.attempt("Writing over a probe's object", put, **there, IfNoneMatch="*")
        return self._held(attempt)

    def _honours_completes(self) -> bool:
        for key, is_there in ((self._trial.key("absent-by-parts"), False), (self._first, True)):
            upload = self._trial.open(key)
            if upload is None:
                raise _no_multipart("a second upload cannot be opened")
            # In a bucket that locks by default nothing is taken without a sum ("PutObject", API reference).
            put = self._put_part(upload, ContentMD5=md5_base64(_BODY))
            part = Part(1, str(put.answer.get("ETag")), 0)
            asked = completing(StoreSum.NONE, [part], len(_BODY), 0)
            before = self._trial.find(key)
            attempt = self._complete(upload, {**asked, "IfNoneMatch": "*"})
            if attempt.refusal:
                self._trial.abort(upload)
            if is_there:
                return attempt.refusal in _REFUSED and self._trial.find(key) == before
            if attempt.refusal:
                return False
        return False

    def _honours_reads(self) -> bool:
        get = self._bucket.client().get_object
        attempt = self._trial.attempt(
            "Reading another object", get, **self._bucket.at(self._first), IfMatch=_WRONG_ETAG
        )
        return attempt.refusal in _REFUSED

    def _honours_deletes(self) -> bool:
        delete, key = self._bucket.client().delete_object, self._first
        self._trial.putting(key, _BODY)
        attempt = self._trial.attempt("Removing another object", delete, **self._bucket.at(key), IfMatch=_WRONG_ETAG)
        there = self._trial.find(key)
        if attempt.refusal not in _REFUSED or there is None:
            return False
        attempt = self._trial.attempt("Removing the same object", delete, **self._bucket.at(key), IfMatch=there.etag)
        return not attempt.refusal and self._trial.find(key) is None

    def _held(self, attempt: Attempt) -> bool:
        return attempt.refusal in _REFUSED and self._trial.has(self._first, _BODY)

    # -- the rest

    def _lists_uploads(self) -> bool:
        upload = self._open_upload()
        found = self._find_uploads(upload)
        self._trial.abort(upload)
        return found == [upload.upload_id] and self._find_uploads(upload) == []

    def _find_uploads(self, upload: Upload) -> list[str]:
        attempt = self._trial.attempt(
            "Listing open uploads",
            self._bucket.client().list_multipart_uploads,
            **self._bucket.itself,
            Prefix=upload.key,
        )
        return [found["UploadId"] for found in attempt.answer.get("Uploads", ())]

    def _keeps_versions(self) -> bool:
        ask = self._bucket.client().get_bucket_versioning
        attempt = self._trial.attempt("Asking whether versions are kept", ask, **self._bucket.itself)
        return attempt.answer.get("Status") == "Enabled"

    def _lock_state(self) -> LockState:
        """How the bucket locks; where it does, what removals and locking ask for is tried as well."""
        state = find_lock_state(self._trial) or LockState()
        if not state.is_enabled:
            return state
        locking = replace(self._bucket, capabilities=Capabilities(locks=True))
        find_lock(locking, self._first)
        if self._binding.options.lock_days:
            lock_object(locking, self._first, self._now + _TRIED_LOCK)
        return state


def find_lock_state(trial: Trial) -> LockState | None:
    """How the bucket locks, or None when it does not tell: no answer to this is no proof that nothing is locked."""
    bucket = trial.bucket
    ask = bucket.client().get_object_lock_configuration
    attempt = trial.attempt("Asking how the bucket locks", ask, **bucket.itself)
    if attempt.refusal:
        return LockState() if attempt.refusal in NOT_LOCKED | UNKNOWN_CALL else None
    told = attempt.answer.get("ObjectLockConfiguration", {})
    if told.get("ObjectLockEnabled") != "Enabled":
        return LockState()
    default = told.get("Rule", {}).get("DefaultRetention", {})
    return LockState(is_enabled=True, default_days=default.get("Days", 0) + default.get("Years", 0) * _DAYS_A_YEAR)


def _no_multipart(refusal: str) -> VaultUnfit:
    return VaultUnfit(
        f"The store does not take uploads in parts ({refusal}).",
        hint="Copies are uploaded in parts. Use a store that takes them.",
    )
