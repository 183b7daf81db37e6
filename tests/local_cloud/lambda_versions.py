"""A function's versions and aliases."""

from __future__ import annotations

import secrets

from moto.awslambda.models import LambdaAlias, LambdaFunction
from werkzeug.wrappers import Request, Response

from tests.local_cloud import lambda_checks as checks
from tests.local_cloud.front import Forward
from tests.local_cloud.lambda_api import (
    LATEST,
    FunctionRef,
    LambdaError,
    conflict,
    invalid,
    json_answer,
    json_body,
    not_found,
    path_segments,
)
from tests.local_cloud.lambda_registry import Registry


def described_version(registry: Registry, version: LambdaFunction, status: int = 201) -> Response:
    """Return a published version as an answer."""
    return json_answer(registry.record(version.function_name).describe(version.get_configuration()), status)


class VersionDesk:
    """Answers the requests that publish versions and write aliases."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def publish(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        """Publish what the function is now; the newest version again when nothing has changed since."""
        if ref.qualifier not in (None, LATEST):
            raise invalid(f"{ref.name}:{ref.qualifier} is published already; only the unpublished function can be.")
        body, record = json_body(request), self._registry.record(ref.name)
        record.check_settled()
        record.check_revision(body.get("RevisionId"))
        expected = body.get("CodeSha256")
        if expected is not None and expected != self._registry.moto_function(ref.name, LATEST).code_sha_256:
            raise invalid(f"The code of function {ref.name} does not have the CodeSha256 {expected}.")
        return described_version(self._registry, self._registry.publish(ref.name, body.get("Description") or ""))

    def alias(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        """Show one alias."""
        return json_answer(self._get_alias(ref.name, path_segments(request)[-1]).to_json())

    def _get_alias(self, function: str, name: str) -> LambdaAlias:
        aliases = self._registry.aliases(function)
        if name not in aliases:
            raise not_found(f"Alias {name} of function {function}")
        return aliases[name]

    def write_alias(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        """Make an alias or point one elsewhere."""
        body = json_body(request)
        checks.check_alias(body.get("Name"), body.get("FunctionVersion"))
        if "RoutingConfig" in body:
            raise invalid("The local cloud routes an alias to one version only; leave RoutingConfig out.")
        if "FunctionVersion" in body:
            self._registry.record(ref.name).snapshot(body["FunctionVersion"])
        if request.method == "PUT":
            alias = self._get_alias(ref.name, path_segments(request)[-1])
            if body.get("RevisionId") not in (None, alias.revision_id):
                message = f"Alias {alias.name} has revision {alias.revision_id}, not {body['RevisionId']}."
                raise LambdaError("PreconditionFailedException", message)
            alias.revision_id = secrets.token_hex(16)
        elif body.get("Name") in self._registry.aliases(ref.name):
            raise conflict(f"Alias {body['Name']} of function {ref.name} exists already.")
        return forward(request)
