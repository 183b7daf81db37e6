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
        "InvalidSignatureException",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
        "403",
    }
)
# Of those, the ones that are about credentials and regions; the others say that a permission is lacking.
_OF_CREDENTIALS = DENIED - {
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "NotAuthorized",
    "UnauthorizedOperation",
    "403",
}
# Where the clock of the caller is off, the first two always; the others if they name the times that they compared, as
# in "Signature expired: 20120306T074514Z is now earlier than ..." ("Troubleshooting Signature Version 4").
_OF_THE_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_OF_THE_CLOCK_IF_TIMED = frozenset({"AuthFailure", "InvalidSignatureException", "SignatureDoesNotMatch"})
_SIGNING_TIME = re.compile(r"[0-9]{8}T[0-9]{6}Z")
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
        # "Invoke": a function that was long idle waits for its network interface again.
        "ResourceNotReadyException",
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
_CLOCK_HINT = (
    "The clock of this function, or of what answers, is off by minutes. AWS keeps a Lambda function's, and the next "
    "attempt may run on another machine; anywhere else, set it by a time server."
)
DENIED_HINT = "Look at the role of this function: the stack's template grants what rdbkeeper needs."
_PASSING_HINT = "This passes by itself as a rule; the next attempt tries again."


# What a call needs is named like the call, but for these ("Actions, resources, and condition keys for Amazon S3").
_ACTIONS = {
    ("s3", "CompleteMultipartUpload"): "s3:PutObject",
    ("s3", "CreateMultipartUpload"): "s3:PutObject",
    ("s3", "HeadBucket"): "s3:ListBucket",
    ("s3", "HeadObject"): "s3:GetObject",
    ("s3", "ListMultipartUploads"): "s3:ListBucketMultipartUploads",
    ("s3", "ListObjectsV2"): "s3:ListBucket",
    ("s3", "ListParts"): "s3:ListMultipartUploadParts",
    ("s3", "UploadPart"): "s3:PutObject",
}
_LACKING = re.compile(r"not authorized to perform: ([a-z0-9-]{1,40}:[A-Za-z0-9]{1,80})")


@dataclass(frozen=True)
class Worded:
    """What a service says under a code that it has for many things: the error that it is, and what to do about it."""

    words: re.Pattern[str]
    error: type[RdbkeeperError]
    hint: str


@dataclass(frozen=True)
class Family:
    """Into which errors one adapter's foreign errors are translated.

    `special` maps a service's own code to an error and a hint, before the general classes are looked at; `worded` tells
    refusals apart that share a code, by their words, the first that fits. `unreached_hint` goes with connections that
    could not be made. `service` is what IAM calls the service; with it a denial's hint names the permission.
    """

    denied: type[RdbkeeperError]
    unavailable: type[RdbkeeperError]
    refused: type[RdbkeeperError]
    special: Mapping[str, tuple[type[RdbkeeperError], str]] = field(default_factory=dict)
    unreached_hint: str = _PASSING_HINT
    worded: tuple[Worded, ...] = ()
    service: str = ""


def action_of(service: str, operation: str) -> str:
    """The IAM action that allows a call: `s3` and `ListObjectsV2` need `s3:ListBucket`."""
    return _ACTIONS.get((service, operation), f"{service}:{operation}")


def code_of(error: ClientError) -> str:
    """The service's own code of an error; "" where it gave none."""
    return _shown(error.response.get("Error", {}).get("Code"), _LONGEST_CODE)


def status_of(error: ClientError) -> int:
    """The HTTP status of an error; 0 where there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def words_of(error: ClientError) -> str:
    """What the service says of an error, at most 300 characters, without accounts' numbers and what signs a request."""
    return as_words(str(error.response.get("Error", {}).get("Message") or ""))


def as_words(said: str) -> str:
    """What a service says, of an error or in an event, fit to be shown as `words_of` an error is."""
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
    if _is_of_the_clock(error):
        return family.unavailable(message, hint=_CLOCK_HINT)
    if code in DENIED or status in (401, 403):
        return family.denied(message, hint=_denied_hint(family, error))
    if is_passing(error):
        return family.unavailable(message, hint=_PASSING_HINT)
    for worded in family.worded:
        if worded.words.search(words_of(error)):
            return worded.error(message, hint=worded.hint)
    reason = "; its own words are above." if words_of(error) else ", and not why."
    return family.refused(message, hint=f"The service says that this cannot be done{reason}")


def _is_of_the_clock(error: ClientError) -> bool:
    code = code_of(error)
    return code in _OF_THE_CLOCK or (
        code in _OF_THE_CLOCK_IF_TIMED and _SIGNING_TIME.search(words_of(error)) is not None
    )


def _denied_hint(family: Family, error: ClientError) -> str:
    """What to do about a denial; names the permission, as the service does or else as the call does."""
    if not family.service:
        return DENIED_HINT
    if code_of(error) in _OF_CREDENTIALS:
        return (
            "The service does not know the credentials of this function, or the region is not enabled for its account: "
            "look at the region that the stack was deployed in."
        )
    words = words_of(error)
    named = _LACKING.search(words)
    action = named[1] if named else action_of(family.service, error.operation_name)
    if "explicit deny" in words:
        return f"Something denies {action} to this function's role explicitly: the words above say which policy."
    return f"Allow {action} to this function's role; the role of the stack's template has it."
