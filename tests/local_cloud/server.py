"""The cloud on this machine: AWS by moto behind guards, functions that run, and what a test needs to use it."""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import json
import re
import threading
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from botocore.config import Config
from botocore.exceptions import ClientError
from localstack_client.config import get_service_endpoints
from localstack_client.session import Session
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.logs.models import logs_backends
from werkzeug.wrappers import Request, Response

from tests.local_cloud.alarm_service import AlarmService
from tests.local_cloud.bucket_policies import evaluate_conditions
from tests.local_cloud.code_store import archive_answer
from tests.local_cloud.deploy import Deployment, Stacks
from tests.local_cloud.dynamodb_guard import DynamoDbGuard
from tests.local_cloud.elasticache import ElastiCacheGuard
from tests.local_cloud.front import HOST, LOCAL_PREFIX, Front, Guard, HttpServer
from tests.local_cloud.functions import Functions
from tests.local_cloud.lambda_api import json_answer
from tests.local_cloud.lambda_guard import LambdaGuard
from tests.local_cloud.leftovers import make_directory, remove_directory
from tests.local_cloud.logs_guard import LogsGuard
from tests.local_cloud.memorydb import MemoryDbGuard
from tests.local_cloud.metrics import Datapoint, read_metrics
from tests.local_cloud.moto_extension import ExtensionGuard
from tests.local_cloud.permissions.gate import Gate
from tests.local_cloud.permissions.policy import Need
from tests.local_cloud.permissions.roles import role_name
from tests.local_cloud.s3_guard import S3Guard
from tests.local_cloud.sandbox_logs import LogEvent
from tests.local_cloud.scheduler_guard import SchedulerGuard
from tests.local_cloud.stack.response_desk import ResponseDesk
from tests.local_cloud.sts_guard import StsGuard
from tests.local_cloud.tagging_service import TaggingService
from tests.local_cloud.tencentdb import TencentDB

ACCOUNT_ID = "000000000000"
LOCALSTACK_PORT = 4566  # where tools that know LocalStack look for it
# A request that waits for a function waits as long as a function can take, and must not be sent twice.
_LAMBDA_CONFIG = Config(read_timeout=960, retries={"total_max_attempts": 1})
_PLACEHOLDER = re.compile(r"<aws\.scheduler\.([a-z-]+)>")

# moto keeps one set of data in a process; two clouds in it would see each other's.
_in_use = threading.Lock()


class ScheduleDisabledError(Exception):
    """A schedule was to be fired that its owner has switched off."""


class _LocalSession(Session):
    """localstack-client's session, for one endpoint whatever AWS_ENDPOINT_URL says."""

    def __init__(self, endpoint_url: str, region: str) -> None:
        super().__init__(region_name=region)
        self._service_endpoint_mapping = dict.fromkeys(get_service_endpoints(), endpoint_url)


