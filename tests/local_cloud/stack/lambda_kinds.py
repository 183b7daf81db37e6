"""Functions with their versions and aliases, and layers, as SAM makes them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from tests.local_cloud.code_packages import zip_folder, zip_layer
from tests.local_cloud.stack.parts import Kind, Made, Place, Properties, StackError, Standing, Wanted, keys
from tests.local_cloud.template_reader import TemplateError

_SETTLED_WITHIN_S = 30.0
# What SAM puts on every function.
_TAGS = {"lambda:createdBy": "SAM"}


def _settings(properties: Properties) -> dict[str, Any]:
    """Return the function's whole configuration: what the template leaves out has its default."""
    name = properties["FunctionName"]
    settings: dict[str, Any] = {
        "Runtime": properties["Runtime"],
        "Role": properties["Role"],
        "Handler": properties["Handler"],
        "Description": properties.get("Description", ""),
        "Timeout": int(properties.get("Timeout", 3)),
        "MemorySize": int(properties.get("MemorySize", 128)),
        "Layers": properties.get("Layers", []),
        "Environment": {"Variables": _as_text(properties.get("Environment", {}).get("Variables", {}))},
        "EphemeralStorage": {"Size": int(properties.get("EphemeralStorage", {}).get("Size", 512))},
        "TracingConfig": {"Mode": properties.get("Tracing", "PassThrough")},
        "LoggingConfig": properties.get("LoggingConfig", {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}),
    }
    if "DurableConfig" in properties:
        settings["DurableConfig"] = {key: int(value) for key, value in properties["DurableConfig"].items()}
    return settings


def _as_text(variables: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in variables.items()}


def _architectures(properties: Properties) -> list[str]:
    return list(properties.get("Architectures", ["x86_64"]))


def _make_function(place: Place, wanted: Wanted) -> Made:
    client, properties = place.client("lambda"), wanted.properties
    name = properties["FunctionName"]
    answer = client.create_function(
        FunctionName=name,
        Code={"ZipFile": wanted.content},
        Architectures=_architectures(properties),
        Tags=_TAGS | _as_text(properties.get("Tags", {})),
        **_settings(properties),
    )
    _wait_until_settled(client, name)
    return _made_function(wanted, answer["FunctionArn"])


def _made_function(wanted: Wanted, arn: str) -> Made:
    return Made(wanted.properties["FunctionName"], {"Arn": arn, "ContentDigest": _digest(wanted.content)})


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _change_function(place: Place, standing: Standing, wanted: Wanted) -> Made:
    client, before, after = place.client("lambda"), standing.wanted, wanted.properties
    name = after["FunctionName"]
    if ("DurableConfig" in before.properties) != ("DurableConfig" in after):
        raise StackError(f"{name} would be replaced: DurableConfig can only be given when a function is made.")
    code = (before.content, _architectures(before.properties)) != (wanted.content, _architectures(after))
    if code:
        client.update_function_code(FunctionName=name, ZipFile=wanted.content, Architectures=_architectures(after))
        _wait_until_settled(client, name)
    if _settings(before.properties) != _settings(after):
        client.update_function_configuration(FunctionName=name, **_settings(after))
        _wait_until_settled(client, name)
    old_tags, tags = _as_text(before.properties.get("Tags", {})), _as_text(after.get("Tags", {}))
    arn = standing.made.attributes["Arn"]
    if gone := sorted(set(old_tags) - set(tags)):
        client.untag_resource(Resource=arn, TagKeys=gone)
    if tags != old_tags:
        client.tag_resource(Resource=arn, Tags=tags)
    return _made_function(wanted, arn)


def _wait_until_settled(client: Any, function_name: str) -> None:
    deadline = time.monotonic() + _SETTLED_WITHIN_S
    while True:
        found = client.get_function_configuration(FunctionName=function_name)
        state = (found["State"], found.get("LastUpdateStatus", "InProgress"))
        if state == ("Active", "Successful"):
            return
        if "Failed" in state or time.monotonic() > deadline:
            reason = found.get("StateReason") or found.get("LastUpdateStatusReason", "no reason given")
            raise StackError(f"Function {function_name} is {' and '.join(state)}: {reason}.")
        time.sleep(0.05)


