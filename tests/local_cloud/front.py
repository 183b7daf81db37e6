"""One port for all of AWS: each request goes to its service's guard, and from there to moto.

Which service a request is for stands in its signature's credential scope. A guard may answer by itself or hand
the request on, changed or not. Services without a guard go to moto as they come.
"""

from __future__ import annotations

import errno
import io
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.exceptions import ClientDisconnected
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.wrappers import Request, Response

from tests.local_cloud.permissions.calls import signer_of
from tests.local_cloud.permissions.gate import Gate, TagsOf, without_tags

Forward = Callable[[Request], Response]

HOST = "127.0.0.1"
LOCAL_PREFIX = "/_local/"
_log = logging.getLogger(__name__)


class Guard(Protocol):
    """Keeps and enforces, for one service, what moto ignores."""

    def handle(self, request: Request, forward: Forward) -> Response:
        """Answer the request; `forward` passes it on to moto and returns moto's answer."""


class AddressInUseError(Exception):
    """Something else listens on the port that was asked for."""


def service_of(request: Request) -> str | None:
    """Return the service that a request was signed for, None when it is not signed."""
    signer = signer_of(request)
    return signer.service if signer else None


def with_body(request: Request, body: bytes) -> Request:
    """Return the same request with another body."""
    changed = Request(_environ(request, body))
    changed.get_data(cache=True)
    return changed


def _environ(request: Request, body: bytes) -> dict[str, Any]:
    environ = dict(request.environ)
    # The body was read whole, so nothing of the transfer's form may be left to decode.
    for key in ("werkzeug.request", "HTTP_TRANSFER_ENCODING", "wsgi.input_terminated"):
        environ.pop(key, None)
    return environ | {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}


class Front:
    """The WSGI application: guards before moto, `/_local/` beside it."""

    def __init__(
        self, guards: Mapping[str, Guard], control: Forward, account_id: str, tags_of: TagsOf = without_tags
    ) -> None:
        self._guards = guards
        self._control = control
        self._account_id = account_id
        self._gate = Gate(account_id, tags_of)
        self.watchers = self._gate.watchers
        self._moto = DomainDispatcherApplication(create_backend_app)

    def forward(self, request: Request) -> Response:
        """Return moto's answer to the request."""
        environ = _environ(request, request.get_data(cache=True))
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self._account_id
        try:
            return Response.from_app(self._moto, environ, buffered=True)
        except NotImplementedError as error:
            service = service_of(request)
            return _failure(501, "NotImplemented", f"{service}: {request.method} {request.path}: {error}")

    def answer(self, request: Request) -> Response:
        """Return the answer to one request, from a guard, from moto or from the cloud's own endpoints."""
        request.get_data(cache=True)
        if request.path.startswith(LOCAL_PREFIX):
            return self._control(request)
        service = service_of(request)
        if service is None and "X-Amz-Signature" not in request.args:
            return _failure(403, "MissingAuthenticationToken", "The request is not signed.")
        return self._gate.pass_on(request, lambda: self._serve(request, service or ""))

    def _serve(self, request: Request, service: str) -> Response:
        guard = self._guards.get(service)
        return guard.handle(request, self.forward) if guard else self.forward(request)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self.answer(request)
        except ClientDisconnected:  # it died while it sent; what it sent so far asks for nothing
            response = _failure(400, "RequestTimeout", "The request's body ended before its length.")
        except Exception as error:  # noqa: BLE001 - the caller gets an answer that names the fault, the log its trace
            _log.exception("%s %s failed inside the local cloud", request.method, request.path)
            response = _failure(500, "LocalCloudFailure", f"{type(error).__name__}: {error}")
        return response(environ, start_response)


def _failure(status: int, code: str, message: str) -> Response:
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    response = Response(body, status=status, content_type="text/xml")
    response.headers["x-amzn-ErrorType"] = code
    return response


class _Handler(MotoRequestHandler):
    # Header and body leave in two writes; without this each answer waits for a delayed acknowledgement.
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        _log.debug(message, *args)


class _Server(ThreadedWSGIServer):
    """A threaded server that can also end its open connections and wait for their threads."""

    def __init__(self, app: Any, listener: socket.socket) -> None:
        port = listener.getsockname()[1]
        super().__init__(HOST, port, app, _Handler, fd=listener.fileno())
        self._open: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._lock:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def end_connections(self, timeout_s: float) -> None:
        with self._lock:
            connections = dict(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError as error:
                # Already gone from the other side, which is what was wanted.
                if error.errno not in (errno.ENOTCONN, errno.EBADF):
                    raise
        for thread in connections.values():
            if thread is not threading.current_thread():
                thread.join(timeout_s)


class HttpServer:
    """Listens on 127.0.0.1 as soon as it is made; port 0 takes a free one."""

    def __init__(self, port: int) -> None:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((HOST, port))
        except OSError as error:
            self._listener.close()
            raise AddressInUseError(
                f"Starting the local cloud on {HOST}:{port} failed: {error.strerror}. "
                "Stop what listens there, or choose another port (0 takes a free one)."
            ) from error
        self._listener.listen(128)
        self.port: int = self._listener.getsockname()[1]
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, app: Any) -> None:
        """Serve the application on threads until `close`."""
        self._server = _Server(app, self._listener)
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.05,), name="local-cloud", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End every connection and stop listening."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.end_connections(timeout_s=5)
            self._server.server_close()
        self._listener.close()
