"""Lambda's guard: moto keeps functions, versions, aliases, layers and tags; what it ignores is enforced here.

Requests that moto answers well are passed on and its answers completed. Invoke and durable executions never
reach it: they are answered by the sandboxes and by the durable SDK's local runner.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from tests.local_cloud import lambda_checks as checks
from tests.local_cloud.code_store import CodeStore
from tests.local_cloud.durable import DurableExecutions
from tests.local_cloud.durable_api import DurableApi
from tests.local_cloud.front import Forward, with_body
from tests.local_cloud.functions import Functions, Outcome
from tests.local_cloud.lambda_api import (
    LATEST,
    FunctionRef,
    LambdaError,
    conflict,
    error_answer,
    invalid,
    json_answer,
    json_body,
    not_found,
    path_segments,
)
from tests.local_cloud.lambda_invoke import Invoker
from tests.local_cloud.lambda_records import SETTLING_S, FunctionRecord, Snapshot
from tests.local_cloud.lambda_registry import Registry
from tests.local_cloud.sandbox import Invocation

DEFAULT_RETENTION_DAYS = 14
_PAGE = 50
Route = Callable[[Request, Forward, FunctionRef], Response]


class LambdaGuard:
    """Answers every request to Lambda."""

    def __init__(self, *, region: str, account_id: str, endpoint_url: str, functions: Functions) -> None:
        self._functions = functions
        self._code = CodeStore(region=region, account_id=account_id, endpoint_url=endpoint_url)
        self.registry = Registry(region=region, account_id=account_id, code=self._code)
        self.executions = DurableExecutions(region=region, account_id=account_id, run=self._run_durable)
        self._durable_api = DurableApi(self.executions)
        self._invoker = Invoker(self.registry.find_target, functions, lambda: self.executions)

    def close(self) -> None:
        """End the durable runner's timers and threads."""
        self.executions.close()

    def archive(self, token: str) -> bytes | None:
        """Return the zip archive that a Code.Location or Content.Location of this guard names."""
        return self._code.archive(token)

    def handle(self, request: Request, forward: Forward) -> Response:
        """Answer one request."""
        try:
            return self._route(request, forward, path_segments(request)[1:])
        except LambdaError as error:
            return error_answer(error)

    def _route(self, request: Request, forward: Forward, segments: list[str]) -> Response:
        match request.method, segments:
            case _, ["durable-executions" | "durable-execution-callbacks", *_]:
                return self._durable_api.answer(request, segments)
            case "POST", ["functions"]:
                return self._create(request, forward)
            case "GET", ["functions"]:
                return self._list(request, forward)
            case "POST", ["functions", function, "invocations"]:
                return self._invoker.invoke(request, function)
            case _, ["functions", function, *rest]:
                return self._on_function(request, forward, function, rest)
            case "POST", ["layers", _, "versions"]:
                return self._publish_layer(request, forward)
            case "GET", ["layers", name, "versions", version]:
                return self._get_layer(request, forward, name, version)
        return forward(request)

    def _on_function(self, request: Request, forward: Forward, function: str, rest: list[str]) -> Response:
        ref = self.registry.ref(function, request.args.get("Qualifier"))
        routes: dict[tuple[str, str], Route] = {
            ("GET", ""): self._get,
            ("DELETE", ""): self._delete,
            ("GET", "configuration"): self._get,
            ("PUT", "configuration"): self._update_configuration,
            ("PUT", "code"): self._update_code,
            ("POST", "versions"): self._publish,
            ("GET", "versions"): self._list,
            ("POST", "aliases"): self._write_alias,
            ("PUT", "aliases"): self._write_alias,
            ("GET", "durable-executions"): self._list_executions,
        }
        route = routes.get((request.method, rest[0] if rest else ""))
        if route is None:
            return forward(request)
        self.registry.record(ref.name)
        with self.registry.lock:
            return route(request, forward, ref)

    def _run_durable(self, name: str, version: str, event: bytes) -> Outcome:
        with self.registry.lock:
            program = self.registry.program(name, version)
        return self._functions.invoke(program, Invocation(event, f"{self.registry.arn(name)}:{version}"))

    # Functions

    def _create(self, request: Request, forward: Forward) -> Response:
        body = json_body(request)
        checks.check_new_function(body)
        self._code.check_role(body["Role"])
        self._code.check(body.get("Code") or {})
        name = body["FunctionName"]
        with self.registry.lock:
            answer = forward(request)
            if answer.status_code >= 300:
                return answer
            durable = body.get("DurableConfig")
            if durable is not None:
                durable = {"RetentionPeriodInDays": DEFAULT_RETENTION_DAYS} | durable
            logging = checks.complete_logging(body.get("LoggingConfig") or {}, name)
            self.registry.records[name] = FunctionRecord(
                name, Snapshot(durable, logging, time.monotonic() + SETTLING_S)
            )
            self._code.remember_layers(self.registry.moto_function(name, LATEST))
            if body.get("Publish"):
                self.registry.adopt_version(self.registry.published(name)[-1])
            return self._described(answer, 201)

    def _get(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        version = self.registry.version_of(ref)
        answer = forward(request)
        if answer.status_code >= 300 or path_segments(request)[-1] == "configuration":
            return self._described(answer)
        data = json.loads(answer.get_data())
        data["Configuration"] = self.registry.record(ref.name).describe(data["Configuration"])
        location = self._code.location(self.registry.moto_function(ref.name, version).code_bytes)
        data["Code"] = {"RepositoryType": "S3", "Location": location}
        return json_answer(data)

    def _delete(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        if ref.qualifier is not None:
            self._check_version_removable(ref)
        answer = forward(request)
        if answer.status_code < 300:
            if ref.qualifier is None:
                del self.registry.records[ref.name]
            else:
                del self.registry.record(ref.name).versions[ref.qualifier]
            self._functions.forget(ref.name)
        return answer

    def _check_version_removable(self, ref: FunctionRef) -> None:
        if not str(ref.qualifier).isdigit():
            raise invalid(f"{ref.qualifier} of function {ref.name} is not a published version; only such are deleted.")
        self.registry.record(ref.name).snapshot(str(ref.qualifier))
        for alias in self.registry.aliases(ref.name).values():
            if str(alias.function_version) == ref.qualifier:
                raise conflict(f"Alias {alias.name} points to version {ref.qualifier} of {ref.name}. Move it first.")

    def _update_configuration(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        record, body = self._begin_update(request, ref)
        checks.check_configuration(body)
        if "Role" in body:
            self._code.check_role(body["Role"])
        durable = record.latest.durable
        if "DurableConfig" in body:
            if durable is None:
                raise invalid(f"Function {ref.name} was not created durable, and cannot become it. Make another one.")
            durable = {**durable, **body["DurableConfig"]}
            checks.check_durable_config(dict(durable), body.get("Runtime") or checks.DURABLE_RUNTIMES[0])
        logging = record.latest.logging
        if "LoggingConfig" in body:
            logging = checks.complete_logging(body["LoggingConfig"], ref.name)
        if "Environment" in body:
            body["Environment"] = {"Variables": body["Environment"].get("Variables") or {}}
        answer = forward(with_body(request, json.dumps(body).encode()))
        if answer.status_code < 300:
            if "EphemeralStorage" in body:
                self.registry.moto_function(ref.name, LATEST).ephemeral_storage = body["EphemeralStorage"]["Size"]
            self._end_update(record, record.latest.changed(durable, logging))
        return self._described(answer)

    def _update_code(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        record, body = self._begin_update(request, ref)
        self._code.check(body)
        answer = forward(request)
        if answer.status_code < 300 and not body.get("DryRun"):
            self._end_update(record, record.latest.changed(record.latest.durable, record.latest.logging))
            if body.get("Publish"):
                return self._publish_now(record, "")
        return self._described(answer)

    def _begin_update(self, request: Request, ref: FunctionRef) -> tuple[FunctionRecord, dict[str, Any]]:
        if ref.qualifier not in (None, LATEST):
            raise invalid(f"{ref.name}:{ref.qualifier} cannot be changed, only the unpublished function can.")
        record, body = self.registry.record(ref.name), json_body(request)
        record.check_settled()
        record.check_revision(body.get("RevisionId"))
        return record, body

    def _end_update(self, record: FunctionRecord, latest: Snapshot) -> None:
        record.update(latest)
        self._code.remember_layers(self.registry.moto_function(record.name, LATEST))
        self._functions.forget(record.name)

    def _list(self, request: Request, forward: Forward, ref: FunctionRef | None = None) -> Response:
        answer = forward(request)
        if answer.status_code >= 300:
            return answer
        field = "Versions" if ref else "Functions"
        with self.registry.lock:
            found = [
                self.registry.record(one["FunctionName"]).describe(one) for one in json.loads(answer.get_data())[field]
            ]
        start = int(request.args.get("Marker") or 0)
        end = start + min(_PAGE, int(request.args.get("MaxItems") or _PAGE))
        return json_answer({field: found[start:end]} | ({"NextMarker": str(end)} if end < len(found) else {}))

    def _described(self, answer: Response, status: int = 200) -> Response:
        if answer.status_code >= 300:
            return answer
        config = json.loads(answer.get_data())
        return json_answer(self.registry.record(config["FunctionName"]).describe(config), status)

    # Layers

    def _publish_layer(self, request: Request, forward: Forward) -> Response:
        self._code.check(json_body(request).get("Content") or {})
        return forward(request)

    def _get_layer(self, request: Request, forward: Forward, name: str, version: str) -> Response:
        answer = forward(request)
        if answer.status_code >= 300:
            return answer
        data = json.loads(answer.get_data())
        data["Content"]["Location"] = self._code.location(
            self.registry.backend.get_layer_version(name, version).code_bytes
        )
        return json_answer(data)

    # Versions and aliases

    def _publish(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        record, body = self._begin_update(request, ref)
        expected = body.get("CodeSha256")
        if expected is not None and expected != self.registry.moto_function(ref.name, LATEST).code_sha_256:
            raise invalid(f"The code of function {ref.name} does not have the CodeSha256 {expected}.")
        return self._publish_now(record, body.get("Description") or "")

    def _publish_now(self, record: FunctionRecord, description: str) -> Response:
        published = self.registry.published(record.name)
        if record.is_changed or not published:
            # moto forgets changes made before the first version; what is known here counts.
            self.registry.moto_function(record.name, LATEST).code_or_config_updated = True
            version = self.registry.backend.publish_version(record.name, description)
            assert version is not None  # the function exists
            self.registry.adopt_version(version)
        else:
            version = published[-1]
        return json_answer(record.describe(version.get_configuration()), 201)

    def _write_alias(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        body = json_body(request)
        checks.check_alias(body.get("Name"), body.get("FunctionVersion"))
        if "FunctionVersion" in body:
            self.registry.record(ref.name).snapshot(body["FunctionVersion"])
        aliases = self.registry.aliases(ref.name)
        if request.method == "PUT":
            name = path_segments(request)[-1]
            if name not in aliases:
                raise not_found(f"Alias {name} of function {ref.name}")
            alias = aliases[name]
            if body.get("RevisionId") not in (None, alias.revision_id):
                message = f"Alias {alias.name} has revision {alias.revision_id}, not {body['RevisionId']}."
                raise LambdaError("PreconditionFailedException", message)
            alias.revision_id = secrets.token_hex(16)
        elif body.get("Name") in aliases:
            raise conflict(f"Alias {body['Name']} of function {ref.name} exists already.")
        return forward(request)

    def _list_executions(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        version = self.registry.version_of(ref) if ref.qualifier else None
        return self._durable_api.list_by_function(request, ref.name, version)
