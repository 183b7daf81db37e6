"""STS in front of moto, which gives credentials for any role to anybody.

The credentials given here stand for the role that was assumed, so that what is signed with them is held against that
role's policies. Sources: "AssumeRole" in the STS API reference; "How to use an external ID".
"""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends
from werkzeug.wrappers import Request, Response

from tests.local_cloud.front import Forward
from tests.local_cloud.permissions.calls import signer_of
from tests.local_cloud.permissions.roles import access_key_of, role_name, signing_role

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_SESSION = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_SHORTEST_S, _LONGEST_S = 900, 43_200


class StsGuard:
    """Answers every request to STS."""

    def __init__(self, account_id: str) -> None:
        self._account_id = account_id

    def handle(self, request: Request, forward: Forward) -> Response:
        """Answer one request."""
        asked = dict(parse_qsl(request.get_data(cache=True).decode()))
        if asked.get("Action") != "AssumeRole":
            return forward(request)
        duration_s = int(asked.get("DurationSeconds", 3600))
        if not _SESSION.fullmatch(asked.get("RoleSessionName", "")) or not _SHORTEST_S <= duration_s <= _LONGEST_S:
            return _refusal(400, "ValidationError", "RoleSessionName or DurationSeconds cannot be.")
        signer = signer_of(request)
        caller = signing_role(signer.access_key) if signer else None
        role_arn = asked["RoleArn"]
        if not self._trusts(role_arn, caller, asked.get("ExternalId")):
            user = f"arn:aws:sts::{self._account_id}:assumed-role/{caller}/local-cloud"
            message = f"User: {user} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
            return _refusal(403, "AccessDenied", message)
        return _credentials(role_arn, asked["RoleSessionName"], dt.timedelta(seconds=duration_s))

    def _trusts(self, role_arn: str, caller: str | None, external_id: str | None) -> bool:
        try:
            role = iam_backends[self._account_id]["aws"].get_role(role_name(role_arn))
        except NotFoundException:
            return False
        return role.arn == role_arn and any(
            self._allows(statement, caller, external_id)
            for statement in json.loads(role.assume_role_policy_document)["Statement"]
        )

    def _allows(self, statement: dict[str, Any], caller: str | None, external_id: str | None) -> bool:
        principal = statement["Principal"]
        trusted = principal.get("AWS", []) if isinstance(principal, dict) else principal
        names = [trusted] if isinstance(trusted, str) else trusted
        own = {self._account_id, f"arn:aws:iam::{self._account_id}:root"}
        if caller:
            own.add(f"arn:aws:iam::{self._account_id}:role/{caller}")
        condition = statement.get("Condition", {})
        wanted = condition.get("StringEquals", {}).get("sts:ExternalId")
        if condition and condition != {"StringEquals": {"sts:ExternalId": wanted}}:
            raise NotImplementedError(f"The local cloud does not know the trust condition {condition}.")
        return statement["Effect"] == "Allow" and bool(own & set(names)) and wanted in (None, external_id)


def _credentials(role_arn: str, session: str, lasts: dt.timedelta) -> Response:
    parts = {
        "AccessKeyId": access_key_of(role_arn),
        "SecretAccessKey": "test",
        "SessionToken": "test",
        "Expiration": f"{dt.datetime.now(dt.UTC) + lasts:%Y-%m-%dT%H:%M:%SZ}",
    }
    account = role_arn.split(":")[4]
    user = f"arn:aws:sts::{account}:assumed-role/{role_name(role_arn)}/{session}"
    credentials = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in parts.items())
    assumed = f"<AssumedRoleUser><AssumedRoleId>AROA:{session}</AssumedRoleId><Arn>{user}</Arn></AssumedRoleUser>"
    result = f"<AssumeRoleResult><Credentials>{credentials}</Credentials>{assumed}</AssumeRoleResult>"
    body = f'<AssumeRoleResponse xmlns="{_NAMESPACE}">{result}</AssumeRoleResponse>'
    return Response(body, content_type="text/xml")


def _refusal(status: int, code: str, message: str) -> Response:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    body = f'<ErrorResponse xmlns="{_NAMESPACE}">{error}<RequestId>0</RequestId></ErrorResponse>'
    return Response(body, status, content_type="text/xml")
