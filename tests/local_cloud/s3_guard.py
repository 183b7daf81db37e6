"""S3 in front of moto: moto keeps objects, this enforces what moto lets pass.

Checksums of every kind, multipart uploads from begin to end, conditions on writes and deletes, key lengths; as in the
Amazon S3 API reference. What is not modelled (copies, aws-chunked bodies, parts of a GET) is refused, not guessed.
"""

from __future__ import annotations

import datetime as dt
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from urllib.parse import quote

from werkzeug.wrappers import Request, Response

from tests.local_cloud.front import Forward, with_body
from tests.local_cloud.s3_deletes import Removal, answer_with_errors, body_of, read_removals
from tests.local_cloud.s3_faults import S3Faults
from tests.local_cloud.s3_listings import parts_page, uploads_page
from tests.local_cloud.s3_locks import Locks
from tests.local_cloud.s3_request import S3Call, S3Error, read_call
from tests.local_cloud.s3_sums import ALGORITHMS, DEFAULT_ALGORITHM, Sum, sum_of, verified_sum
from tests.local_cloud.s3_uploads import (
    KeptUpload,
    State,
    listed_parts,
    opened,
    same_parts,
    wanted_checksum,
    with_checksum,
)

_NO_SUCH_UPLOAD = (
    "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
    "completed."
)
_PRECONDITION = "At least one of the pre-conditions you specified did not hold"
_NOT_MODELLED = {"CopyObject", "UploadPartCopy", "GetObjectAttributes", "Unknown"}
_KEEPS_TO_ITSELF = ("x-amz-checksum-", "x-amz-sdk-checksum-algorithm", "x-amz-mp-object-size")


