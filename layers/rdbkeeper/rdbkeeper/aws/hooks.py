"""Calls the functions of the owner's that freeze and thaw writes.

A synchronous Invoke answers when the function has ended; a function that failed answers 200 with `FunctionError`
("Invoke", Lambda API reference). It is sent once: whether a call without an answer did anything, or is still to do it,
nobody can tell. Lambda does not stop a function whose caller has gone, so that is an error of its own.

A function that catches what goes wrong in it ends well as far as Lambda can tell, and says so in its answer, as it
would to API Gateway: by a status ("Lambda proxy integrations"), or as Lambda itself words errors. What it says is
repeated nowhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from threading import Lock
from typing import Any

from rdbkeeper.aws.errors import Family, translated
from rdbkeeper.domain.errors import HookFailed, HookMissing, HookUnanswered, HookUncalled
from rdbkeeper.ports import Record

_FAMILY = Family(
    HookUncalled,
    HookUnanswered,
    HookFailed,
    special={
        "TooManyRequestsException": (HookUncalled, "It did not run: raise its concurrency, or let it run less often."),
        "AccessDeniedException": (
            HookUncalled,
            "Add the function's ARN to the stack's parameter AllowedHookFunctionArns, which lets rules call it.",
        ),
        "ResourceNotFoundException": (HookMissing, "There is no such function in this account and region."),
    },
)
# A longer answer is nobody's word that something failed.
_LONGEST_ANSWER_BYTES = 8192
_FAILED_STATUS = re.compile("[4-9][0-9]{2}")


class LambdaHooks:
    """Hooks over a client of Lambda that waits so many seconds for an answer, and repeats nothing."""

    def __init__(self, make_client: Callable[[float], Any]) -> None:
        self._make_client = make_client
        self._making = Lock()  # sessions are not made for several threads ("Session reference", Boto3)

    def call(self, function: str, payload: Record, longest_s: float) -> None:
        with translated(_FAMILY, f"Calling the hook {function} to {payload['phase']} writes"):
            with self._making:
                client = self._make_client(longest_s)
            answer = client.invoke(
                FunctionName=function, InvocationType="RequestResponse", Payload=json.dumps(payload).encode()
            )
            with closing(answer["Payload"]) as body:
                said = body.read(_LONGEST_ANSWER_BYTES)
        failure = answer.get("FunctionError") or _find_failure(said)
        if failure:
            raise HookFailed(
                f"The hook {function}, called to {payload['phase']} writes, failed ({failure}).",
                hint="Its own log tells why.",
            )


def _find_failure(said: bytes) -> str:
    """By what a function's answer says that it failed, or "" where it does not."""
    try:
        answer = json.loads(said)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(answer, dict):
        return ""
    status = str(answer.get("statusCode"))
    if _FAILED_STATUS.fullmatch(status):
        return f"statusCode {status}"
    return next((f"it answered an {name}" for name in ("error", "errorMessage") if answer.get(name)), "")
