"""Lets one request at a time reach moto's DynamoDB.

Conditions and transactions are atomic in DynamoDB. moto looks, and then writes; and a transaction that is refused puts
its tables back as they were when it began, without what others have written since.
"""

from __future__ import annotations

import threading

from werkzeug.wrappers import Request, Response

from tests.local_cloud.front import Forward


class DynamoDbGuard:
    """Passes requests on, one after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def handle(self, request: Request, forward: Forward) -> Response:
        """Return moto's answer."""
        with self._lock:
            return forward(request)
