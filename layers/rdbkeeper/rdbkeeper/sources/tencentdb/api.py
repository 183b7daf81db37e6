"""Calls to the API of TencentDB for Redis, version 2018-04-12, and what its errors mean.

Tencent's own SDK signs and sends them; its common part is small, and is loaded with the first call. What it knows about
repeating is not used: once an attempt has failed, it counts the others as failed too. Facts: "Common Request
Parameters", "Signature v3", "Error Codes" and the pages of the actions in the API documentation of TencentDB for Redis.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Protocol
from urllib.parse import urlsplit

from rdbkeeper.domain.addresses import is_never_reached, is_private
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupGone,
    NotExportable,
    SourceDenied,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from rdbkeeper.ports import Clock

DEFAULT_ENDPOINT = "https://redis.tencentcloudapi.com"
_VERSION = "2018-04-12"
_TIMEOUT_S = 30
# A pause before each attempt but the first, in seconds.
_PAUSES_S = (0.5, 2.0)
LONGEST_WORDS = 300


class Key(Protocol):
    """What signs calls."""

    @property
    def secret_id(self) -> str: ...

    @property
    def secret_key(self) -> str: ...

    @property
    def token(self) -> str: ...


_KEY_HINT = (
    "Look at the secret that the rule names: the key may be disabled, deleted, cut off while it was copied, or a "
    "temporary one whose time is over."
)
_PASSING_HINT = "This passes by itself as a rule; the next attempt tries again."
_CLOCK_HINT = (
    "The clock of this function and Tencent Cloud's differ by more than five minutes. A Lambda function's is kept by "
    "AWS, and the next attempt may run on another machine; anywhere else, set it by a time server."
)
_BUSY_HINT = "The provider is working on it; the next run asks again."
_REGION_HINT = "Look at the region in the rule's source; it is to be one where TencentDB for Redis is offered."
# By the beginning of the code, up to a dot or the code's end; the first that fits.
Meanings = tuple[tuple[str, type[SourceError], str], ...]
_MEANINGS: Meanings = (
    ("AuthFailure.SignatureExpire", SourceUnavailable, _CLOCK_HINT),
    ("AuthFailure.UnauthorizedOperation", SourceDenied, ""),
    ("AuthFailure", SourceDenied, _KEY_HINT),
    ("UnauthorizedOperation", SourceDenied, ""),
    ("InvalidParameter.PermissionDenied", SourceDenied, ""),
    ("InternalError.CamAuthOssResponseReturnCodeError", SourceDenied, ""),
    ("InternalError.InstanceOperatePermissionError", SourceDenied, ""),
    ("IpNotInWhitelist", SourceDenied, "The key may be used from some addresses only; a function has no fixed one."),
    ("IpInBlacklist", SourceDenied, "The key must not be used from this function's address, which may be any."),
    ("UnsupportedRegion", SourceRefused, _REGION_HINT),
    ("ResourceUnavailable.NoRedisService", SourceRefused, _REGION_HINT),
    ("ResourceUnavailable.NoTypeIdRedisService", SourceRefused, _REGION_HINT),
    ("ResourceNotFound.InstanceNotExists", SourceRefused, "Look at the instance's id and at its region in the rule."),
    ("ResourceNotFound.InstanceNotFound", SourceRefused, "Look at the instance's id and at its region in the rule."),
    ("ResourceUnavailable.InstanceDeleted", SourceRefused, "The instance was deleted, and its backups with it."),
    (
        "ResourceUnavailable.InstanceIsolated",
        SourceRefused,
        "The instance is isolated, as one is whose bill was not paid: renew it, or delete the rule.",
    ),
    (
        "InvalidParameterValue.BackupNotExists",
        BackupGone,
        "It was deleted or has expired at the source before it could be copied.",
    ),
    ("ResourceUnavailable.BackupLockedError", BackupBusy, _BUSY_HINT),
    ("ResourceUnavailable.BackupStatusAbnormal", BackupBusy, _BUSY_HINT),
    ("ResourceUnavailable.BackupStatusInvalid", BackupBusy, _BUSY_HINT),
    ("ResourceUnavailable.InstanceLockedError", BackupBusy, _BUSY_HINT),
    ("ResourceUnavailable.InstanceStateError", BackupBusy, _BUSY_HINT),
    ("ResourceUnavailable.InstanceStatusAbnormal", BackupBusy, _BUSY_HINT),
    ("ResourceUnavailable.InstanceStatusError", BackupBusy, _BUSY_HINT),
    ("ResourceInUse.InstanceBeenLocked", BackupBusy, _BUSY_HINT),
    (
        "UnsupportedOperation.OnlyClusterInstanceCanExportBackup",
        NotExportable,
        "This edition's backups cannot be downloaded; a rule with the provider `redis` reads the server itself.",
    ),
    ("RequestLimitExceeded", SourceUnavailable, _PASSING_HINT),
    ("InternalError", SourceUnavailable, _PASSING_HINT),
    ("FailedOperation.SystemError", SourceUnavailable, _PASSING_HINT),
    ("ResourceUnavailable.CallOssError", SourceUnavailable, _PASSING_HINT),
    ("ServerNetworkError", SourceUnavailable, _PASSING_HINT),
)
# The field that names what is at fault, by the hint.
_AT_FAULT = {_KEY_HINT: "secret", _REGION_HINT: "region"}
_UNKNOWN_INSTANCE = (
    "ResourceNotFound.InstanceNotExists",
    "ResourceNotFound.InstanceNotFound",
    "ResourceUnavailable.InstanceDeleted",
)
_NETWORK = "ClientNetworkError"
_PASSING = ("RequestLimitExceeded", "InternalError", "ServerNetworkError", _NETWORK)
# What is answered before anything is done.
_BEFORE_IT_BEGINS = ("AuthFailure", "RequestLimitExceeded")
# A message may quote what was sent: links, keys, signatures, and numbers of accounts.
_SECRETS = re.compile(
    r"""(?ix) https?:// \S+ | \b AKID \w+ | \b [\w-]* (?: sign | signature | secret \w* | token | authorization |
    credential | password ) ["']? \s* [=:] \s* \S+ | (?= [^\s\d]* [0-9] ) [A-Za-z0-9+/_=-]{24,}
    | (?<![0-9]) [0-9]{9,} (?![0-9])"""
)
_CODE = re.compile(r"[A-Za-z0-9.]{1,100}")
_REQUEST_ID = re.compile(r"[0-9a-fA-F-]{8,64}")


class TencentApi:
    """Calls one region's API. What `credentials` returns is asked for with the first call.

    With `longest_call_s` each call is made once, and given up when it has taken so long.
    """

    def __init__(
        self,
        credentials: Callable[[], Key],
        region: str,
        clock: Clock,
        *,
        endpoint: str = "",
        allows_private: bool = False,
        longest_call_s: float | None = None,
    ) -> None:
        self._credentials = credentials
        self._region = region
        self._clock = clock
        self._endpoint = endpoint
        self._allows_private = allows_private
        # The SDK allows connecting, and waiting for the answer, as much each.
        self._timeout_s = _TIMEOUT_S if longest_call_s is None else longest_call_s / 2
        self._pauses_s = _PAUSES_S if longest_call_s is None else ()
        self._client: Any = None
        self._lock = Lock()

    def call(self, action: str, what: str, **parameters: Any) -> dict[str, Any]:
        """The answer to an action, without what encloses it; `what` begins the sentence that tells of a failure.

        What passes by itself is tried three times. Raises SourceError.
        """
        answer, failure = self._attempt(action, parameters)
        if failure is not None:
            raise failure.translated(action, what)
        return answer

    def call_once(self, action: str, what: str, *, special: Meanings = (), **parameters: Any) -> None:
        """Have an action done that must not be done twice: where it may have been, this returns as if it had.

        Raises SourceUnavailable only where nothing was begun, and the others of a SourceError.
        """
        _, failure = self._attempt(action, parameters, repeats=False)
        if failure is None:
            return
        error = failure.translated(action, what, special)
        if not isinstance(error, SourceUnavailable) or failure.was_in_vain:
            raise error

    def pages(self, action: str, what: str, member: str, limit: int, **parameters: Any) -> list[dict[str, Any]]:
        """Every item of a list that is answered page by page; none of an instance that does not exist."""
        found: list[dict[str, Any]] = []
        while True:
            answer, failure = self._attempt(action, {"Limit": limit, "Offset": len(found), **parameters})
            if failure is not None:
                if failure.code in _UNKNOWN_INSTANCE:
                    return found
                raise failure.translated(action, what)
            page = answer.get(member) or []
            found += page
            if len(page) < limit or len(found) >= int(answer.get("TotalCount") or 0):
                return found

    def _attempt(
        self, action: str, parameters: Mapping[str, Any], *, repeats: bool = True
    ) -> tuple[dict[str, Any], Failure | None]:
        answer, failure = self._try(action, parameters)
        for pause_s in self._pauses_s if repeats else ():
            if failure is None or not failure.code.startswith(_PASSING):
                break
            self._clock.sleep(pause_s)
            answer, failure = self._try(action, parameters)
        return answer, failure

    def _try(self, action: str, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], Failure | None]:
        """What came of one attempt; nothing that the SDK raised goes on, as it may quote a request."""
        with self._lock:  # nobody promises that a client of theirs may be used by several threads
            if self._client is None:
                self._client = self._make_client()
            from tencentcloud.common.exception import tencent_cloud_sdk_exception as sdk

            try:
                answer = self._client.call_json(action, dict(parameters))["Response"]
                # The SDK overlooks errors in answers whose content type says more than application/json.
                if "Error" not in answer:
                    return dict(answer), None
                error = answer["Error"]
                return {}, Failure(error["Code"], error.get("Message"), answer.get("RequestId"))
            except sdk.TencentCloudSDKException as error:
                if error.code == _NETWORK:
                    cause = error.__context__
                    return {}, Failure(_NETWORK, type(cause).__name__, None, was_in_vain=_was_never_sent(cause))
                return {}, Failure(error.code, error.message, error.requestId)
            except (ValueError, TypeError, KeyError, AttributeError):
                return {}, Failure("ServerNetworkError", "It answered something other than the API's JSON", None)

    def _make_client(self) -> Any:
        from tencentcloud.common.common_client import CommonClient
        from tencentcloud.common.credential import Credential
        from tencentcloud.common.profile.client_profile import ClientProfile
        from tencentcloud.common.profile.http_profile import HttpProfile

        # At the level of debugging it writes whole requests down, with what signs them, and answers with links.
        logging.getLogger("tencentcloud_sdk_common").setLevel(logging.ERROR)
        scheme, host = find_endpoint(self._endpoint, self._region, allows_private=self._allows_private)
        key = self._credentials()
        client = CommonClient(
            "redis",
            _VERSION,
            Credential(key.secret_id, key.secret_key, key.token or None),
            self._region,
            ClientProfile(
                httpProfile=HttpProfile(protocol=scheme, endpoint=host, reqTimeout=self._timeout_s, keepAlive=True),
                language="en-US",
            ),
        )
        # A call would be sent on, with its token, to wherever an answer says.
        client.request.conn._session.max_redirects = 0  # noqa: SLF001 - the SDK has no other way to forbid it
        return client


class Failure:
    """How a call failed: the service's code and words, or the SDK's own, and whether surely nothing was begun."""

    def __init__(self, code: object, words: object, request_id: object, *, was_in_vain: bool = False) -> None:
        shown = str(code or "")
        self.was_in_vain = was_in_vain or shown.startswith(_BEFORE_IT_BEGINS)
        self.code = shown if _CODE.fullmatch(shown) else "an unknown code"
        self._words = words if isinstance(words, str) else ""  # bytes are an answer's whole body
        self._request_id = str(request_id or "")

    def translated(self, action: str, what: str, special: Meanings = ()) -> SourceError:
        """The error that it is, saying `what` was tried."""
        if self.code == _NETWORK:
            return SourceUnavailable(f"{what} got no answer: {self._words}.", hint=_PASSING_HINT)
        words = shown_words(self._words)
        request = f" (request {self._request_id})" if _REQUEST_ID.fullmatch(self._request_id) else ""
        message = f"{what} failed: {self.code}{': ' if words else ''}{words}{request}."
        for code, error, hint in (*special, *_MEANINGS):
            if self.code == code or self.code.startswith(f"{code}."):
                allow = f"Allow redis:{action} in CAM to the user whose key the rule's secret holds."
                return error(message, hint=hint or allow, field=_AT_FAULT.get(hint, ""))
        said = "its own words are above." if words else "and not why."
        return SourceRefused(message, hint=f"The service says that this cannot be done; {said}")


def _was_never_sent(cause: BaseException | None) -> bool:
    """Whether requests, whose error this is, did not even reach the host."""
    from requests.exceptions import ConnectTimeout, ProxyError, SSLError
    from urllib3.exceptions import NewConnectionError

    reason = getattr(cause.args[0], "reason", None) if cause is not None and cause.args else None
    return isinstance(cause, ConnectTimeout | ProxyError | SSLError) or isinstance(reason, NewConnectionError)


def shown_words(text: str) -> str:
    """What a service says, at most 300 characters, without whatever looks like a link, a key or an account's number."""
    hidden = _SECRETS.sub("...", text[: 4 * LONGEST_WORDS])
    plain = "".join(each if each.isprintable() else " " for each in hidden[:LONGEST_WORDS])
    return plain.strip().rstrip(".")


def find_endpoint(endpoint: str, region: str, *, allows_private: bool) -> tuple[str, str]:
    """The scheme and the host, with its port, that a region's calls go to. Raises SourceRefused.

    `endpoint` is a host or an address with https; http is for an address within, where the stack allows such.
    """
    chosen = endpoint or DEFAULT_ENDPOINT
    parts = urlsplit(chosen if "://" in chosen else f"https://{chosen}")
    host = parts.netloc
    if chosen.rstrip("/") in (DEFAULT_ENDPOINT, urlsplit(DEFAULT_ENDPOINT).netloc) and region.endswith("-fsi"):
        # "Financial regions are isolated": each has a host of its own ("Common Request Parameters").
        host = f"redis.{region}.tencentcloudapi.com"
    if parts.scheme == "https" and parts.hostname and "@" not in host:
        return "https", host
    if parts.scheme == "http" and allows_private and _is_within(parts.hostname or ""):
        return "http", host
    raise SourceRefused(
        "The endpoint of Tencent Cloud's API is not one that calls may be sent to.",
        hint="Set the stack's parameter TencentEndpoint to a host's name, or leave it at its default.",
    )


def _is_within(host: str) -> bool:
    try:
        return is_private(host) and not is_never_reached(host)
    except ValueError:
        return False