def _remove_function(place: Place, standing: Standing) -> None:
    place.client("lambda").delete_function(FunctionName=standing.made.ref)


def _make_version(place: Place, wanted: Wanted) -> Made:
    client, name = place.client("lambda"), wanted.properties["FunctionName"]
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    known = [version["Version"] for page in pages for version in page["Versions"]]
    published = client.publish_version(FunctionName=name)
    if published["Version"] in known:
        # CloudFormation does not take for a new version what Lambda answers when nothing has changed.
        raise StackError(f"A version of {name} exists ({published['Version']}) that is what would be published.")
    client.get_waiter("published_version_active").wait(
        FunctionName=name, Qualifier=published["Version"], WaiterConfig={"Delay": 1}
    )
    return Made(published["FunctionArn"], {"Version": published["Version"], "FunctionArn": published["FunctionArn"]})


def _remove_version(place: Place, standing: Standing) -> None:
    name, version = standing.wanted.properties["FunctionName"], standing.made.attributes["Version"]
    place.client("lambda").delete_function(FunctionName=name, Qualifier=version)


def _make_alias(place: Place, wanted: Wanted) -> Made:
    arn = place.client("lambda").create_alias(**wanted.properties)["AliasArn"]
    return Made(arn, {"AliasArn": arn})


def _change_alias(place: Place, standing: Standing, wanted: Wanted) -> Made:
    place.client("lambda").update_alias(**wanted.properties)
    return standing.made


def _remove_alias(place: Place, standing: Standing) -> None:
    properties = standing.wanted.properties
    place.client("lambda").delete_alias(FunctionName=properties["FunctionName"], Name=properties["Name"])


def _layer_content(place: Place, properties: Properties) -> bytes:
    return zip_layer(place.root / properties["ContentUri"])


def _make_layer(place: Place, wanted: Wanted) -> Made:
    properties = wanted.properties
    method = str(wanted.resource.metadata.get("BuildMethod", ""))
    if method != "makefile" and not method.startswith("python"):
        raise TemplateError(f"{wanted.logical_id} has no BuildMethod of Python or make: it would be uploaded unbuilt.")
    answer = place.client("lambda").publish_layer_version(
        LayerName=properties["LayerName"],
        Description=properties.get("Description", ""),
        Content={"ZipFile": wanted.content},
        CompatibleRuntimes=properties.get("CompatibleRuntimes", []),
        CompatibleArchitectures=properties.get("CompatibleArchitectures", []),
    )
    return Made(answer["LayerVersionArn"], {"ContentDigest": _digest(wanted.content)})


def _remove_layer(place: Place, standing: Standing) -> None:
    name, version = standing.made.ref.split(":")[-2:]
    place.client("lambda").delete_layer_version(LayerName=name, VersionNumber=int(version))


FUNCTION = Kind(
    keys(
        "FunctionName Description Handler Role Runtime Architectures CodeUri Timeout MemorySize Layers DurableConfig "
        "LoggingConfig Environment EphemeralStorage Tracing Tags"
    ),
    _make_function,
    _change_function,
    _remove_function,
    required=keys("FunctionName Handler Role Runtime CodeUri"),
    fixed=keys("FunctionName"),
    content=lambda place, properties: zip_folder(place.root / properties["CodeUri"]),
)
VERSION = Kind(
    keys("FunctionName Triggers"),
    _make_version,
    lambda place, _, wanted: _make_version(place, wanted),
    _remove_version,
    required=keys("FunctionName"),
    fixed=keys("FunctionName"),
)
ALIAS = Kind(
    keys("FunctionName FunctionVersion Name"),
    _make_alias,
    _change_alias,
    _remove_alias,
    required=keys("FunctionName FunctionVersion Name"),
    fixed=keys("FunctionName Name"),
)
LAYER = Kind(
    keys(
        "LayerName Description ContentUri CompatibleRuntimes CompatibleArchitectures RetentionPolicy "
        "PublishLambdaVersion"
    ),
    _make_layer,
    lambda place, _, wanted: _make_layer(place, wanted),
    _remove_layer,
    required=keys("LayerName ContentUri"),
    content=_layer_content,
)
