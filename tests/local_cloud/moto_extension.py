"""A guard made of moto's own class for a service, with methods of ours in place of those that are not strict."""

from __future__ import annotations

import io
import threading

from moto.core.request import Request as MotoRequest
from moto.core.responses import BaseResponse
from werkzeug.wrappers import Request, Response

from tests.local_cloud.front import Forward


class ExtensionGuard:
    """Answers every request to a service by a class derived from moto's, whatever protocol the request speaks."""

    def __init__(self, responses: type[BaseResponse], account_id: str) -> None:
        self._responses = responses
        self._account_id = account_id
        self._lock = threading.RLock()

    def handle(self, request: Request, forward: Forward) -> Response:
        """Answer one request; what moto lacks is forwarded, so that it is named as every such operation is."""
        environ = dict(request.environ)
        environ.pop("werkzeug.request", None)
        environ["wsgi.input"] = io.BytesIO(request.get_data(cache=True))
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self._account_id
        try:
            with self._lock:
                status, headers, body = self._responses.dispatch(MotoRequest(environ))
        except NotImplementedError:
            return forward(request)
        headers.pop("status", None)
        return Response(body, status=status, headers=headers)
