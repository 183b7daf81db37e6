"""Calls that a test has refused, in front of whatever the service would answer."""

from __future__ import annotations

import threading
from collections.abc import Collection

from tests.local_cloud.managed.errors import ServiceError


class CallFaults:
    """Denies and throttles operations. access_denied, throttled: the service's codes for that."""

    def __init__(self, service: str, account: str, access_denied: str, throttled: str) -> None:
        self._service = service
        self._account = account
        self._access_denied = access_denied
        self._throttled = throttled
        self._lock = threading.Lock()
        self._denied: set[str] = set()
        self._throttles: dict[str, int] = {}

    def deny(self, operation: str, known: Collection[str]) -> None:
        """Refuse an operation until it is allowed again."""
        self._denied.add(_check(operation, known))

    def allow(self, operation: str) -> None:
        """End what deny() or throttle() began."""
        self._denied.discard(operation)
        self._throttles.pop(operation, None)

    def throttle(self, operation: str, times: int, known: Collection[str]) -> None:
        """Answer an operation's next so many calls with the error for too many of them."""
        self._throttles[_check(operation, known)] = times

    def check(self, operation: str) -> None:
        """Raise ServiceError when the operation is denied or throttled."""
        if operation in self._denied:
            raise ServiceError(
                self._access_denied,
                f"User: arn:aws:iam::{self._account}:user/local is not authorized to perform: "
                f"{self._service}:{operation} on resource: *",
            )
        with self._lock:
            left = self._throttles.get(operation, 0)
            if left:
                self._throttles[operation] = left - 1
                raise ServiceError(self._throttled, "Rate exceeded")


def _check(operation: str, known: Collection[str]) -> str:
    if operation not in known:
        raise ValueError(f"{operation} is none of {sorted(known)}")
    return operation
