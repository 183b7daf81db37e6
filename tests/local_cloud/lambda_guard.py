"""Lambda's guard: moto keeps functions, versions, aliases, layers and tags; what it ignores is enforced here.

Requests that moto answers well are passed on and its answers completed. Invoke and durable executions never
reach it: they are answered by the sandboxes and by the durable SDK's local runner.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from werkzeug.wrappers import Request, Response

from tests.local_cloud.chained_invokes import ChainedInvokes
from tests.local_cloud.code_store import CodeStore
from tests.local_cloud.durable import DurableExecutions
from tests.local_cloud.durable_api import DurableApi
from tests.local_cloud.front import Forward
from tests.local_cloud.functions import Functions, Outcome
from tests.local_cloud.lambda_api import FunctionRef, LambdaError, error_answer, json_answer, json_body, path_segments
from tests.local_cloud.lambda_functions import FunctionDesk
from tests.local_cloud.lambda_invoke import Invoker
from tests.local_cloud.lambda_listings import ListingDesk
from tests.local_cloud.lambda_registry import Registry
from tests.local_cloud.lambda_tags import TagDesk
from tests.local_cloud.lambda_versions import VersionDesk
from tests.local_cloud.permissions.gate import Gate
from tests.local_cloud.sandbox import Invocation

Route = Callable[[Request, Forward, FunctionRef], Response]


class LambdaGuard:
    """Answers every request to Lambda."""

    def __init__(self, *, region: str, account_id: str, endpoint_url: str, functions: Functions) -> None:
        self._functions = functions
        self._code = CodeStore(region=region, account_id=account_id, endpoint_url=endpoint_url)
        self.registry = Registry(region=region, account_id=account_id, code=self._code)
        invokes = ChainedInvokes(self.registry, functions, Gate(account_id))
        self.executions = DurableExecutions(
            region=region, account_id=account_id, run=self._run_durable, invokes=invokes
        )
        self._durable_api = DurableApi(self.executions)
        self._invoker = Invoker(self.registry.find_target, functions, lambda: self.executions)
        self._desk = FunctionDesk(self.registry, self._code, functions)
        self._versions = VersionDesk(self.registry)
        self._listings = ListingDesk(self.registry)
        self._tags = TagDesk(self.registry)

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
                return self._desk.create(request, forward)
            case "GET", ["functions"]:
                return self._listings.functions(request)
            case "POST", ["functions", function, "invocations"]:
                return self._invoker.invoke(request, function)
            case _, ["functions", function, *rest]:
                return self._on_function(request, forward, function, rest)
            case _, ["tags", arn]:
                with self.registry.lock:
                    return self._tags.answer(request, arn)
        return self._on_layers(request, forward, segments)

    def _on_layers(self, request: Request, forward: Forward, segments: list[str]) -> Response:
        match request.method, segments:
            case "POST", ["layers", _, "versions"]:
                return self._publish_layer(request, forward)
            case "GET", ["layers", name, "versions", version]:
                return self._get_layer(request, forward, name, version)
        return forward(request)

    def _on_function(self, request: Request, forward: Forward, function: str, rest: list[str]) -> Response:
        ref = self.registry.ref(function, request.args.get("Qualifier"))
        routes: dict[tuple[str, str], Route] = {
            ("GET", ""): self._desk.get,
            ("DELETE", ""): self._desk.delete,
            ("GET", "configuration"): self._desk.get,
            ("PUT", "configuration"): self._desk.update_configuration,
            ("PUT", "code"): self._desk.update_code,
            ("POST", "versions"): self._versions.publish,
            ("GET", "versions"): self._listings.versions,
            ("GET", "aliases"): self._versions.alias if rest[1:] else self._listings.aliases,
            ("POST", "aliases"): self._versions.write_alias,
            ("PUT", "aliases"): self._versions.write_alias,
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

    def _list_executions(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        version = self.registry.version_of(ref) if ref.qualifier else None
        return self._durable_api.list_by_function(request, ref.name, version)
