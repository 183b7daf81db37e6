"""Where the local cloud finds functions: moto's own objects and what is kept beside them, put together."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moto.awslambda.models import LambdaAlias, LambdaBackend, LambdaFunction, lambda_backends

from tests.local_cloud.code_store import CodeStore
from tests.local_cloud.lambda_api import LATEST, FunctionRef, LambdaError, not_found, parse_function
from tests.local_cloud.lambda_records import FunctionRecord
from tests.local_cloud.sandbox import Program
from tests.local_cloud.sandbox_logs import LoggingSettings


@dataclass(frozen=True)
class Target:
    """The version that an invocation is for."""

    program: Program
    invoked_arn: str
    is_qualified: bool
    state: str
    durable: Mapping[str, Any] | None


class Registry:
    """All functions of the account in the region. Whoever reads more than one thing of it holds `lock`."""

    def __init__(self, *, region: str, account_id: str, code: CodeStore) -> None:
        self.lock = threading.RLock()
        self.records: dict[str, FunctionRecord] = {}
        self.code = code
        self.region = region
        self._account_id = account_id
        # The service never gives a version's number twice, not even after the function was deleted and made again.
        self._highest_version: dict[str, int] = {}

    @property
    def backend(self) -> LambdaBackend:
        return lambda_backends[self._account_id][self.region]

    def aliases(self, name: str) -> dict[str, LambdaAlias]:
        """Return a function's aliases by their names."""
        return {alias.name: alias for alias in self.backend.list_aliases(name)}

    def is_durable(self, name: str) -> bool:
        """True when the function exists and is durable."""
        return name in self.records and self.records[name].latest.durable is not None

    def target_exists(self, name: str, qualifier: str | None) -> bool:
        """True when something can be invoked by this name and qualifier."""
        try:
            self.find_target(name, qualifier)
        except LambdaError:
            return False
        return True

    def ref(self, function: str, qualifier: str | None) -> FunctionRef:
        """Return the function that a request names."""
        return parse_function(function, qualifier, region=self.region, account_id=self._account_id)

    def record(self, name: str) -> FunctionRecord:
        """Return what is kept about a function; raises when it does not exist."""
        if name not in self.records:
            raise not_found(f"Function {name}")
        return self.records[name]

    def version_of(self, ref: FunctionRef) -> str:
        """Return the version that a name with a qualifier means: itself, or the one that the alias points to."""
        self.record(ref.name)
        if ref.qualifier in (None, LATEST):
            return LATEST
        alias = self.aliases(ref.name).get(str(ref.qualifier))
        version = str(alias.function_version if alias else ref.qualifier)
        self.record(ref.name).snapshot(version)
        return version

    def find_target(self, function: str, qualifier: str | None) -> Target:
        """Return what an invocation of this function and qualifier would run."""
        with self.lock:
            ref = self.ref(function, qualifier)
            version = self.version_of(ref)
            program = self.program(ref.name, version)
            snapshot = self.record(ref.name).snapshot(version)
            invoked_arn = self.arn(ref.name) + (f":{ref.qualifier}" if ref.qualifier else "")
            return Target(program, invoked_arn, ref.qualifier is not None, snapshot.state, snapshot.durable)

    def arn(self, name: str) -> str:
        """Return a function's ARN without a qualifier."""
        return f"arn:aws:lambda:{self.region}:{self._account_id}:function:{name}"

    def program(self, name: str, version: str) -> Program:
        """Return all that running a version needs, which during an update is what was there before it."""
        record = self.record(name)
        if version == LATEST and record.is_updating and record.replaced is not None:
            return record.replaced
        snapshot = record.snapshot(version)
        function = self.moto_function(name, version)
        logging = snapshot.logging
        return Program(
            name=name,
            version=version,
            revision_id=snapshot.revision_id,
            role=str(function.role),
            handler=str(function.handler),
            runtime=str(function.run_time),
            region=self.region,
            timeout_s=int(function.timeout),
            memory_mb=int(function.memory_size),
            environment=dict(function.environment_vars),
            logging=LoggingSettings(
                logging["LogGroup"],
                logging["LogFormat"],
                logging.get("ApplicationLogLevel"),
                logging.get("SystemLogLevel"),
            ),
            code=function.code_bytes,
            layers=self.code.layers_of(function),
        )

    def moto_function(self, name: str, version: str) -> LambdaFunction:
        """Return moto's own object for a version."""
        return self.backend.get_function(name, version)

    def published(self, name: str) -> list[LambdaFunction]:
        """Return a function's published versions, the newest last."""
        return [one for one in self.backend.list_versions_by_function(name) if str(one.version) != LATEST]

    def fingerprint(self, name: str) -> str:
        """Return what tells a function's code and settings, as they are now, from any others."""
        function, snapshot = self.moto_function(name, LATEST), self.record(name).latest
        described = function.get_configuration()
        passing = ("FunctionArn", "LastModified", "LastUpdateStatus", "State", "Version")
        settings = {key: value for key, value in described.items() if key not in passing}
        if not (settings.get("VpcConfig") or {}).get("SubnetIds"):
            settings.pop("VpcConfig", None)  # in no network, whether or not somebody has ever said so
        kept = {"durable": dict(snapshot.durable or {}), "logging": dict(snapshot.logging)}
        return json.dumps(settings | kept, sort_keys=True)

    def publish(self, name: str, description: str) -> LambdaFunction:
        """Return a new version of what the function is now, or its newest one when nothing has changed since."""
        published, fingerprint, record = self.published(name), self.fingerprint(name), self.record(name)
        if published and record.snapshot(str(published[-1].version)).fingerprint == fingerprint:
            return published[-1]
        # moto keeps its own account of what has changed, which leaves out settings that are kept here.
        self.moto_function(name, LATEST).code_or_config_updated = True
        version = self.backend.publish_version(name, description)
        assert version is not None  # the function exists
        number = max(int(version.version), self._highest_version.get(name, 0) + 1)
        self._highest_version[name] = number
        version.set_version(number)
        # moto looks here when it deletes the function, under the ARN that the version has by then.
        self.backend._lambdas._arns[version.function_arn] = version
        record.versions[str(number)] = record.latest.published(fingerprint)
        return version
