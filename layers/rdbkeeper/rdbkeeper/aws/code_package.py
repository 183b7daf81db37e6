"""Fetches the code package of a deployed function.

SAM puts the package where only the function itself knows, so it is taken from where GetFunction says (a link that is
valid for ten minutes; "GetFunction" in the Lambda API reference). The link is a secret while it is valid.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

import urllib3

from rdbkeeper.aws.hosts import is_trusted
from rdbkeeper.domain.errors import FleetRefused, FleetUnavailable
from rdbkeeper.ports import Record

LARGEST_PACKAGE_BYTES = 50 * (1 << 20)  # "Lambda quotas": a zipped deployment package
TRIES = 3
OK = 200


def fetch_code(function: Record, lambda_endpoint: str) -> bytes:
    """The zip file of a function as GetFunction described it, checked against its CodeSha256.

    Only S3's hosts over https are asked, and the host at which Lambda itself was reached. Raises FleetError; no
    message holds the link.
    """
    link, name = function["Code"]["Location"], function["Configuration"]["FunctionName"]
    if not is_trusted(link, lambda_endpoint):
        raise FleetRefused(
            f"Lambda says that the code package of {name} lies at a host that is none of AWS's.",
            hint="Nothing was fetched. Check what answers in Lambda's place.",
        )
    body = _download(link, name)
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    if not hmac.compare_digest(digest, function["Configuration"]["CodeSha256"]):
        raise FleetRefused(
            f"The code package of {name} is not the one that Lambda's CodeSha256 names.",
            hint="It was replaced meanwhile: send the request again. If it repeats, deploy the stack again.",
        )
    return body


def _download(link: str, name: str) -> bytes:
    problem = ""
    # Not urllib3's own retries: it logs each one with the link.
    for _ in range(TRIES):
        try:
            with urllib3.request(
                "GET", link, redirect=False, retries=False, timeout=30.0, preload_content=False
            ) as answer:
                if answer.status == OK:
                    return bytes(answer.read(LARGEST_PACKAGE_BYTES + 1))
                problem = f"was answered with HTTP status {answer.status}"
        except urllib3.exceptions.HTTPError as error:
            # The error's own text holds the link, so neither it nor its cause is passed on.
            problem = f"got no answer: {type(error).__name__}"
    raise FleetUnavailable(f"Fetching the code package of {name} {problem}.", hint="Send the request again.")
