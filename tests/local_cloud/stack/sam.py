"""What SAM makes of a function beside the function: its version and alias, its schedules and the roles for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.local_cloud.template_reader import Resource, Template, TemplateError, refuse_others

# As SAM passes them on to the schedule, and to its target.
_OF_SCHEDULE = (
    "Description",
    "EndDate",
    "GroupName",
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "StartDate",
    "State",
)
_OF_TARGET = ("Input", "RetryPolicy")
_SAM_ONLY = ("AutoPublishAlias", "AutoPublishAliasAllProperties", "Events", "VersionDeletionPolicy")
_OWN = {"FlexibleTimeWindow", "Name", "OmitName", "PermissionsBoundary", "RoleArn"}


def expand_sam(template: Template) -> Template:
    """Return the template with what its functions' events and aliases stand for as resources of their own.

    A version and an alias are named as SAM lets a template refer to them: F.Version and F.Alias for the function F.
    """
    resources: dict[str, Resource] = {}
    for name, resource in template.resources.items():
        made = [resource]
        if resource.type == "AWS::Serverless::Function":
            made = _expanded(resource, template)
        for one in made:
            if one.logical_id in resources or (one.logical_id != name and one.logical_id in template.resources):
                raise TemplateError(f"SAM makes {one.logical_id} of {name}, but there is one already.")
            resources[one.logical_id] = one
    return replace(template, resources=resources)


def _expanded(function: Resource, template: Template) -> list[Resource]:
    properties = {key: value for key, value in function.properties.items() if key not in _SAM_ONLY}
    made = [replace(function, properties=properties)]
    invoked: Mapping[str, Any] = {"Fn::GetAtt": [function.logical_id, "Arn"]}
    if "AutoPublishAlias" in function.properties:
        made += _published(function, properties, template)
        invoked = {"Ref": f"{function.logical_id}.Alias"}
    for name, event in function.properties.get("Events", {}).items():
        made += _schedule(function, function.logical_id + name, event, invoked)
    return made


def _published(function: Resource, properties: Mapping[str, Any], template: Template) -> list[Resource]:
    """Return the function's version and alias. SAM makes a new version for new code and for another text here.

    The text is compared as it is written: a parameter or another resource that it refers to may change unseen.
    """
    name, asked = function.logical_id, function.properties
    everything = asked.get("AutoPublishAliasAllProperties", False)
    text = properties if everything else {key: properties.get(key) for key in ("Environment", "MemorySize")}
    triggers: list[Any] = [_digest(text), {"Fn::GetAtt": [name, "ContentDigest"]}]
    for layer in asked.get("Layers", ()) if everything else ():
        found = template.resources.get(layer.get("Ref", "")) if isinstance(layer, Mapping) else None
        if found and found.properties.get("PublishLambdaVersion"):
            triggers += [_digest(found.properties), {"Fn::GetAtt": [found.logical_id, "ContentDigest"]}]
    version = {"FunctionName": {"Ref": name}, "Triggers": triggers}
    alias = {
        "Name": asked["AutoPublishAlias"],
        "FunctionName": {"Ref": name},
        "FunctionVersion": {"Fn::GetAtt": [f"{name}.Version", "Version"]},
    }
    policy = asked.get("VersionDeletionPolicy", "Retain")
    return [
        replace(
            _resource(function, f"{name}.Version", "AWS::Lambda::Version", version),
            deletion_policy=policy,
            update_replace_policy=policy,
        ),
        _resource(function, f"{name}.Alias", "AWS::Lambda::Alias", alias),
    ]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _schedule(
    function: Resource, logical_id: str, event: Mapping[str, Any], invoked: Mapping[str, Any]
) -> list[Resource]:
    refuse_others(f"event {logical_id}", event, {"Type", "Properties"})
    if event["Type"] != "ScheduleV2":
        raise TemplateError(f"Event {logical_id} is a {event['Type']}; only ScheduleV2 is known here.")
    asked = event["Properties"]
    refuse_others(f"event {logical_id}", asked, {*_OF_SCHEDULE, *_OF_TARGET, *_OWN})
    made = []
    role_arn = asked.get("RoleArn")
    if role_arn is None:
        role = _role(function, logical_id, invoked, asked)
        made.append(role)
        role_arn = {"Fn::GetAtt": [role.logical_id, "Arn"]}
    properties = {key: asked[key] for key in _OF_SCHEDULE if key in asked}
    if not asked.get("OmitName"):
        properties["Name"] = asked.get("Name", logical_id)
    properties["FlexibleTimeWindow"] = asked.get("FlexibleTimeWindow", {"Mode": "OFF"})
    target = {key: asked[key] for key in _OF_TARGET if key in asked}
    properties["Target"] = {"Arn": invoked, "RoleArn": role_arn, **target}
    return [*made, _resource(function, logical_id, "AWS::Scheduler::Schedule", properties)]


def _role(function: Resource, logical_id: str, invoked: Mapping[str, Any], asked: Mapping[str, Any]) -> Resource:
    trust = {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Principal": {"Service": ["scheduler.amazonaws.com"]}}
    allowed = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": invoked}
    # SAM writes no version into this policy; moto takes none without.
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    properties = {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "Policies": [{"PolicyName": f"{logical_id}LambdaPolicy", "PolicyDocument": policy}],
    }
    if "PermissionsBoundary" in asked:
        properties["PermissionsBoundary"] = asked["PermissionsBoundary"]
    return _resource(function, f"{logical_id}Role", "AWS::IAM::Role", properties)


def _resource(function: Resource, logical_id: str, kind: str, properties: Mapping[str, Any]) -> Resource:
    return Resource(
        logical_id=logical_id,
        type=kind,
        properties=properties,
        metadata={},
        depends_on=(),
        condition=function.condition,
        deletion_policy=function.deletion_policy,
        update_replace_policy=function.update_replace_policy,
    )
