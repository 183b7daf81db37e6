"""A server on 127.0.0.1 that writes no request down: what is asked of it carries signatures in its address."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from tests.local_cloud.front import HOST


class _Handler(WSGIRequestHandler):
    # Header and body leave in two writes; without this each answer waits for a delayed acknowledgement.
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


class QuietServer:
    """Answers on a free port, from the start to `close`, with what `answer` returns for a request."""

    def __init__(self, answer: Callable[[Request], Response], name: str) -> None:
        application = Request.application(answer)
        self._server = make_server(HOST, 0, application, threaded=True, request_handler=_Handler)
        self.address = f"{HOST}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; repeating it is harmless."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
