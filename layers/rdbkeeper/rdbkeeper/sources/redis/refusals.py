"""What a server says no to, and what becomes of a connection, in rdbkeeper's words; the one place that translates.

Sources: the first word of an error reply ("Redis serialization protocol specification", simple errors), and the words
of server.c, acl.c and replication.c of Redis 7.0, tried with Redis 6.2, 7.0 and 8.2 and Valkey 9.1.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rdbkeeper.domain.errors import (
    RdbkeeperError,
    ServerLost,
    SourceDenied,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)

_CODE = re.compile(r"[A-Z][A-Z0-9]+")
_COMMAND = re.compile(r"to run the '([a-z|-]{1,40})' command")
_LATER = {"LOADING", "MASTERDOWN", "NOMASTERLINK", "MISCONF", "BUSY", "CLUSTERDOWN", "TRYAGAIN", "UNBLOCKED"}
_MOVED = {"MOVED", "ASK", "CROSSSLOT"}
_NO_LOGIN_HINT = (
    'Name a secret below `rdbkeeper/` in the rule\'s source whose value is {"username": "...", "password": "..."}; '
    "without users of its own the server needs the password only."
)
# Since 6.0, and before.
_NO_PASSWORD = ("without any password configured", "no password is set")
_STRANGER_HINT = "Only Redis and Valkey can be read. Look at the address and the port in the rule's source."
_WAY_HINT = "Look at the server, and at the way to it: this stack's VPC settings, security groups, the rule's address."
_PORT_HINT = "Look at the address and the port in the rule's source, and whether the server runs."
_NAME_HINT = (
    "Look at the host in the rule's source. A name within a VPC is known to functions there alone: look at this "
    "stack's VPC settings."
)
_ROUTE_HINT = (
    "No packet came back: a security group or a network ACL lets none through, or no route leads there. Look at those "
    "of the server, and at this stack's VPC settings."
)
UNKNOWN = "something that is neither Redis nor Valkey"


class Refusal(Exception):
    """A server's error reply: its first word, and the rest. Never leaves this package.

    `secret` is the name of the secret whose login the server was shown, "" where there was none.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code)
        self.code = code
        self.text = text
        self.secret = ""

    @classmethod
    def of(cls, line: str) -> Refusal:
        # A transaction is refused for what one of its commands, or EXEC itself, was refused for.
        _, _, cause = line.partition("EXECABORT Transaction discarded because of: ")
        first, _, rest = (cause or line).partition(" ")
        return cls(first, rest) if _CODE.fullmatch(first) else cls("ERR", cause or line)

    @property
    def command(self) -> str:
        """The command that the user may not run, "" where it is not that."""
        found = _COMMAND.search(self.text)
        return found[1] if found else ""

    @property
    def is_denied(self) -> bool:
        return self.code == "NOPERM"

    @property
    def is_unknown(self) -> bool:
        return self.code == "ERR" and self.text.lower().startswith(("unknown command", "unknown subcommand"))

    @property
    def words(self) -> str:
        """What the server said, without what it repeats of a command, and of what may be a secret."""
        text = re.split(r",? with args|, sub command", self.text)[0]
        return f"{self.code} {re.sub('[0-9]{12,}', '...', text)[:160]}"


class ValueTooLong(Exception):
    """An answer is longer than is held in memory."""

    def __init__(self, length_bytes: int) -> None:
        super().__init__(length_bytes)
        self.length_bytes = length_bytes


class NotRedis(Exception):
    """Something answers that is no Redis; what it is."""

    def __init__(self, what: str = UNKNOWN) -> None:
        super().__init__(what)
        self.what = what


class SpeaksTls(Exception):
    """A server closed a plain connection, and speaks TLS."""


@dataclass(frozen=True)
class Doing:
    """What is being done, on which server, and whether a stream of it has begun: nothing can then be tried again."""

    what: str
    address: str
    is_begun: bool = False

    def __str__(self) -> str:
        return f"{self.what} {self.address}"


def typed(refusal: Refusal, doing: Doing) -> SourceError:
    """The error for a refusal that nobody expects."""
    if any(words in refusal.text for words in _NO_PASSWORD):
        hint = "The server wants no password: leave `secret` out of the rule's source."
        return SourceDenied(f"{doing}: the server did not accept the login.", hint=hint)
    if refusal.code in ("NOAUTH", "WRONGPASS") or "invalid password" in refusal.text or "AUTH" in refusal.text:
        used = f"The secret {refusal.secret} does not fit, or no longer: look at its username and password."
        hint = used if refusal.secret else _NO_LOGIN_HINT
        return SourceDenied(f"{doing}: the server did not accept the login.", hint=hint)
    if refusal.is_denied:
        return _denied(refusal, doing)
    if refusal.code == "DENIED":
        hint = "It is in protected mode: give it a password, or let it listen to this function's subnets."
        return SourceDenied(f"{doing}: the server lets nobody in from elsewhere.", hint=hint)
    if refusal.code in _MOVED:
        return resharded(doing)
    if refusal.code in _LATER or "max number of clients" in refusal.text:
        return _later(f"{doing}: the server says {refusal.words}.", doing)
    return SourceRefused(f"{doing}: the server says {refusal.words}.", hint="Look at the server's log.")


def resharded(doing: Doing) -> ServerLost:
    """The error for slots that moved while their keys were read, or that move now."""
    return ServerLost(
        f"{doing}: the cluster was resharded meanwhile, so keys may have been missed.",
        hint="Nothing was published. The next run begins anew; let it run while no slots move and no node is replaced.",
    )


