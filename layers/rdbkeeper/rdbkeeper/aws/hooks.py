"""Calls the functions of the owner's that freeze and thaw writes.

A synchronous Invoke answers when the function has ended; a function that failed answers 200 with `FunctionError`
("Invoke", Lambda API reference). It is sent once: whether a call without an answer did anything, or is still to do it,
nobody can tell. Lambda does not stop a function whose caller has gone, so that is an error of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
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


class LambdaHooks:
    """Hooks over a client of Lambda that waits so many seconds for an answer, and repeats nothing."""

    def __init__(self, make_client: Callable[[float], Any]) -> None:
        self._make_client = make_client

    def call(self, function: str, payload: Record, longest_s: float) -> None:
        with translated(_FAMILY, f"Calling the hook {function} to {payload['phase']} writes"):
            answer = self._make_client(longest_s).invoke(
                FunctionName=function, InvocationType="RequestResponse", Payload=json.dumps(payload).encode()
            )
        answer["Payload"].close()
        if "FunctionError" in answer:
            raise HookFailed(
                f"The hook {function}, called to {payload['phase']} writes, failed ({answer['FunctionError']}).",
                hint="Its own log tells why.",
            )
