"""Makes and removes what a rule runs on: its log group, function, version, alias and schedules.

A rule's function runs the prototype's deployed code and layers and mirrors its settings, so that these are written
once, in the template. It differs in its name, its log group, and one environment variable.

Facts that this rests on: "Configuring Lambda durable functions" (durable settings can only be given at creation, and
an invocation must be qualified) and the API references of Lambda and EventBridge Scheduler as in botocore 1.44.5.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from rdbkeeper.aws.code_package import fetch_code
from rdbkeeper.aws.errors import DENIED, DENIED_HINT, Family, code_of, translated
from rdbkeeper.domain.errors import FleetDenied, FleetRefused, FleetUnavailable, NotOurs
from rdbkeeper.domain.fleet import ALIAS, RULE_VARIABLE, FleetSettings, schedule_names
from rdbkeeper.domain.rule import Rule
from rdbkeeper.ports import Provisioned, Record

# What a function takes from the prototype as it is; the rest is its own or follows from it.
MIRRORED = (
    "Runtime",
    "Role",
    "Handler",
    "Timeout",
    "MemorySize",
    "Architectures",
    "EphemeralStorage",
    "DurableConfig",
    "KMSKeyArn",
)
GOING = ["RUNNING", "PAUSING", "PAUSED"]
_EVERY_SECOND = {"Delay": 1, "MaxAttempts": 60}
_FAMILY = Family(FleetDenied, FleetUnavailable, FleetRefused)


class AwsFleet:
    """The fleet over clients of Lambda, CloudWatch Logs and EventBridge Scheduler."""

    def __init__(self, client: Callable[[str], Any], settings: FleetSettings) -> None:
        self._client = client
        self._settings = settings

    def check(self, rule: Rule) -> None:
        self._settings.check_function_name(rule.name)
        self._find_ours(rule.name)

    # ------------------------------------------------------------- provision

    def provision(self, rule: Rule) -> Provisioned:
        function = self._settings.function_name(rule.name)
        prototype = self._get_prototype()
        log_group = self._make_log_group(rule.name)
        self._make_function(function, rule.name, prototype, log_group)
        version = self._publish(function)
        alias_arn = self._point_alias(function, version)
        names = self._make_schedules(rule, alias_arn)
        return Provisioned(function, version, log_group, names)

    def _get_prototype(self) -> Record:
        with translated(_FAMILY, "Reading the prototype function"):
            return dict(self._client("lambda").get_function(FunctionName=self._settings.prototype_function))

    def _make_log_group(self, rule_name: str) -> str:
        name = self._settings.log_group(rule_name)
        logs = self._client("logs")
        with translated(_FAMILY, f"Making the log group {name}"):
            try:
                logs.create_log_group(logGroupName=name, tags=self._settings.tags(rule_name))
            except ClientError as error:
                if code_of(error) != "ResourceAlreadyExistsException":  # an earlier rule of that name left it
                    raise
            logs.put_retention_policy(logGroupName=name, retentionInDays=self._settings.log_retention_days)
        return name

    def _make_function(self, function: str, rule_name: str, prototype: Record, log_group: str) -> None:
        client = self._client("lambda")
        wanted = _function_like(prototype["Configuration"], rule_name, log_group)
        with translated(_FAMILY, f"Making the function {function}"):
            try:
                client.create_function(
                    FunctionName=function,
                    Code={"ZipFile": fetch_code(prototype, client.meta.endpoint_url)},
                    Tags=self._settings.tags(rule_name),
                    **wanted,
                )
            except ClientError as error:
                if code_of(error) != "ResourceConflictException" or not self._find_ours(rule_name):
                    raise  # otherwise an earlier attempt made it
            _wait(client, "function_active_v2", function)

    def _publish(self, function: str) -> str:
        with translated(_FAMILY, f"Publishing a version of {function}"):
            client = self._client("lambda")
            version = str(client.publish_version(FunctionName=function)["Version"])
            _wait(client, "published_version_active", function, Qualifier=version)
            return version

    def _point_alias(self, function: str, version: str) -> str:
        client = self._client("lambda")
        with translated(_FAMILY, f"Pointing the alias {ALIAS} of {function}"):
            try:
                answer = client.create_alias(FunctionName=function, Name=ALIAS, FunctionVersion=version)
            except ClientError as error:
                if code_of(error) != "ResourceConflictException":
                    raise
                answer = client.update_alias(FunctionName=function, Name=ALIAS, FunctionVersion=version)
        return str(answer["AliasArn"])

    def _make_schedules(self, rule: Rule, alias_arn: str) -> tuple[str, ...]:
        names = schedule_names(rule.name)
        expressions = rule.cycle.expressions()
        for name, expression in zip(names, expressions, strict=False):
            with translated(_FAMILY, f"Making the schedule {name}"):
                try:
                    self._client("scheduler").create_schedule(**self._schedule(rule, name, expression, alias_arn))
                except ClientError as error:
                    if code_of(error) != "ConflictException":
                        raise
                    # Only this stack writes to its group, and a row in the table stood for the name before.
                    self._client("scheduler").update_schedule(**self._schedule(rule, name, expression, alias_arn))
        return names[: len(expressions)]

    def _schedule(self, rule: Rule, name: str, expression: str, alias_arn: str) -> Record:
        # Scheduler puts the time for which it fired in place of the word in angle brackets.
        payload = {"rule": rule.name, "scheduled_at": "<aws.scheduler.scheduled-time>"}
        return {
            "Name": name,
            "GroupName": self._settings.schedule_group,
            "Description": f"Runs the rule {rule.name} of the stack {self._settings.stack}",
            "ScheduleExpression": expression,
            "ScheduleExpressionTimezone": rule.cycle.time_zone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED",
            "Target": {
                "Arn": alias_arn,
                "RoleArn": self._settings.scheduler_role_arn,
                "Input": json.dumps(payload),
                "RetryPolicy": {"MaximumRetryAttempts": 5, "MaximumEventAgeInSeconds": 3600},
            },
        }

    # ---------------------------------------------------------------- remove

    def remove_schedules(self, rule_name: str) -> None:
        for name in schedule_names(rule_name):
            with translated(_FAMILY, f"Removing the schedule {name}"):
                try:
                    self._client("scheduler").delete_schedule(Name=name, GroupName=self._settings.schedule_group)
                except ClientError as error:
                    if code_of(error) != "ResourceNotFoundException":
                        raise

    def stop_runs(self, rule_name: str) -> int:
        function = self._settings.function_name(rule_name)
        if not self._find_ours(rule_name):
            return 0
        client = self._client("lambda")
        with translated(_FAMILY, f"Stopping the runs of {function}"):
            # Without a qualifier it lists the executions of all versions (its text in botocore 1.44.5).
            pages = client.get_paginator("list_durable_executions_by_function").paginate(
                FunctionName=function, Statuses=GOING
            )
            going = [run["DurableExecutionArn"] for page in pages for run in page.get("DurableExecutions", ())]
            return sum(_stop(client, execution) for execution in going)

    def remove_function(self, rule_name: str) -> None:
        function = self._settings.function_name(rule_name)
        if not self._find_ours(rule_name):
            return
        with translated(_FAMILY, f"Removing the function {function}"):
            try:
                self._client("lambda").delete_function(FunctionName=function)
            except ClientError as error:
                if code_of(error) != "ResourceNotFoundException":
                    raise

    # --------------------------------------------------------------- private

    def _find_ours(self, rule_name: str) -> bool:
        """True when the rule's function exists. Raises NotOurs when one of its name is somebody else's."""
        function = self._settings.function_name(rule_name)
        with translated(_FAMILY, f"Looking for the function {function}"):
            try:
                tags = self._client("lambda").get_function(FunctionName=function).get("Tags", {})
            except ClientError as error:
                if code_of(error) == "ResourceNotFoundException":
                    return False
                raise
        if any(tags.get(name) != value for name, value in self._settings.tags(rule_name).items()):
            raise NotOurs(
                f"There is a function {function} that this stack's rule {rule_name} did not make.",
                field="name",
                hint="It lacks the stack's tags, so it is left alone. Choose another rule name, or remove it yourself.",
            )
        return True


def _stop(client: Any, execution: str) -> bool:
    """Stop an execution; False when it has ended by itself meanwhile."""
    try:
        client.stop_durable_execution(DurableExecutionArn=execution)
    except ClientError as error:
        if code_of(error) != "ResourceNotFoundException":
            raise
        return False
    return True


def _function_like(prototype: Record, rule_name: str, log_group: str) -> Record:
    """The settings of a rule's function: the prototype's, with its own log group and the rule's name."""
    settings = {name: prototype[name] for name in MIRRORED if prototype.get(name)}
    variables = {**prototype.get("Environment", {}).get("Variables", {}), RULE_VARIABLE: rule_name}
    return {
        **settings,
        "Description": f"Copies new backups for the rule {rule_name}",
        "Environment": {"Variables": variables},
        "Layers": [layer["Arn"] for layer in prototype.get("Layers", ())],
        "LoggingConfig": {**prototype.get("LoggingConfig", {}), "LogGroup": log_group},
    }


def _wait(client: Any, waiter: str, function: str, **more: str) -> None:
    """Wait until Lambda can run a function: a new one is pending for a few seconds. Raises FleetRefused."""
    try:
        client.get_waiter(waiter).wait(FunctionName=function, WaiterConfig=_EVERY_SECOND, **more)
    except WaiterError as error:
        code = error.last_response.get("Error", {}).get("Code", "")
        if code in DENIED:
            raise FleetDenied(f"Waiting for the function {function} failed: {code}.", hint=DENIED_HINT) from error
        raise FleetRefused(
            f"Making the function {function}: it did not become active.",
            hint="Open it in the Lambda console: its state says why. Then create the rule again.",
        ) from error