def fell_silent(doing: Doing, seconds: float) -> SourceError:
    """The error for a server that says nothing for so long."""
    return _later(f"{doing}: the server said nothing for {seconds:g} seconds.", doing)


def went_away(doing: Doing) -> SourceError:
    """The error for a connection that ended."""
    return _later(f"{doing}: the connection was closed by the server, or broke.", doing)


def _later(message: str, doing: Doing, hint: str = _WAY_HINT) -> SourceError:
    if doing.is_begun:
        return ServerLost(message, hint="Nothing was published; the next run begins anew. Look at the server's log.")
    return SourceUnavailable(message, hint=hint)


def _denied(refusal: Refusal, doing: Doing) -> SourceDenied:
    what = f"run {refusal.command.upper().replace('|', ' ')}" if refusal.command else "read each key"
    rule = f"+{refusal.command}" if refusal.command else "~*"
    return SourceDenied(f"{doing}: the user may not {what}.", hint=f"Allow it on the server: ACL SETUSER ... {rule}")


@contextmanager
def taken_apart() -> Iterator[None]:
    """Raise NotRedis where an answer is of another form than its question's: a list, say, where INFO's text belongs.

    For what takes answers apart, and nothing else: a defect of ours must not pass for a stranger.
    """
    try:
        yield
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise NotRedis from error


@contextmanager
def translated(doing: Doing) -> Iterator[None]:
    """Raise what redis-py, the network and a server's refusals come to, as an error of the family SourceError."""
    import redis

    try:
        yield
    except (RdbkeeperError, ValueTooLong):
        raise
    except NotRedis as error:
        raise _stranger(error.what, doing) from error
    except Refusal as error:
        raise typed(error, doing) from error
    except SpeaksTls as error:
        raise _wants_tls(doing) from error
    except redis.exceptions.InvalidResponse as error:
        raise _no_answer_of_redis(str(error), doing) from error
    except (redis.exceptions.TimeoutError, TimeoutError) as error:
        raise _in_vain(error, doing) from error
    except redis.exceptions.ResponseError as error:
        raise typed(as_refusal(error), doing) from error
    except (redis.exceptions.AuthenticationError, redis.exceptions.BusyLoadingError) as error:
        raise typed(as_refusal(error), doing) from error
    except (redis.exceptions.RedisError, OSError, EOFError) as error:
        raise _broken(error, doing) from error


def as_refusal(error: Exception, secret: str = "") -> Refusal:
    """The error reply that redis-py raised as an exception of its own."""
    code = getattr(error, "status_code", None)
    refusal = Refusal(code, str(error)) if code else Refusal.of(str(error))
    refusal.secret = secret
    return refusal


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _in_vain(error: BaseException, doing: Doing) -> SourceError:
    if any("handshake" in str(cause) for cause in _causes(error)):
        return _no_tls(doing)
    # redis-py's words; what else takes long is an answer.
    if any("Timeout connecting" in str(cause) for cause in _causes(error)):
        return _later(f"{doing}: nothing answers at that address.", doing, _ROUTE_HINT)
    return _later(f"{doing}: the server did not answer in time.", doing)


def _no_tls(doing: Doing) -> SourceRefused:
    hint = "If it is reached without TLS, set `tls` to false in the rule's source."
    return SourceRefused(f"{doing}: the server does not speak TLS, or none that is known here.", hint=hint)


def _wants_tls(doing: Doing) -> SourceRefused:
    return SourceRefused(f"{doing}: the server speaks TLS there.", hint="Set `tls` to true in the rule's source.")


def _broken(error: BaseException, doing: Doing) -> SourceError:
    cause = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return SourceRefused(
            f"{doing}: the server's certificate does not hold: {cause.verify_message.rstrip('.')}.",
            hint="Write the name that the certificate is for into the rule's address; certificates of an authority of "
            "one's own are not known here.",
        )
    if cause is not None and not doing.is_begun:
        return _no_tls(doing)
    if "max number of clients" in str(error):
        return _later(f"{doing}: the server has as many clients as it allows.", doing)
    return _unreached(error, doing) or went_away(doing)


def _unreached(error: BaseException, doing: Doing) -> SourceError | None:
    """The error for a connection that was never made, or None where there was one."""
    for cause in _causes(error):
        if isinstance(cause, ConnectionRefusedError):
            return _later(f"{doing}: nothing listens at that port.", doing, _PORT_HINT)
        if isinstance(cause, socket.gaierror):
            return _later(f"{doing}: the host's name is not known here.", doing, _NAME_HINT)
        if isinstance(cause, OSError) and cause.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            return _later(f"{doing}: no way leads to that address.", doing, _ROUTE_HINT)
    return None


def _stranger(what: str, doing: Doing) -> SourceError:
    if doing.is_begun:
        return went_away(doing)
    return SourceRefused(f"{doing}: {what} answers there.", hint=_STRANGER_HINT)


def _no_answer_of_redis(said: str, doing: Doing) -> SourceError:
    if "\\x15\\x03" in said:  # an alert, the first record that a server sends to somebody who speaks no TLS
        return _wants_tls(doing)
    # "ERROR" is what memcached says to a command that it does not know (memcached's protocol.txt, "Error strings").
    if "b'ERROR" in said:
        return _stranger("memcached", doing)
    return _stranger(UNKNOWN, doing)
