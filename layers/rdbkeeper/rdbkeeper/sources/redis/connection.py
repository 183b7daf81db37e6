"""Connects to servers: through redis-py, with the rule's login, never to an address where clouds keep credentials."""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import cache, cached_property, partial
from typing import Any, Protocol

from rdbkeeper.aws.names import resolve
from rdbkeeper.domain.addresses import is_never_reached
from rdbkeeper.domain.errors import SourceRefused
from rdbkeeper.domain.source import SourceAccess
from rdbkeeper.ports import Clock
from rdbkeeper.sources.redis import patience
from rdbkeeper.sources.redis.patience import PatientSocket
from rdbkeeper.sources.redis.refusals import SpeaksTls, as_refusal, taken_apart
from rdbkeeper.sources.redis.wire import Wire

CONNECT_TIMEOUT_S = 5.0


class Login(Protocol):
    """Who reads the server; "" where it wants no such thing."""

    @property
    def username(self) -> str: ...
    @property
    def password(self) -> str: ...


def join_address(host: str, port: int) -> str:
    """Host and port as a rule writes them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(address: str) -> tuple[str, int]:
    """Host and port of an address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


class Server:
    """One connection to one server, made with the first command.

    Commands raise Refusal for an error reply, and what redis-py and the network raise: call them within `translated`.
    """

    def __init__(self, connection: Any, address: str, access: SourceAccess) -> None:
        self._connection = connection
        self.address = address
        self._access = access
        self._has_answered = False

    def ask(self, *words: bytes | str | int) -> Any:
        """The answer to one command; texts are bytes."""
        import redis

        replies_with_errors = (
            redis.exceptions.ResponseError,
            redis.exceptions.AuthenticationError,
            redis.exceptions.BusyLoadingError,
        )
        try:
            with taken_apart():
                self._connect()
                self._patient.begin_answer()
                self._connection.send_command(*words)
                answer = self._connection.read_response(disable_decoding=True)
        except replies_with_errors as error:
            self._has_answered = True
            raise as_refusal(error, self._access.secret) from error
        except redis.exceptions.ConnectionError:
            if not self._has_answered and not self._access.tls and self._speaks_tls():
                raise SpeaksTls from None
            raise
        self._has_answered = True
        return answer

    @taken_apart()
    def info(self, *section: str) -> dict[str, str]:
        """What INFO says, by field; of one section where it is named. Headings, such as `# Memory`, are fields too."""
        lines = self.ask("INFO", *section).decode("utf-8", "replace").splitlines()
        # Every section has names of its own, so they can lie in one dictionary.
        return {
            name: value for name, _, value in (line.partition(":") for line in lines) if value or name.startswith("# ")
        }

    @cached_property
    def socket(self) -> socket.socket:
        """The socket itself, once no answer is outstanding; encrypted where the connection is."""
        self._connect()
        found: socket.socket = self._patient.raw
        found.settimeout(patience.SILENT_TIMEOUT_S)
        return found

    def _connect(self) -> None:
        """Connect, unless that is done. Raises SourceRefused before anything is sent to where nothing is to be asked.

        The address that is reached in the end is looked at again: a name may stand for another one by then.
        """
        if self._connection._sock is None:  # noqa: SLF001 - redis-py has no other way to tell
            host, port = split_address(self.address)
            for address in resolve(host, port):
                check_reachable(host, address)
        self._connection.connect()

    @property
    def _patient(self) -> PatientSocket:
        found: PatientSocket = self._connection._sock  # noqa: SLF001 - redis-py has no other way to hand it out
        return found

    @cached_property
    def wire(self) -> Wire:
        """For answers that are many or large."""
        return Wire(self.socket)

    def _speaks_tls(self) -> bool:
        """True when the server, which has closed a plain connection, answers to TLS; nothing is told to it."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            suppress(OSError),
            socket.create_connection(split_address(self.address), timeout=CONNECT_TIMEOUT_S) as plain,
            context.wrap_socket(plain),
        ):
            return True
        return False

    def close(self) -> None:
        with suppress(Exception):  # whatever a connection says while it is given up, it is given up
            self._connection.disconnect()


class Connector:
    """Makes connections as a rule's access says; `login` is asked once, when the first is made.

    All that is asked over them in one go is to be answered by `until`, of the clock's monotonic time.
    """

    def __init__(self, access: SourceAccess, login: Callable[[], Login], clock: Clock, until: float = math.inf) -> None:
        self._access = access
        self._login = cache(login)
        self._clock = clock
        self._until = until

    def within(self, seconds: float) -> Connector:
        """A connector all of whose answers are to come within so long from now."""
        return Connector(self._access, self._login, self._clock, self._clock.monotonic() + seconds)

    def connect(self, address: str) -> Server:
        """A connection to a server. Raises SourceRefused for an address that nothing is to be asked at."""
        import redis

        host, port = split_address(address)
        kind = redis.connection.SSLConnection if self._access.tls else redis.connection.Connection
        connection = kind(
            host=host,
            port=port,
            username=self._login().username or None,
            password=self._login().password or None,
            protocol=2,
            driver_info=None,  # a user may be allowed few commands
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=CONNECT_TIMEOUT_S,  # of the handshake as well; a server without TLS waits for more of it
            socket_keepalive=True,
            redis_connect_func=partial(_look_whom_it_reached, clock=self._clock, until=self._until),
        )
        return Server(connection, address, self._access)


def _look_whom_it_reached(connection: Any, clock: Clock, until: float) -> None:
    """Log in, unless the address that was connected to, whatever its name stood for before, is one that must not be."""
    reached = connection._sock.getpeername()[0]  # noqa: SLF001 - called by redis-py in place of its own log-in
    check_reachable(connection.host, str(reached))
    connection._sock = PatientSocket(connection._sock, clock, until)  # noqa: SLF001 - as above
    connection.on_connect()


def check_reachable(host: str, address: str) -> None:
    """Raise SourceRefused for an address where no server of the rule's owner can be."""
    if is_never_reached(address):
        raise SourceRefused(
            f"The server {host[:200]} has a link-local, metadata, multicast or reserved address.",
            hint="Use the server's own address.",
        )