class S3Guard:
    """Answers every request to S3. `faults` has the switches for tests, `calls` what was asked, in order."""

    def __init__(self, account_id: str = "000000000000") -> None:
        self.faults = S3Faults()
        self.deny = self.faults.deny
        self.lose_answer_once = self.faults.lose_answer_once
        self.fail_next = self.faults.fail_next
        self.forgive = self.faults.forgive
        self.calls: list[S3Call] = []
        self._account_id = account_id
        # moto looks at a condition and writes in two steps; here they are one.
        self._lock = threading.RLock()
        self._uploads: dict[str, KeptUpload] = {}
        self._sums: dict[tuple[str, str, str], Sum] = {}
        self._locks = Locks(account_id)
        self._handlers: dict[str, Callable[[S3Call, Request, Forward], Response]] = {
            "PutObject": self._put,
            "HeadObject": self._read,
            "GetObject": self._read,
            "GetObjectLegalHold": lambda call, request, _: self._locks.read_legal_hold(call, request),
            "GetObjectRetention": lambda call, request, _: self._locks.read_retention(call, request),
            "PutObjectRetention": lambda call, request, _: self._locks.put_retention(call, request),
            "DeleteObject": self._delete,
            "DeleteObjects": self._delete_many,
            "CreateMultipartUpload": self._create_upload,
            "UploadPart": self._upload_part,
            "CompleteMultipartUpload": self._complete,
            "AbortMultipartUpload": self._abort,
            "ListParts": self._list_parts,
            "ListMultipartUploads": self._list_uploads,
        }

    def handle(self, request: Request, forward: Forward) -> Response:
        """Answer one request as S3 would."""
        try:
            call = read_call(request)
        except S3Error as error:
            return error.response(request)
        self.calls.append(call)
        try:
            self.faults.check(call)
            response = self._answer(call, request, forward)
        except S3Error as error:
            response = error.response(request)
        if self.faults.takes_answer_of(call):
            lost = S3Error(500, "InternalError", "We encountered an internal error. Please try again.")
            return lost.response(request)
        return response

    def _answer(self, call: S3Call, request: Request, forward: Forward) -> Response:
        owner = request.headers.get("x-amz-expected-bucket-owner", self._account_id)
        if owner != self._account_id:
            raise S3Error(403, "AccessDenied", "Access Denied")
        if call.operation in _NOT_MODELLED:
            raise S3Error(501, "NotImplemented", f"The local cloud does not know {call.operation} yet.")
        self._locks.check(call, request)
        handler = self._handlers.get(call.operation)
        if handler:
            return handler(call, request, forward)
        verified_sum(request)
        return forward(request)

    # -- objects

    def _put(self, call: S3Call, request: Request, forward: Forward) -> Response:
        stated = verified_sum(request)
        whole = stated or Sum(DEFAULT_ALGORITHM, sum_of(DEFAULT_ALGORITHM, request.get_data(cache=True)))
        with self._lock:
            self._check_write_condition(call, request, forward)
            response = forward(_bare(request))
            if response.status_code == 200:
                self._keep_sum(call, response, whole)
                _show(response, whole)
        return response

    def _keep_sum(self, call: S3Call, response: Response, whole: Sum) -> None:
        self._sums[call.bucket, call.key, response.headers.get("x-amz-version-id", "null")] = whole

    def _read(self, call: S3Call, request: Request, forward: Forward) -> Response:
        if "partNumber" in request.args:
            raise S3Error(501, "NotImplemented", "The local cloud does not read an object by its parts yet.")
        response = forward(_bare(request))
        unseen = S3Call("ListObjectsV2", call.bucket, "", call.key)
        if response.status_code == 404 and self.faults.denies(unseen):
            # Whoever may not list a bucket is not told that a key is missing.
            raise S3Error(403, "AccessDenied", "Access Denied")
        _hide_sums(response)
        is_whole = response.status_code == 200 and "Range" not in request.headers
        if is_whole and request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            version = response.headers.get("x-amz-version-id", "null")
            kept = self._sums.get((call.bucket, call.key, version))
            if kept:
                _show(response, kept)
        return response

    def _delete(self, call: S3Call, request: Request, forward: Forward) -> Response:
        with self._lock:
            return forward(request)

    def _delete_many(self, call: S3Call, request: Request, forward: Forward) -> Response:
        if verified_sum(request) is None and "Content-MD5" not in request.headers:
            message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
            raise S3Error(400, "InvalidRequest", message)
        removals, quiet = read_removals(request.get_data(cache=True))
        with self._lock:
            errors = {removal: self._removal_error(call, removal, request, forward) for removal in removals}
            refused = {removal: error for removal, error in errors.items() if error}
            allowed = [removal for removal in removals if removal not in refused]
            if not refused:
                return forward(_bare(request))
            rest = with_body(_bare(request), body_of(allowed, quiet=quiet))
            response = forward(rest) if allowed else None
        return answer_with_errors(response, refused)

    def _removal_error(
        self, call: S3Call, removal: Removal, request: Request, forward: Forward
    ) -> tuple[str, str] | None:
        if self.faults.denies(S3Call("DeleteObject", call.bucket, removal.key, "")):
            return "AccessDenied", "Access Denied"
        if removal.etag is None:
            return None
        current = self._current_etag(call.bucket, removal.key, request, forward)
        if current is None:
            return "NoSuchKey", "The specified key does not exist."
        matches = removal.etag == "*" or removal.etag.strip('"') == current
        return None if matches else ("PreconditionFailed", _PRECONDITION)

    def _current_etag(self, bucket: str, key: str, request: Request, forward: Forward) -> str | None:
        head = forward(_head_of(request, f"/{bucket}/{key}"))
        return head.headers.get("ETag", "").strip('"') if head.status_code == 200 else None

    def _check_write_condition(self, call: S3Call, request: Request, forward: Forward) -> None:
        must_match = request.headers.get("If-Match")
        must_miss = request.headers.get("If-None-Match")
        if must_match is None and must_miss is None:
            return
        if must_miss not in (None, "*") or (must_match and must_miss):
            message = "A header you provided implies functionality that is not implemented"
            raise S3Error(501, "NotImplemented", message)
        current = self._current_etag(call.bucket, call.key, request, forward)
        if must_miss and current is not None:
            raise S3Error(412, "PreconditionFailed", _PRECONDITION)
        if must_match and current is None:
            raise S3Error(404, "NoSuchKey", "The specified key does not exist.")
        if must_match and must_match.strip('"') != current:
            raise S3Error(412, "PreconditionFailed", _PRECONDITION)

    # -- multipart uploads

    def _create_upload(self, call: S3Call, request: Request, forward: Forward) -> Response:
        wanted_checksum(request)
        response = forward(_bare(request))
        if response.status_code == 200:
            upload_id = _text_of(response, "UploadId")
            with self._lock:
                upload = opened(request, upload_id, call.bucket, call.key, _now())
                self._uploads[upload_id] = upload
            if upload.stated_algorithm:
                response.headers["x-amz-checksum-algorithm"] = upload.algorithm.upper()
                response.headers["x-amz-checksum-type"] = upload.type
        return response

    def _get_upload(self, call: S3Call, request: Request, *states: State) -> KeptUpload:
        upload = self._uploads.get(request.args["uploadId"])
        if upload is None or (upload.bucket, upload.key) != (call.bucket, call.key) or upload.state not in states:
            raise S3Error(404, "NoSuchUpload", _NO_SUCH_UPLOAD)
        return upload

    def _upload_part(self, call: S3Call, request: Request, forward: Forward) -> Response:
        with self._lock:
            upload = self._get_upload(call, request, State.OPEN)
        number = request.args.get("partNumber", "")
        upload.check_part(int(number) if number.isdigit() else 0, verified_sum(request))
        with self._lock:
            # Once more: summing a part takes a while, and the upload may have ended in it.
            upload = self._get_upload(call, request, State.OPEN)
            response = forward(_bare(request))
            if response.status_code == 200:
                part = upload.keep_part(int(number), response.headers["ETag"], request.get_data(cache=True), _now())
                _hide_sums(response)
                response.headers[f"x-amz-checksum-{upload.algorithm}"] = part.value
        return response

    def _complete(self, call: S3Call, request: Request, forward: Forward) -> Response:
        listed = listed_parts(request.get_data(cache=True))
        with self._lock:
            upload = self._get_upload(call, request, State.OPEN, State.COMPLETED)
            if upload.answer is not None:
                if not same_parts(listed, upload.completed_by):
                    raise S3Error(404, "NoSuchUpload", _NO_SUCH_UPLOAD)
                # A Complete that is repeated because its answer was lost succeeds again.
                return upload.answer
            upload.check_complete(request, listed)
            self._check_write_condition(call, request, forward)
            response = forward(_bare(request))
            if response.status_code != 200:
                return response
            whole = upload.sum_of_object(listed)
            self._keep_sum(call, response, whole)
            response.set_data(with_checksum(response.get_data(), whole))
            upload.state, upload.completed_by, upload.answer = State.COMPLETED, listed, response
        return response

    def _abort(self, call: S3Call, request: Request, forward: Forward) -> Response:
        with self._lock:
            upload = self._get_upload(call, request, State.OPEN)
            response = forward(request)
            if response.status_code == 204:
                upload.state = State.ABORTED
        return response

    def _list_parts(self, call: S3Call, request: Request, forward: Forward) -> Response:
        with self._lock:
            return parts_page(request, self._get_upload(call, request, State.OPEN))

    def _list_uploads(self, call: S3Call, request: Request, forward: Forward) -> Response:
        response = forward(request)
        if response.status_code != 200:
            return response
        with self._lock:
            going = [
                upload
                for upload in self._uploads.values()
                if upload.bucket == call.bucket and upload.state is State.OPEN
            ]
            return uploads_page(request, call, going)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _bare(request: Request) -> Request:
    """Return the request without what is checked here: moto would sum again, and differently."""
    bare = with_body(request, request.get_data(cache=True))
    for name in list(bare.environ):
        if name.startswith("HTTP_") and name[5:].replace("_", "-").lower().startswith(_KEEPS_TO_ITSELF):
            del bare.environ[name]
    return bare


def _head_of(request: Request, path: str) -> Request:
    """Return a HEAD request for the path, with this request's signature."""
    head = with_body(request, b"")
    environ = head.environ
    for name in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_RANGE", "CONTENT_TYPE"):
        environ.pop(name, None)
    raw = quote(path)
    environ.update(REQUEST_METHOD="HEAD", QUERY_STRING="", PATH_INFO=path.encode().decode("latin-1"))
    environ.update(RAW_URI=raw, REQUEST_URI=raw)
    return Request(environ)


def _hide_sums(response: Response) -> None:
    for name in (*(f"x-amz-checksum-{algorithm}" for algorithm in ALGORITHMS), "x-amz-checksum-type"):
        response.headers.pop(name, None)


def _show(response: Response, whole: Sum) -> None:
    _hide_sums(response)
    response.headers.update(whole.headers)


def _text_of(response: Response, name: str) -> str:
    root = ET.fromstring(response.get_data())  # noqa: S314 - moto's answer
    for element in root.iter():
        if element.tag.rpartition("}")[2] == name and element.text:
            return element.text
    raise AssertionError(f"moto's answer has no {name}: {response.get_data()!r}")
