"""Roles and the policies that are managed apart from them."""

from __future__ import annotations

import json
from typing import Any

from tests.local_cloud.stack.parts import Kind, Made, Place, Properties, StackError, Standing, Wanted, keys

_MOST_VERSIONS = 5
_MOST_MANAGED = 10
# "IAM and AWS STS quotas": characters, white space not counted.
_LONGEST_MANAGED = 6_144
_LONGEST_OWN = 10_240


def _make_role(place: Place, wanted: Wanted) -> Made:
    client, properties = place.client("iam"), wanted.properties
    _check_quotas(wanted)
    name = properties.get("RoleName") or place.name_of(wanted.logical_id)
    others = {key: properties[key] for key in ("Description", "Path", "PermissionsBoundary") if key in properties}
    trust = json.dumps(properties["AssumeRolePolicyDocument"])
    answer = client.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **others)
    _set_policies(client, name, {}, properties)
    return Made(name, {"Arn": answer["Role"]["Arn"], "RoleId": answer["Role"]["RoleId"]})


def _change_role(place: Place, standing: Standing, wanted: Wanted) -> Made:
    client, name, before, after = place.client("iam"), standing.made.ref, standing.wanted.properties, wanted.properties
    _check_quotas(wanted)
    trust = json.dumps(after["AssumeRolePolicyDocument"])
    client.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    if "PermissionsBoundary" in after:
        client.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=after["PermissionsBoundary"])
    elif "PermissionsBoundary" in before:
        client.delete_role_permissions_boundary(RoleName=name)
    _set_policies(client, name, before, after)
    return standing.made


def _check_quotas(wanted: Wanted) -> None:
    own = sum(_length(policy["PolicyDocument"]) for policy in wanted.properties.get("Policies", ()))
    if own > _LONGEST_OWN:
        raise StackError(f"The policies of {wanted.logical_id} have {own:,} characters; {_LONGEST_OWN:,} can be.")
    managed = len(wanted.properties.get("ManagedPolicyArns", ()))
    if managed > _MOST_MANAGED:
        raise StackError(f"{wanted.logical_id} has {managed} managed policies; {_MOST_MANAGED} can be.")


def _length(document: object) -> int:
    return len("".join(json.dumps(document).split()))


def _policy_text(wanted: Wanted) -> str:
    length = _length(wanted.properties["PolicyDocument"])
    if length > _LONGEST_MANAGED:
        raise StackError(f"The policy {wanted.logical_id} has {length:,} characters; {_LONGEST_MANAGED:,} can be.")
    return json.dumps(wanted.properties["PolicyDocument"])


def _set_policies(client: Any, name: str, before: Properties, after: Properties) -> None:
    for arn in sorted(set(before.get("ManagedPolicyArns", ())) - set(after.get("ManagedPolicyArns", ()))):
        client.detach_role_policy(RoleName=name, PolicyArn=arn)
    for arn in after.get("ManagedPolicyArns", ()):
        client.attach_role_policy(RoleName=name, PolicyArn=arn)
    kept = {policy["PolicyName"]: policy["PolicyDocument"] for policy in after.get("Policies", ())}
    for policy in before.get("Policies", ()):
        if policy["PolicyName"] not in kept:
            client.delete_role_policy(RoleName=name, PolicyName=policy["PolicyName"])
    for policy_name, document in kept.items():
        client.put_role_policy(RoleName=name, PolicyName=policy_name, PolicyDocument=json.dumps(document))


def _remove_role(place: Place, standing: Standing) -> None:
    client, name = place.client("iam"), standing.made.ref
    _set_policies(client, name, standing.wanted.properties, {})
    client.delete_role(RoleName=name)


def _make_policy(place: Place, wanted: Wanted) -> Made:
    properties = wanted.properties
    others = {key: properties[key] for key in ("Description", "Path") if key in properties}
    answer = place.client("iam").create_policy(
        PolicyName=properties.get("ManagedPolicyName") or place.name_of(wanted.logical_id),
        PolicyDocument=_policy_text(wanted),
        **others,
    )
    arn = answer["Policy"]["Arn"]
    return Made(arn, {"PolicyArn": arn})


def _change_policy(place: Place, standing: Standing, wanted: Wanted) -> Made:
    client, arn = place.client("iam"), standing.made.ref
    versions = _older_versions(client, arn)
    if len(versions) == _MOST_VERSIONS - 1:
        client.delete_policy_version(PolicyArn=arn, VersionId=versions[0])
    document = _policy_text(wanted)
    client.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
    return standing.made


def _older_versions(client: Any, arn: str) -> list[str]:
    """Return the versions that do not count, the oldest first."""
    versions = client.list_policy_versions(PolicyArn=arn)["Versions"]
    older = [version["VersionId"] for version in versions if not version["IsDefaultVersion"]]
    return sorted(older, key=lambda version_id: int(version_id.removeprefix("v")))


def _remove_policy(place: Place, standing: Standing) -> None:
    client, arn = place.client("iam"), standing.made.ref
    for version in _older_versions(client, arn):
        client.delete_policy_version(PolicyArn=arn, VersionId=version)
    client.delete_policy(PolicyArn=arn)


ROLE = Kind(
    keys("RoleName Path Description AssumeRolePolicyDocument Policies ManagedPolicyArns PermissionsBoundary"),
    _make_role,
    _change_role,
    _remove_role,
    required=keys("AssumeRolePolicyDocument"),
    fixed=keys("RoleName Path Description"),
)
MANAGED_POLICY = Kind(
    keys("ManagedPolicyName Path Description PolicyDocument"),
    _make_policy,
    _change_policy,
    _remove_policy,
    required=keys("PolicyDocument"),
    fixed=keys("ManagedPolicyName Path Description"),
)