class LocalCloud:
    """AWS and managed Redis on 127.0.0.1, from `with` to its end; nothing is left behind.

    endpoint_url and port say where it listens, functions holds the running functions, executions the durable
    executions, elasticache and memorydb the stand-ins with their Redis servers, tencentdb the one on ports of its own,
    s3 the store's guard with its faults, watchers what is told of each call that a role makes.
    """

    def __init__(
        self,
        port: int = 0,
        region: str = "us-east-1",
        export_delay_s: float = 1.0,
        *,
        reuse_sandboxes: bool = True,
    ) -> None:
        self.region = region
        self.account_id = ACCOUNT_ID
        if not _in_use.acquire(blocking=False):
            raise RuntimeError(
                "Starting a second local cloud in this process failed: moto keeps one set of data in a process. "
                "Close the first one, share it, or start the second with `python -m tests.local_cloud`."
            )
        self._closing = contextlib.ExitStack()
        self._closing.callback(_in_use.release)
        with contextlib.ExitStack() as undo:
            undo.push(self._closing.pop_all())
            self._start(undo, port, export_delay_s, reuse_sandboxes=reuse_sandboxes)
            self._closing = undo.pop_all()
        atexit.register(self.close)

    def _start(self, closing: contextlib.ExitStack, port: int, export_delay_s: float, *, reuse_sandboxes: bool) -> None:
        _reset_moto()
        evaluate_conditions()
        closing.callback(_reset_moto)
        self._clients: dict[str, Any] = {}
        self._client_lock = threading.Lock()
        root = make_directory("local-cloud")
        closing.callback(remove_directory, root)
        server = HttpServer(port)
        closing.callback(server.close)
        self.port = server.port
        self.endpoint_url = f"http://{HOST}:{self.port}"
        self._session = _LocalSession(self.endpoint_url, self.region)
        closing.callback(self._close_clients)
        self.functions = Functions(self.endpoint_url, root / "functions", self._keep_log, reuse=reuse_sandboxes)
        closing.callback(self.functions.close)
        self._lambda = LambdaGuard(
            region=self.region,
            account_id=ACCOUNT_ID,
            endpoint_url=self.endpoint_url,
            functions=self.functions,
        )
        closing.callback(self._lambda.close)
        self.executions = self._lambda.executions
        self._desk = ResponseDesk(self.endpoint_url)
        self._stacks = Stacks(self.client, account=ACCOUNT_ID, region=self.region, desk=self._desk)
        self.elasticache = ElastiCacheGuard(
            region=self.region, s3=lambda: self.client("s3"), export_delay_s=export_delay_s
        )
        closing.callback(self.elasticache.close)
        self.memorydb = MemoryDbGuard(region=self.region, s3=lambda: self.client("s3"), export_delay_s=export_delay_s)
        closing.callback(self.memorydb.close)
        # On ports of its own: nothing in its requests is AWS's.
        self.tencentdb = TencentDB()
        closing.callback(self.tencentdb.close)
        self.s3 = S3Guard(ACCOUNT_ID)
        self._logs = LogsGuard(self.region, ACCOUNT_ID)
        guards: dict[str, Guard] = {
            "dynamodb": DynamoDbGuard(),
            "elasticache": self.elasticache,
            "lambda": self._lambda,
            "memorydb": self.memorydb,
            "s3": self.s3,
            "scheduler": SchedulerGuard(
                ACCOUNT_ID,
                is_durable=self._lambda.registry.is_durable,
                target_exists=self._lambda.registry.target_exists,
            ),
            "logs": self._logs,
            "monitoring": ExtensionGuard(AlarmService, ACCOUNT_ID),
            "sts": StsGuard(ACCOUNT_ID),
            "tagging": ExtensionGuard(TaggingService, ACCOUNT_ID),
        }
        front = Front(guards, self._control, ACCOUNT_ID, self._tags_of)
        self.watchers = front.watchers
        server.start(front)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process and thread and remove every file; a second call does nothing."""
        atexit.unregister(self.close)
        self._closing.close()

    def client(self, service: str, **options: Any) -> Any:
        """Return a boto3 client for this cloud, made by localstack-client; the plain ones are shared."""
        with self._client_lock:
            if options:
                return self._session.client(service, **options)
            if service not in self._clients:
                config = {"config": _LAMBDA_CONFIG} if service == "lambda" else {}
                self._clients[service] = self._session.client(service, **config)
            return self._clients[service]

    def deploy(self, **options: Any) -> Deployment:
        """Set up the stack that the template describes, or change it; see `Stacks.deploy` for what can be said."""
        return self._stacks.deploy(**options)

    def delete_stack(self, stack: Deployment | str, *, unrelated_first: bool = False) -> None:
        """Remove a stack as CloudFormation does; see `Stacks.delete`."""
        self._stacks.delete(stack, unrelated_first=unrelated_first)

    def wait_for_execution(self, arn: str, timeout_s: float = 180.0) -> dict[str, Any]:
        """Return what GetDurableExecution says once the execution has ended."""
        return self.executions.wait_for_execution(arn, timeout_s)

    def metrics(self, log_group: str) -> list[Datapoint]:
        """Return every value of every metric that is in a log group, the oldest line's first; see `read_metrics`."""
        with self._logs.lock:
            streams = logs_backends[ACCOUNT_ID][self.region].groups[log_group].streams.values()
            events = sorted((event for stream in streams for event in stream.events), key=lambda event: event.timestamp)
        return read_metrics(event.message for event in events)

    def fire(self, group: str, name: str, scheduled_at: dt.datetime | None = None) -> str:
        """Invoke a schedule's target as the schedule says and return the ARN of the durable execution.

        The ARN is empty when the target is not durable. What the schedule asks for is read from the schedule:
        its target's ARN and input, and whether it is switched on.
        """
        schedule = self.client("scheduler").get_schedule(GroupName=group, Name=name)
        if schedule.get("State", "ENABLED") != "ENABLED":
            raise ScheduleDisabledError(f"Firing schedule {group}/{name} failed: it is {schedule['State']}.")
        target = schedule["Target"]
        values = {
            "schedule-arn": schedule["Arn"],
            "scheduled-time": f"{scheduled_at or dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
            "execution-id": str(uuid.uuid4()),
            "attempt-number": "1",
        }
        payload = _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), target.get("Input", "{}"))
        may_invoke = Need("lambda:InvokeFunction", target["Arn"])
        Gate(ACCOUNT_ID).require(role_name(target["RoleArn"]), may_invoke, self.region)
        answer = self.client("lambda").invoke(
            FunctionName=target["Arn"], InvocationType="Event", Payload=payload.encode()
        )
        return str(answer.get("DurableExecutionArn") or "")

    def _control(self, request: Request) -> Response:
        match request.method, request.path.removeprefix(LOCAL_PREFIX).split("/"):
            case "GET", ["health"]:
                return json_answer({"status": "ok", "region": self.region, "account_id": ACCOUNT_ID})
            case "GET", ["code", token]:
                archive = self._lambda.archive(token)
                return archive_answer(archive) if archive is not None else json_answer({"error": "unknown"}, 404)
            case _, ["responses", token]:
                return self._desk.answer(request, token)
            case "POST", ["fire"]:
                return self._fire_by_request(request)
        return json_answer({"error": f"{request.method} {request.path} is not an endpoint of the local cloud."}, 404)

    def _fire_by_request(self, request: Request) -> Response:
        try:
            wanted = json.loads(request.get_data(cache=True))
            return json_answer({"execution_arn": self.fire(wanted["group"], wanted["name"])})
        except (ValueError, KeyError, TypeError) as error:
            message = f'The body must be {{"group": ..., "name": ...}}: {type(error).__name__}: {error}'
            return json_answer({"error": message}, 400)
        except ScheduleDisabledError as error:
            return json_answer({"error": str(error)}, 409)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            return json_answer({"error": str(error)}, status)

    def _tags_of(self, arn: str) -> Mapping[str, str]:
        return self.elasticache.tags_of(arn) or self.memorydb.tags_of(arn)

    def _keep_log(self, group: str, stream: str, events: Sequence[LogEvent]) -> bool:
        backend = logs_backends[ACCOUNT_ID][self.region]
        with self._logs.lock:
            if group not in backend.groups:
                return False
            backend.ensure_log_stream(group, stream)
            backend.put_log_events(group, stream, [{"timestamp": ms, "message": text} for ms, text in events])
        return True

    def _close_clients(self) -> None:
        for client in self._clients.values():
            client.close()


def _reset_moto() -> None:
    BackendDict.reset()
    reset_model_data()
