"""Faults that a test asks the stand-in for S3 to have."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from tests.local_cloud.s3_request import S3Call, S3Error


@dataclass(frozen=True)
class _Aim:
    """Which calls a fault is for."""

    action: str
    key_prefix: str
    bucket: str | None

    def hits(self, call: S3Call) -> bool:
        return call.is_for(self.action, self.bucket, self.key_prefix)


@dataclass
class _Failure:
    aim: _Aim
    left: int
    status: int
    code: str


class S3Faults:
    """What is denied, what fails and whose answer is lost, until `forgive`.

    An action is an operation (`PutObject`, `UploadPart`, ...) or an IAM action (`s3:PutObject`), which covers all
    operations that need it. A key prefix also holds for the prefix that a listing asks for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._denied: list[_Aim] = []
        self._failures: list[_Failure] = []
        self._lost: list[_Aim] = []

    def deny(self, action: str, key_prefix: str = "", bucket: str | None = None) -> None:
        """Answer 403 AccessDenied from now on."""
        with self._lock:
            self._denied.append(_Aim(action, key_prefix, bucket))

    def fail_next(
        self, action: str, n: int = 1, key_prefix: str = "", status: int = 503, code: str = "SlowDown"
    ) -> None:
        """Answer the next n such calls with an error, without doing anything."""
        with self._lock:
            self._failures.append(_Failure(_Aim(action, key_prefix, None), n, status, code))

    def lose_answer_once(self, action: str, key_prefix: str = "") -> None:
        """Do what the next such call asks, then answer 500 InternalError."""
        with self._lock:
            self._lost.append(_Aim(action, key_prefix, None))

    def forgive(self) -> None:
        """Have no faults any more."""
        with self._lock:
            self._denied.clear()
            self._failures.clear()
            self._lost.clear()

    def denies(self, call: S3Call) -> bool:
        """Say whether the call is denied."""
        with self._lock:
            return any(aim.hits(call) for aim in self._denied)

    def check(self, call: S3Call) -> None:
        """Raise the error that the call is to have, if any."""
        # Whoever may not remove some keys still gets an answer about the others, so each is asked for by itself.
        if call.operation != "DeleteObjects" and self.denies(call):
            raise S3Error(403, "AccessDenied", "Access Denied")
        with self._lock:
            for failure in self._failures:
                if failure.left and failure.aim.hits(call):
                    failure.left -= 1
                    raise S3Error(failure.status, failure.code, "A test asked for this failure.")

    def takes_answer_of(self, call: S3Call) -> bool:
        """Say, once for each loss, whether the answer to this call is lost."""
        with self._lock:
            for aim in self._lost:
                if aim.hits(call):
                    self._lost.remove(aim)
                    return True
        return False
