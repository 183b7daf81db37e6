"""Functions: how they are made, changed, shown and removed."""

from __future__ import annotations

import json
import time
from typing import Any

from moto.core.utils import iso_8601_datetime_with_nanoseconds
from werkzeug.wrappers import Request, Response

from tests.local_cloud import lambda_checks as checks
from tests.local_cloud.code_store import CodeStore
from tests.local_cloud.front import Forward, with_body
from tests.local_cloud.functions import Functions
from tests.local_cloud.lambda_api import LATEST, FunctionRef, conflict, invalid, json_answer, json_body, path_segments
from tests.local_cloud.lambda_records import SETTLING_S, FunctionRecord, Snapshot
from tests.local_cloud.lambda_registry import Registry
from tests.local_cloud.lambda_versions import described_version

DEFAULT_RETENTION_DAYS = 14
# "This process can take about a minute": its network interface is made first.
SLOWER_IN_A_NETWORK = 5


class FunctionDesk:
    """Answers the requests about whole functions and about what is not published of them."""

    def __init__(self, registry: Registry, code: CodeStore, functions: Functions) -> None:
        self._registry = registry
        self._code = code
        self._functions = functions

    def create(self, request: Request, forward: Forward) -> Response:
        """Make a function, which is pending for a moment."""
        body = json_body(request)
        checks.check_new_function(body)
        self._code.check_role(body["Role"])
        self._code.check_network(body["Role"], body.get("VpcConfig") or {})
        self._code.check_layers(body.get("Layers") or [])
        self._code.check(body.get("Code") or {})
        name = body["FunctionName"]
        publish = body.pop("Publish", False)
        with self._registry.lock:
            answer = forward(with_body(request, json.dumps(body).encode()))
            if answer.status_code >= 300:
                return answer
            durable = body.get("DurableConfig")
            if durable is not None:
                durable = {"RetentionPeriodInDays": DEFAULT_RETENTION_DAYS} | durable
            logging = checks.complete_logging(body.get("LoggingConfig") or {}, name)
            settling_s = SETTLING_S * (SLOWER_IN_A_NETWORK if (body.get("VpcConfig") or {}).get("SubnetIds") else 1)
            snapshot = Snapshot(durable, logging, time.monotonic() + settling_s)
            self._registry.records[name] = FunctionRecord(name, snapshot)
            self._code.remember_layers(self._registry.moto_function(name, LATEST))
            if publish:
                return described_version(self._registry, self._registry.publish(name, ""))
            return self._described(answer, 201)

    def get(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        """Show a function or one version of it, with its code or only its configuration."""
        version = self._registry.version_of(ref)
        answer = forward(request)
        if answer.status_code >= 300 or path_segments(request)[-1] == "configuration":
            return self._described(answer)
        data = json.loads(answer.get_data())
        data["Configuration"] = self._registry.record(ref.name).describe(data["Configuration"])
        location = self._code.location(self._registry.moto_function(ref.name, version).code_bytes)
        data["Code"] = {"RepositoryType": "S3", "Location": location}
        return json_answer(data)

    def delete(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        """Remove a function with all that belongs to it, or one version. What runs now runs on to its end."""
        if ref.qualifier is not None:
            self._check_version_removable(ref)
        answer = forward(request)
        if answer.status_code < 300:
            if ref.qualifier is None:
                del self._registry.records[ref.name]
            else:
                del self._registry.record(ref.name).versions[ref.qualifier]
            self._functions.forget(ref.name)
        return answer

    def _check_version_removable(self, ref: FunctionRef) -> None:
        if not str(ref.qualifier).isdigit():
            raise invalid(f"{ref.qualifier} of function {ref.name} is not a published version; only such are deleted.")
        self._registry.record(ref.name).snapshot(str(ref.qualifier))
        for alias in self._registry.aliases(ref.name).values():
            if str(alias.function_version) == ref.qualifier:
                raise conflict(f"Alias {alias.name} points to version {ref.qualifier} of {ref.name}. Move it first.")

    def update_configuration(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        """Change settings; what is not said stays."""
        record, body = begin_change(self._registry, request, ref)
        checks.check_changes(body)
        if "Role" in body:
            self._code.check_role(body["Role"])
        function = self._registry.moto_function(ref.name, LATEST)
        network = body.get("VpcConfig", function.vpc_config) or {}
        self._code.check_network(str(body.get("Role", function.role)), network)
        self._code.check_layers(body.get("Layers") or [])
        durable = _changed_durable(record, body, str(self._registry.moto_function(ref.name, LATEST).run_time))
        logging = record.latest.logging
        if "LoggingConfig" in body:
            logging = checks.complete_logging(body["LoggingConfig"], ref.name)
        if "Environment" in body:
            body["Environment"] = {"Variables": body["Environment"].get("Variables") or {}}
        before = self._registry.program(ref.name, LATEST)
        answer = forward(with_body(request, json.dumps(body).encode()))
        if answer.status_code >= 300:
            return answer
        self._set_what_moto_forgets(ref.name, body)
        record.update(record.latest.changed(durable, logging), before)
        return self._changed(ref.name)

    def _set_what_moto_forgets(self, name: str, body: dict[str, Any]) -> None:
        function = self._registry.moto_function(name, LATEST)
        if "EphemeralStorage" in body:
            function.ephemeral_storage = body["EphemeralStorage"]["Size"]
        if "KMSKeyArn" in body:
            function.kms_key_arn = body["KMSKeyArn"] or None
        if "TracingConfig" in body:
            function.tracing_config = body["TracingConfig"]

    def update_code(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        """Change the code, and the processor that it is for when that is said."""
        record, body = begin_change(self._registry, request, ref)
        self._code.check(body)
        checks.check_architectures(body)
        publish = body.pop("Publish", False)
        before = self._registry.program(ref.name, LATEST)
        answer = forward(with_body(request, json.dumps(body).encode()))
        if answer.status_code >= 300 or body.get("DryRun"):
            return self._described(answer)
        if "Architectures" in body:
            self._registry.moto_function(ref.name, LATEST).architectures = body["Architectures"]
        record.update(record.latest.changed(record.latest.durable, record.latest.logging), before)
        if publish:
            return described_version(self._registry, self._registry.publish(ref.name, ""), status=200)
        return self._changed(ref.name)

    def _changed(self, name: str) -> Response:
        function = self._registry.moto_function(name, LATEST)
        function.last_modified = iso_8601_datetime_with_nanoseconds()
        self._code.remember_layers(function)
        self._functions.forget(name)
        return json_answer(self._registry.record(name).describe(function.get_configuration()))

    def _described(self, answer: Response, status: int = 200) -> Response:
        if answer.status_code >= 300:
            return answer
        config = json.loads(answer.get_data())
        return json_answer(self._registry.record(config["FunctionName"]).describe(config), status)


def begin_change(registry: Registry, request: Request, ref: FunctionRef) -> tuple[FunctionRecord, dict[str, Any]]:
    """Return the function's record and the request's body; raises when the function cannot be changed now or so."""
    if ref.qualifier not in (None, LATEST):
        raise invalid(f"{ref.name}:{ref.qualifier} cannot be changed, only the unpublished function can.")
    record, body = registry.record(ref.name), json_body(request)
    record.check_settled()
    record.check_revision(body.get("RevisionId"))
    return record, body


def _changed_durable(record: FunctionRecord, body: dict[str, Any], runtime: str) -> dict[str, Any] | None:
    durable = None if record.latest.durable is None else dict(record.latest.durable)
    if "DurableConfig" in body:
        if durable is None:
            raise invalid(f"Function {record.name} was not created durable, and cannot become it. Make another one.")
        durable |= body["DurableConfig"]
    if durable is not None:
        checks.check_durable_config(durable, body.get("Runtime") or runtime)
    return durable
