"""The functions of the rules, in Lambda: each with its versions, and the alias that names the one in use.

A rule's function runs the prototype's deployed code and layers and mirrors its settings, so that these are written
once, in the template.

Facts that this rests on: "Configuring Lambda durable functions" (a function is made durable or never is, and an
invocation must be qualified), "Lambda function states" (while a function is made or updated nothing else can change
it), and the Lambda API reference as in botocore 1.44.5.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from rdbkeeper.aws.errors import DENIED, DENIED_HINT, PASSING, code_of, tolerated, translated
from rdbkeeper.aws.fleet_errors import FAMILY, not_ours
from rdbkeeper.aws.function_settings import creation_arguments, read_settings, update_arguments
from rdbkeeper.domain.errors import FleetDenied, FleetError, FleetRefused, FleetUnavailable
from rdbkeeper.domain.fleet.parts import FunctionFound, FunctionSettings, Version
from rdbkeeper.domain.fleet.settings import ALIAS, FleetSettings
from rdbkeeper.ports import Record

LATEST = "$LATEST"
_GONE = "ResourceNotFoundException"
_BUSY = "ResourceConflictException"
_EVERY_SECOND = {"Delay": 1, "MaxAttempts": 60}
# The first function in a subnet waits for its network interface: "about a minute" ("Configuring a Lambda function to
# access resources in a VPC"), and that of a version for another.
_MOST_ATTEMPTS_IN_A_NETWORK = 240


class Functions:
    """The fleet's functions over a client of Lambda."""

    def __init__(self, client: Callable[[str], Any], settings: FleetSettings) -> None:
        self._client = client
        self._settings = settings

    # ------------------------------------------------------------------ look

    def list(self, owners: Mapping[str, str]) -> dict[str, FunctionFound]:
        """Every function that `owners` names, or that has a name of a rule's; where aliases point is left open.

        One that `owners` does not name is asked for its own tags.
        """
        latest: dict[str, Record] = {}
        versions: dict[str, list[Version]] = defaultdict(list)
        with translated(FAMILY, f"Listing the functions of the stack {self._settings.stack}"):
            pages = self._client("lambda").get_paginator("list_functions").paginate(FunctionVersion="ALL")
            for configuration in (one for page in pages for one in page["Functions"]):
                name = configuration["FunctionName"]
                if name not in owners and not name.startswith(self._settings.function_name("")):
                    continue
                if configuration["Version"] == LATEST:
                    latest[name] = configuration
                else:
                    versions[name].append(_read_version(configuration))
        found = {}
        for name, configuration in latest.items():
            rule = owners.get(name)
            if rule is None:
                tags = self._find_tags(configuration)
                if tags is None:  # removed while it was being looked at
                    continue
                rule = self._settings.find_rule(tags)
            found[name] = _read_function(configuration, rule, versions[name])
        return found

    def find(self, rule_name: str) -> dict[str, FunctionFound]:
        """The rule's function, or nothing; with where its alias points."""
        name = self._settings.function_name(rule_name)
        function = self._find(name)
        if function is None:
            return {}
        rule = self._settings.find_rule(_tags(function))
        configuration = function["Configuration"]
        if rule is None:
            return {name: _read_function(configuration, None, [])}
        with translated(FAMILY, f"Listing the versions of {name}"):
            pages = self._client("lambda").get_paginator("list_versions_by_function").paginate(FunctionName=name)
            try:
                listed = [one for page in pages for one in page["Versions"] if one["Version"] != LATEST]
            except ClientError as error:
                if code_of(error) == _GONE:
                    return {}
                raise
        versions = [_read_version(one) for one in listed]
        return {name: _read_function(configuration, rule, versions, self._find_alias_version(name))}

    def find_ours(self, rule_name: str) -> Record | None:
        """The rule's function as GetFunction shows it, or None. Raises NotOurs when it is somebody else's."""
        name = self._settings.function_name(rule_name)
        function = self._find(name)
        if function is not None and self._settings.find_rule(_tags(function)) != rule_name:
            raise not_ours("a function", name, rule_name)
        return function

    def get_ours(self, rule_name: str) -> Record:
        """The rule's function as GetFunction shows it. Raises FleetRefused when there is none."""
        function = self.find_ours(rule_name)
        if function is None:
            raise FleetRefused(
                f"There is no function {self._settings.function_name(rule_name)}.",
                hint="It was removed meanwhile; it is made again when the rules are reconciled.",
            )
        return function

    # ---------------------------------------------------------------- change

    def make(self, rule_name: str, settings: FunctionSettings, code: bytes) -> None:
        """Make the rule's function, and wait until it can be published."""
        name = self._settings.function_name(rule_name)
        with translated(FAMILY, f"Making the function {name}"):
            try:
                self._client("lambda").create_function(
                    FunctionName=name,
                    Code={"ZipFile": code},
                    Tags=self._settings.tags(rule_name),
                    **creation_arguments(settings),
                )
            except ClientError as error:
                if code_of(error) != _BUSY or self.find_ours(rule_name) is None:
                    raise  # otherwise an earlier attempt made it
        self._wait("function_active_v2", name, in_network=bool(settings.subnet_ids))

    def update(self, rule_name: str, settings: FunctionSettings, code: bytes | None, *, configure: bool) -> None:
        """Give the rule's function this code, if any, and these settings; wait until it can be published."""
        name = self._settings.function_name(rule_name)
        self._settle(name, self.get_ours(rule_name))
        client = self._client("lambda")
        if code is not None:
            with translated(FAMILY, f"Updating the code of {name}"):
                client.update_function_code(FunctionName=name, ZipFile=code, Architectures=[settings.architecture])
            self._wait("function_updated_v2", name)
        if configure:
            with translated(FAMILY, f"Updating the settings of {name}"):
                client.update_function_configuration(FunctionName=name, **update_arguments(settings))
            self._wait("function_updated_v2", name, in_network=bool(settings.subnet_ids))

    def release(self, rule_name: str) -> int:
        """Publish a version, wait until it can run, point the alias there; returns its number."""
        name = self._settings.function_name(rule_name)
        function = self.get_ours(rule_name)
        self._settle(name, function)
        with translated(FAMILY, f"Publishing a version of {name}"):
            version = str(self._client("lambda").publish_version(FunctionName=name)["Version"])
        in_network = _is_in_network(function["Configuration"])
        self._wait("published_version_active", name, in_network=in_network, Qualifier=version)
        self._point_alias(name, version)
        return int(version)

    def remove_version(self, rule_name: str, version: int) -> bool:
        """Remove a version; False when Lambda will not, as the alias points there or something else goes on."""
        name = self._settings.function_name(rule_name)
        with translated(FAMILY, f"Removing version {version} of {name}"):
            try:
                self._client("lambda").delete_function(FunctionName=name, Qualifier=str(version))
            except ClientError as error:
                if code_of(error) not in (_BUSY, _GONE):
                    raise
                return code_of(error) == _GONE
        return True

    def remove(self, rule_name: str) -> None:
        """Remove the function with its versions and alias; one that is gone is no error."""
        name = self._settings.function_name(rule_name)
        if self.find_ours(rule_name) is None:
            return
        with translated(FAMILY, f"Removing the function {name}"), tolerated(_GONE):
            self._client("lambda").delete_function(FunctionName=name)

    # --------------------------------------------------------------- private

    def _find(self, name: str) -> Record | None:
        with translated(FAMILY, f"Looking for the function {name}"), tolerated(_GONE):
            function: Record = self._client("lambda").get_function(FunctionName=name)
            # Removed already, and shown until its last executions have ended (its StateReasonCode is
            # DrainingDurableExecutions).
            return None if function["Configuration"].get("State") == "Deleting" else function
        return None

    def _find_tags(self, configuration: Record) -> dict[str, str] | None:
        # A listing of all versions ends each ARN with one; tags are the whole function's.
        arn = ":".join(configuration["FunctionArn"].split(":")[:7])
        with translated(FAMILY, f"Reading the tags of the function {configuration['FunctionName']}"), tolerated(_GONE):
            tags: dict[str, str] = self._client("lambda").list_tags(Resource=arn)["Tags"]
            return tags
        return None

    def _find_alias_version(self, name: str) -> int:
        with translated(FAMILY, f"Looking for the alias {ALIAS} of {name}"), tolerated(_GONE):
            version: str = self._client("lambda").get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"]
            return 0 if version == LATEST else int(version)
        return 0

    def _point_alias(self, name: str, version: str) -> None:
        client = self._client("lambda")
        with translated(FAMILY, f"Pointing the alias {ALIAS} of {name}"):
            try:
                client.update_alias(FunctionName=name, Name=ALIAS, FunctionVersion=version)
            except ClientError as error:
                if code_of(error) != _GONE:
                    raise
                self._create_alias(name, version)

    def _create_alias(self, name: str, version: str) -> None:
        client = self._client("lambda")
        try:
            client.create_alias(FunctionName=name, Name=ALIAS, FunctionVersion=version)
        except ClientError as error:
            if code_of(error) != "ResourceConflictException":
                raise
            # Somebody else, who makes the same, was faster.
            client.update_alias(FunctionName=name, Name=ALIAS, FunctionVersion=version)

    def _settle(self, name: str, function: Record) -> None:
        """Wait for what an attempt that was cut off left going."""
        configuration = function["Configuration"]
        in_network = _is_in_network(configuration)
        if configuration.get("State") == "Pending":
            self._wait("function_active_v2", name, in_network=in_network)
        if configuration.get("LastUpdateStatus") == "InProgress":
            self._wait("function_updated_v2", name, in_network=in_network)

    def _wait(self, waiter: str, name: str, *, in_network: bool = False, **more: str) -> None:
        most = max(_EVERY_SECOND["MaxAttempts"], _MOST_ATTEMPTS_IN_A_NETWORK if in_network else 0)
        pace = {**_EVERY_SECOND, "MaxAttempts": most}
        with translated(FAMILY, f"Waiting for the function {name}"):
            try:
                self._client("lambda").get_waiter(waiter).wait(FunctionName=name, WaiterConfig=pace, **more)
            except WaiterError as error:
                raise _why_not_ready(name, error.last_response) from error


