"""Sends CloudFormation the answer to a custom resource's request.

Source: "Custom resource response objects" in the CloudFormation user guide. The link is signed, so it is never shown,
and signed without a content type, so none may be sent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import urllib3

from rdbkeeper.aws.hosts import is_trusted
from rdbkeeper.domain.errors import FleetRefused, FleetUnavailable
from rdbkeeper.ports import Record

_PAUSES_S = (0.0, 1.0, 2.0, 4.0)  # before each try
_OK = 200


def send(url: str, answer: Record, endpoint: str, pause: Callable[[float], None] = time.sleep) -> None:
    """Put the answer where CloudFormation waits for it. Raises FleetError; no message holds the link."""
    if not is_trusted(url, endpoint):
        raise FleetRefused(
            "The answer to CloudFormation was to go to a host that is none of AWS's.", hint="Nothing was sent."
        )
    problem = ""
    # Not urllib3's own retries: it logs each one with the link.
    for pause_s in _PAUSES_S:
        pause(pause_s)
        problem = _put(url, json.dumps(answer).encode())
        if not problem:
            return
    raise FleetUnavailable(
        f"Answering CloudFormation {problem}.",
        hint="The stack waits until its own time limit, then says that it failed.",
    )


def _put(url: str, body: bytes) -> str:
    """Send it once; returns what went wrong, "" for nothing."""
    try:
        reply = urllib3.request(
            "PUT", url, body=body, headers={"Content-Type": ""}, redirect=False, retries=False, timeout=30.0
        )
    except urllib3.exceptions.HTTPError as error:
        return f"got no answer: {type(error).__name__}"  # its own text holds the link
    return "" if reply.status == _OK else f"was answered with HTTP status {reply.status}"
