"""template.yaml as the packaging tests look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.local_cloud.template_reader import SUB_NAME, Resource, function_of, read_template

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATE_FILE = REPOSITORY / "template.yaml"
TEMPLATE = read_template(TEMPLATE_FILE)
RESOURCES = TEMPLATE.resources


def of_type(type_: str) -> list[Resource]:
    """Every resource of a type."""
    return [resource for resource in RESOURCES.values() if resource.type == type_]


def names_in(value: Any) -> set[str]:
    """The parameters and resources that a value names; pseudo parameters are left out."""
    return {name.split(".")[0] for name in _names(value) if not name.startswith("AWS::")}


def _names(value: Any) -> Iterator[str]:
    name = function_of(value)
    if name == "Ref":
        yield value[name]
    elif name == "Fn::GetAtt":
        yield value[name][0]
    elif name == "Fn::Sub":
        text = value[name] if isinstance(value[name], str) else value[name][0]
        yield from (match[2] for match in SUB_NAME.finditer(text) if not match[1])
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for item in items:
        yield from _names(item)


def needed_by(logical_id: str) -> set[str]:
    """Every resource that CloudFormation makes before this one and removes after it."""
    found: set[str] = set()
    waiting = {logical_id}
    while waiting:
        resource = RESOURCES[waiting.pop()]
        needed = ({*names_in(resource.properties), *resource.depends_on} & set(RESOURCES)) - found
        found |= needed
        waiting |= needed
    return found


def as_list(value: Any) -> list[Any]:
    """The value of a policy's element, one or several."""
    return value if isinstance(value, list) else [value]


def policy_documents() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every policy of a role or of several, with the logical id of the resource that holds it."""
    for role in of_type("AWS::IAM::Role"):
        yield from ((role.logical_id, policy["PolicyDocument"]) for policy in role.properties["Policies"])
    for policy in of_type("AWS::IAM::ManagedPolicy"):
        yield policy.logical_id, policy.properties["PolicyDocument"]


def statements() -> dict[str, Mapping[str, Any]]:
    """Every statement by its holder's logical id and its Sid, those under a condition included."""
    found: dict[str, Mapping[str, Any]] = {}
    for holder, document in policy_documents():
        for statement in document["Statement"]:
            allowed = statement["Fn::If"][1] if function_of(statement) == "Fn::If" else statement
            name = f"{holder}.{allowed['Sid']}"
            assert name not in found, f"{name} is there twice"
            found[name] = allowed
    return found


def permitted(holder: str = "") -> set[str]:
    """Every action that the policies allow, or those of one holder."""
    return {
        action
        for name, statement in statements().items()
        if name.startswith(holder)
        for action in as_list(statement["Action"])
    }
