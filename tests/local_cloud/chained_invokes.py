"""Functions that an execution invokes: found, permitted and run as Invoke would do it.

Plain functions only, in sandboxes of their own and as many at once as are asked for. The service refuses a target that
is not there in the checkpoint that asks for it; one that the role must not invoke, it refuses likewise, here a moment
later, as the runner does not say who asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_durable_execution_sdk_python.lambda_service import ErrorObject
from aws_durable_execution_sdk_python_testing.child_dispatcher import (
    ChainedInvokeRequest,
    ChildOutcome,
    DispatchResult,
    FunctionTarget,
    KnownOutcome,
    RunInvocation,
    failed_to_start,
    result_outcome,
)

from tests.local_cloud.functions import Functions
from tests.local_cloud.lambda_api import LambdaError, conflict, invalid
from tests.local_cloud.lambda_registry import Registry, Target
from tests.local_cloud.permissions.gate import Gate, NotAllowedError
from tests.local_cloud.permissions.policy import Need
from tests.local_cloud.permissions.roles import role_name
from tests.local_cloud.sandbox import Invocation


@dataclass(frozen=True)
class ChainedInvokes:
    """Answers the runner when an execution invokes a function."""

    registry: Registry
    functions: Functions
    gate: Gate

    def preflight(self, target: FunctionTarget) -> ChildOutcome | None:
        try:
            self._find(target.name, target.qualifier)
        except LambdaError as error:
            return _refused(error).outcome
        return None

    def dispatch(self, request: ChainedInvokeRequest) -> DispatchResult:
        try:
            self._check_permission(request)
            target = self._find(request.function_name, request.qualifier)
        except LambdaError as error:
            return _refused(error)
        return RunInvocation(lambda: self._run(target, request.payload or "{}"))

    def _find(self, name: str, qualifier: str | None) -> Target:
        target = self.registry.find_target(name, qualifier)
        if target.state != "Active":
            raise conflict(f"Function {target.invoked_arn} is in state {target.state}; wait until it is Active.")
        if target.durable is not None:
            raise invalid(f"Function {name} is durable; from within an execution the local cloud invokes plain ones.")
        return target

    def _check_permission(self, request: ChainedInvokeRequest) -> None:
        invoking = request.parent_execution_arn.partition("/")[0]
        role = self.registry.find_target(invoking, None).program.role
        arn = f"{self.registry.arn(request.function_name)}{f':{request.qualifier}' if request.qualifier else ''}"
        try:
            self.gate.require(role_name(role), Need("lambda:InvokeFunction", arn), self.registry.region)
        except NotAllowedError as error:
            raise LambdaError("AccessDeniedException", str(error)) from error

    def _run(self, target: Target, payload: str) -> ChildOutcome:
        outcome = self.functions.invoke(target.program, Invocation(payload.encode(), target.invoked_arn))
        if outcome.error:
            return ChildOutcome(error=ErrorObject(outcome.error.message, outcome.error.type, None, None))
        return result_outcome(outcome.payload.decode())


def _refused(error: LambdaError) -> KnownOutcome:
    return failed_to_start(error.message, error.code)
