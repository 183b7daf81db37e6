"""What a server says no to, and what becomes of a connection, in rdbkeeper's words; the one place that translates.

Sources: the first word of an error reply ("Redis serialization protocol specification", simple errors), and the words
of server.c, acl.c and replication.c of Redis 7.0, tried with Redis 6.2, 7.0 and 8.2 and Valkey 9.1.
"""

from __future__ import annotations

import re
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
_LOGIN_HINT = (
    'Name a secret below `rdbkeeper/` in the rule\'s source whose value is {"username": "...", "password": "..."}; '
    "without users of its own the server needs the password only."
)
_STRANGER_HINT = "Only Redis and Valkey can be read. Look at the address and the port in the rule's source."
UNKNOWN = "something that is neither Redis nor Valkey"


class Refusal(Exception):
    """A server's error reply: its first word, and the rest. Never leaves this package."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code)
        self.code = code
        self.text = text

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
    if refusal.code in ("NOAUTH", "WRONGPASS") or "invalid password" in refusal.text or "AUTH" in refusal.text:
        return SourceDenied(f"{doing}: the server did not accept the login.", hint=_LOGIN_HINT)
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


def _later(message: str, doing: Doing) -> SourceError:
    if doing.is_begun:
        return ServerLost(message, hint="Nothing was published; the next run begins anew. Look at the server's log.")
    hint = "Look at the server, and at the way to it: this stack's VPC settings, security groups, the rule's address."
    return SourceUnavailable(message, hint=hint)


def _denied(refusal: Refusal, doing: Doing) -> SourceDenied:
    what = f"run {refusal.command.upper().replace('|', ' ')}" if refusal.command else "read each key"
    rule = f"+{refusal.command}" if refusal.command else "~*"
    return SourceDenied(f"{doing}: the user may not {what}.", hint=f"Allow it on the server: ACL SETUSER ... {rule}")


@contextmanager
def translated(doing: Doing) -> Iterator[None]:
    """Raise what redis-py, the network and a server's refusals come to, as an error of the family SourceError."""
    try:
        with translated_but_strangers(doing):
            yield
    except NotRedis as error:
        if doing.is_begun:
            raise went_away(doing) from error
        raise SourceRefused(f"{doing}: {error.what} answers there.", hint=_STRANGER_HINT) from error


@contextmanager
def translated_but_strangers(doing: Doing) -> Iterator[None]:
    """As `translated`, but where something answers that is no Redis, NotRedis is raised."""
    import redis

    try:
        yield
    except (RdbkeeperError, ValueTooLong, NotRedis):
        raise
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


def as_refusal(error: Exception) -> Refusal:
    """The error reply that redis-py raised as an exception of its own."""
    code = getattr(error, "status_code", None)
    return Refusal(code, str(error)) if code else Refusal.of(str(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _in_vain(error: BaseException, doing: Doing) -> SourceError:
    if any("handshake" in str(cause) for cause in _causes(error)):
        return _no_tls(doing)
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
            f"{doing}: the server's certificate does not hold: {cause.verify_message}.",
            hint="Write the name that the certificate is for into the rule's address; certificates of an authority of "
            "one's own are not known here.",
        )
    if cause is not None and not doing.is_begun:
        return _no_tls(doing)
    if "max number of clients" in str(error):
        return _later(f"{doing}: the server has as many clients as it allows.", doing)
    return went_away(doing)


def _no_answer_of_redis(said: str, doing: Doing) -> Exception:
    if "\\x15\\x03" in said:  # an alert, the first record that a server sends to somebody who speaks no TLS
        return _wants_tls(doing)
    # "ERROR" is what memcached says to a command that it does not know (memcached's protocol.txt, "Error strings").
    if "b'ERROR" in said:
        return NotRedis("memcached")
    return NotRedis()
