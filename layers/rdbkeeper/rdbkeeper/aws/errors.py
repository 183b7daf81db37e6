"""Translates what botocore raises into rdbkeeper's errors: one place, most specific first.

Sources: "Common Errors" in the API references of the services used; the codes of each operation in botocore's models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ParamValidationError,
    SSLError,
)

from rdbkeeper.domain.errors import RdbkeeperError

DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
        "403",
    }
)
PASSING = frozenset(
    {
        "ConflictException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "LimitExceededException",
        "OperationAborted",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ResourceConflictException",
        "ServiceException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
# AWS names whom it denied what by ARNs, and an account's number is nobody's business in a log or an answer.
_ACCOUNT_NUMBER = re.compile(r"(?<![0-9])[0-9]{12}(?![0-9])")
# What a service says may be anybody's text, of any length, with the request in it.
LONGEST_WORDS = 300
_LONGEST_CODE = 80
_CREDENTIAL = re.compile(
    r"""(?ix) \b (?: credential | signature | x-amz-[a-z0-9-]+ | awsaccesskeyid | authorization ) ["']? \s* [=:] \s*
    (?: aws4-[a-z0-9-]+ \s+ (?: credential \s* = )? )? [^\s,;&<>]*"""
)
# No connection was made at all, which seldom passes by itself.
_UNREACHED = (SSLError, EndpointConnectionError, ConnectTimeoutError)
DENIED_HINT = "Look at the role of this function: the stack's template grants what rdbkeeper needs."
_PASSING_HINT = "This passes by itself as a rule; the next attempt tries again."


@dataclass(frozen=True)
class Family:
    """Into which errors one adapter's foreign errors are translated.

    `special` maps a service's own code to an error and a hint, before the general classes are looked at;
    `unreached_hint` goes with connections that could not be made.
    """

    denied: type[RdbkeeperError]
    unavailable: type[RdbkeeperError]
    refused: type[RdbkeeperError]
    special: Mapping[str, tuple[type[RdbkeeperError], str]] = field(default_factory=dict)
    unreached_hint: str = _PASSING_HINT


def code_of(error: ClientError) -> str:
    """The service's own code of an error; "" where it gave none."""
    return _shown(error.response.get("Error", {}).get("Code"), _LONGEST_CODE)


def status_of(error: ClientError) -> int:
    """The HTTP status of an error; 0 where there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def words_of(error: ClientError) -> str:
    """What the service says of an error, at most 300 characters, without accounts' numbers and what signs a request."""
    said = str(error.response.get("Error", {}).get("Message") or "")
    return _shown(_ACCOUNT_NUMBER.sub("************", _CREDENTIAL.sub("...", said)), LONGEST_WORDS).rstrip(".")


def answer_of(error: ClientError) -> str:
    """What the service answered, for a sentence: its code, or its status, and its words where it gave any."""
    code, words = code_of(error) or str(status_of(error)), words_of(error)
    return f"{code}: {words}" if words else code


def _shown(text: object, most: int) -> str:
    plain = "".join(each if each.isprintable() else " " for each in str(text or "")[: most + 1])
    return f"{plain[:most]}..." if len(plain) > most else plain


def is_passing(error: ClientError) -> bool:
    """True for what passes by itself: throttling, and a service that is in trouble."""
    status = status_of(error)
    return code_of(error) in PASSING or status >= 500 or status == 429


@dataclass(frozen=True)
class _Tolerated:
    codes: tuple[str, ...]

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        return isinstance(error, ClientError) and code_of(error) in self.codes


def tolerated(*codes: str) -> AbstractContextManager[None, bool]:
    """Leave it at that when a service answers with one of these codes: what was wanted is so already."""
    return _Tolerated(codes)


@contextmanager
def translated(family: Family, what: str) -> Iterator[None]:
    """Turn a botocore error into one of the family's, saying `what` was tried ("Listing the backups of orders")."""
    try:
        yield
    except ClientError as error:
        raise _from_answer(family, what, error) from error
    except ParamValidationError:
        raise  # a defect of ours: nothing was sent, and no retry helps
    except BotoCoreError as error:
        # No answer at all: endpoints, time-outs, cut connections. Their texts name hosts, never credentials.
        hint = family.unreached_hint if isinstance(error, _UNREACHED) else _PASSING_HINT
        raise family.unavailable(f"{what} got no answer: {type(error).__name__}.", hint=hint) from error


def _from_answer(family: Family, what: str, error: ClientError) -> RdbkeeperError:
    code = code_of(error)
    status = status_of(error)
    message = f"{what} failed: {answer_of(error)}."
    if code in family.special:
        special, hint = family.special[code]
        return special(message, hint=hint)
    if code in DENIED or status in (401, 403):
        return family.denied(message, hint=DENIED_HINT)
    if is_passing(error):
        return family.unavailable(message, hint=_PASSING_HINT)
    reason = "; its own words are above." if words_of(error) else ", and not why."
    return family.refused(message, hint=f"The service says that this cannot be done{reason}")
