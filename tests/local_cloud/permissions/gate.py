"""Lets a request through when its signer may make it.

A request that a role signed is refused unless its policies allow all that the request needs, and is recorded either
way. Whoever signs with other credentials is the account's administrator, who may do everything and is not recorded.

The local cloud has no TLS: a request to it stands for one over TLS, so `aws:SecureTransport` is true.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from moto.iam.exceptions import NotFoundException
from werkzeug.wrappers import Request, Response

from tests.local_cloud.permissions.calls import Call, UnknownCallError, read, signer_of
from tests.local_cloud.permissions.needs import Place
from tests.local_cloud.permissions.other_needs import log_group_arn
from tests.local_cloud.permissions.policy import Need, decide
from tests.local_cloud.permissions.record import RECORD, Asked, Refusal, Use
from tests.local_cloud.permissions.refusals import refusal
from tests.local_cloud.permissions.roles import bucket_statements, policies_of, role_name, signing_role
from tests.local_cloud.permissions.table import needs_of
from tests.local_cloud.s3_request import S3Error
from tests.local_cloud.sandbox_logs import LogEvent, LogSink

Answer = Callable[[], Response]
Watcher = Callable[[str, Call], None]
# From a resource's ARN to its tags.
TagsOf = Callable[[str], Mapping[str, str]]


def without_tags(_: str) -> Mapping[str, str]:
    """Return no tags, whatever the resource."""
    return {}


class NotAllowedError(Exception):
    """A role may not do what it was asked to do."""


class Gate:
    """Decides over every signed request of one account. tags_of: what `aws:ResourceTag/` conditions look at."""

    def __init__(self, account_id: str, tags_of: TagsOf = without_tags) -> None:
        self._account_id = account_id
        self._tags_of = tags_of
        # Told of each call that a role makes, before it is answered: the role's name and the call.
        self.watchers: list[Watcher] = []

    def pass_on(self, request: Request, answer: Answer) -> Response:
        """Return the answer to a request whose signer may make it, the service's refusal otherwise."""
        signer = signer_of(request)
        role = signing_role(signer.access_key) if signer else None
        if signer is None or role is None:
            return answer()
        place = Place(self._account_id, signer.region)
        try:
            call = read(signer.service, request)
            for watch in self.watchers:
                watch(role, call)
            for need in needs_of(call, place):
                self.require(role, need, place.region)
        except UnknownCallError as error:
            RECORD.refusals.add(Refusal(role, str(error), "", "unknown"))
            return refusal(signer.service, request, str(error))
        except NotAllowedError as error:
            return refusal(signer.service, request, str(error))
        except S3Error as error:
            return error.response(request)
        return self._without_what_is_kept_back(role, call, place, request, answer())

    def require(self, role: str, need: Need, region: str) -> None:
        """Raise NotAllowedError when the role may not do this; its name, not its ARN, is asked for."""
        if reason := self._reason_against(role, need, region):
            RECORD.refusals.add(Refusal(role, need.action, need.resource, reason))
            user = f"arn:aws:sts::{self._account_id}:assumed-role/{role}/local-cloud"
            raise NotAllowedError(
                f"User: {user} is not authorized to perform: {need.action} on resource: {need.resource} {reason}"
            )

    def permits(self, role: str, need: Need, region: str) -> bool:
        """True when the role may do this; a refusal is not recorded, as the caller gets an answer all the same."""
        return not self._reason_against(role, need, region)

    def _reason_against(self, role: str, need: Need, region: str) -> str:
        try:
            policies = policies_of(self._account_id, role)
        except NotFoundException:
            return "because the role does not exist"
        in_every_request = {
            "aws:principalaccount": (self._account_id,),
            "aws:principalarn": (policies.arn,),
            "aws:requestedregion": (region,),
            "aws:securetransport": ("true",),
        }
        tags = {f"aws:resourcetag/{key.lower()}": (value,) for key, value in self._tags_of(need.resource).items()}
        whole = replace(need, context={**in_every_request, **tags, **need.context})
        bucket = need.resource.removeprefix("arn:aws:s3:::").partition("/")[0] if need.action.startswith("s3:") else ""
        of_bucket = bucket_statements(self._account_id, bucket, policies.arn)
        verdict = decide(whole, policies.identity, policies.boundary, of_bucket)
        if verdict.allowed:
            RECORD.allowed.add(Asked(role, need, policies))
            RECORD.uses.update(Use(by.policy, by.sid, need.action, pattern) for by, pattern in verdict.allowed_by)
        return verdict.refusal

    def _without_what_is_kept_back(
        self, role: str, call: Call, place: Place, request: Request, answer: Response
    ) -> Response:
        """Return the answer, less what the service only tells those who have one more permission."""
        if (call.service, call.operation) == ("lambda", "GetFunction") and answer.status_code == 200:
            # "GetFunction": the tags are in the answer only with lambda:ListTags.
            data = json.loads(answer.get_data())
            arn = ":".join(data["Configuration"]["FunctionArn"].split(":")[:7])
            if "Tags" in data and not self.permits(role, Need("lambda:ListTags", arn), place.region):
                del data["Tags"]
                answer.set_data(json.dumps(data))
        is_read = call.service == "s3" and call.operation in ("GetObject", "HeadObject")
        if is_read and answer.status_code == 404:
            # "GetObject": whoever may not list the bucket is not told that an object does not exist.
            bucket = f"arn:aws:s3:::{call.parameters['Bucket']}"
            if not self.permits(role, Need("s3:ListBucket", bucket), place.region):
                return refusal("s3", request, "Access Denied")
        return answer


def permitted_sink(role_arn: str, region: str, sink: LogSink) -> LogSink:
    """Return a log's sink that takes only what the role may write; what it may not is lost, as in the service."""
    account_id, role = role_arn.split(":")[4], role_name(role_arn)
    gate = Gate(account_id)

    def write(group: str, stream: str, events: list[LogEvent]) -> bool:
        arn = f"{log_group_arn(Place(account_id, region), group)}:log-stream:{stream}"
        try:
            for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                gate.require(role, Need(action, arn), region)
        except NotAllowedError:
            return False
        return sink(group, stream, events)

    return write