def _is_in_network(configuration: Record) -> bool:
    return bool(read_settings(configuration).subnet_ids)


def _read_version(configuration: Record) -> Version:
    return Version(int(configuration["Version"]), read_settings(configuration), configuration["CodeSha256"])


def _read_function(
    configuration: Record, rule: str | None, versions: list[Version], alias_version: int | None = None
) -> FunctionFound:
    return FunctionFound(
        configuration["FunctionName"],
        rule,
        read_settings(configuration),
        configuration["CodeSha256"],
        tuple(sorted(versions, key=lambda version: version.number)),
        alias_version,
    )


def _tags(function: Record) -> dict[str, str]:
    """A function's tags. Raises FleetDenied when they are withheld: they are not to be taken for missing."""
    problem = function.get("TagsError")
    if problem:
        raise FleetDenied(
            f"Reading the tags of the function {function['Configuration']['FunctionName']} failed: "
            f"{problem['ErrorCode']}.",
            hint=DENIED_HINT,
        )
    tags: dict[str, str] = function.get("Tags", {})
    return tags


def _why_not_ready(name: str, answer: Record) -> FleetError:
    """Why waiting for a function ended badly, told from the last answer."""
    code = answer.get("Error", {}).get("Code", "")
    if code in DENIED:
        return FleetDenied(f"Waiting for the function {name} failed: {code}.", hint=DENIED_HINT)
    configuration = answer.get("Configuration", answer)
    reason = configuration.get("StateReason") or configuration.get("LastUpdateStatusReason")
    if "Failed" in (configuration.get("State"), configuration.get("LastUpdateStatus")):
        return FleetRefused(
            f"The function {name} cannot be run: {str(reason or 'Lambda does not say why').rstrip('.')}.",
            hint="Open it in the Lambda console: its state says more.",
        )
    if code and code not in PASSING:
        return FleetRefused(f"Waiting for the function {name} failed: {code}.", hint="See it in the Lambda console.")
    return FleetUnavailable(f"The function {name} is not ready yet.", hint="The next attempt goes on from here.")
