"""Reads template.yaml as CloudFormation and SAM would, for the resources that this project uses.

Whatever is not understood here is an error: a template must not deploy locally by leaving something out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_SECTIONS = {
    "AWSTemplateFormatVersion",
    "Transform",
    "Description",
    "Metadata",
    "Parameters",
    "Conditions",
    "Globals",
    "Resources",
    "Outputs",
}
_RESOURCE_KEYS = {
    "Type",
    "Properties",
    "Metadata",
    "DependsOn",
    "Condition",
    "DeletionPolicy",
    "UpdateReplacePolicy",
}
_POLICIES = ("Delete", "Retain", "RetainExceptOnCreate")
_SHORT_FORMS = ("GetAtt", "Sub", "If", "Join", "Select", "Split", "Equals", "Not", "And", "Or")
SUB_NAME = re.compile(r"\$\{(!?)([^}]+)\}")


class TemplateError(ValueError):
    """The template says something that CloudFormation would refuse, or that this reader does not know."""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms; a key written twice is an error, as in CloudFormation."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if suffix not in (*_SHORT_FORMS, "Ref", "Condition"):
        line = node.start_mark.line + 1
        raise TemplateError(f"!{suffix} (line {line}) is not known here. Add it to template_reader.")
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = _mapping(loader, node)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise TemplateError(f"The key {key!r} is written twice (line {key_node.start_mark.line + 1}).")
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_multi_constructor("!", _short_form)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


@dataclass(frozen=True)
class Resource:
    """One resource as written, SAM's Globals already merged in."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    metadata: Mapping[str, Any]
    depends_on: tuple[str, ...]
    condition: str | None
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"


@dataclass(frozen=True)
class Template:
    """A template's sections, nothing resolved yet."""

    parameters: Mapping[str, Mapping[str, Any]]
    conditions: Mapping[str, Any]
    resources: Mapping[str, Resource]
    outputs: Mapping[str, Mapping[str, Any]]


def read_template(path: Path) -> Template:
    """Return the template in the file, or raise TemplateError where it holds something unknown."""
    document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    refuse_others("template", document, _SECTIONS)
    globals_section = document.get("Globals", {})
    refuse_others("Globals", globals_section, {"Function"})
    general = globals_section.get("Function", {})
    resources = {name: _resource(name, body, general) for name, body in document["Resources"].items()}
    return Template(
        parameters=document.get("Parameters", {}),
        conditions=document.get("Conditions", {}),
        resources=resources,
        outputs=document.get("Outputs", {}),
    )


def _resource(name: str, body: Mapping[str, Any], function_globals: Mapping[str, Any]) -> Resource:
    refuse_others(name, body, _RESOURCE_KEYS)
    properties = body.get("Properties", {})
    if body["Type"] == "AWS::Serverless::Function":
        properties = _merge(function_globals, properties)
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        if body.get(policy, "Delete") not in _POLICIES:
            raise TemplateError(f"{name} has the {policy} {body[policy]!r}, which is none of {', '.join(_POLICIES)}.")
    depends_on = body.get("DependsOn", ())
    return Resource(
        logical_id=name,
        type=body["Type"],
        properties=properties,
        metadata=body.get("Metadata", {}),
        depends_on=(depends_on,) if isinstance(depends_on, str) else tuple(depends_on),
        condition=body.get("Condition"),
        deletion_policy=body.get("DeletionPolicy", "Delete"),
        update_replace_policy=body.get("UpdateReplacePolicy", "Delete"),
    )


def refuse_others(where: str, body: Mapping[str, Any], known: set[str]) -> None:
    """Raise TemplateError where the body has a key that is not known."""
    others = sorted(set(body) - known)
    if others:
        raise TemplateError(f"{where} has {', '.join(others)}, which is not known here. Add it or remove it.")


def _merge(general: Any, special: Any) -> Any:
    """Merge as SAM does: maps key by key, lists one after the other, anything else is replaced."""
    if _is_map(general) and _is_map(special):
        return {**general, **{key: _merge(general.get(key), value) for key, value in special.items()}}
    if isinstance(general, list) and isinstance(special, list):
        return [*general, *special]
    return special


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping) and not function_of(value)


def function_of(value: Any) -> str | None:
    """Return the intrinsic function's name where the value is one."""
    if isinstance(value, Mapping) and len(value) == 1:
        (name,) = value
        if isinstance(name, str) and (name in ("Ref", "Condition") or name.startswith("Fn::")):
            return name
    return None


def in_order(template: Template) -> list[Resource]:
    """Return the resources so that each comes after all it needs."""
    waiting = needs_of(template)
    ordered: list[Resource] = []
    while waiting:
        ready = [name for name, needed in waiting.items() if not needed & set(waiting)]
        if not ready:
            raise TemplateError(f"These resources need each other in a circle: {', '.join(sorted(waiting))}.")
        for name in ready:
            ordered.append(template.resources[name])
            del waiting[name]
    return ordered


def needs_of(template: Template) -> dict[str, set[str]]:
    """Return, for each resource, those that it needs: it refers to them, or says so."""
    for name, resource in template.resources.items():
        missing = sorted(set(resource.depends_on) - set(template.resources))
        if missing:
            raise TemplateError(f"{name} depends on {', '.join(missing)}, which the template does not have.")
    return {
        name: ({*_names_in(resource.properties), *resource.depends_on} & set(template.resources)) - {name}
        for name, resource in template.resources.items()
    }


def _names_in(value: Any) -> Iterator[str]:
    name = function_of(value)
    if name == "Ref":
        yield value[name]
    elif name == "Fn::GetAtt":
        yield value[name][0]
    elif name == "Fn::Sub":
        text = value[name] if isinstance(value[name], str) else value[name][0]
        yield from (match[2].split(".", 1)[0] for match in SUB_NAME.finditer(text) if not match[1])
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _names_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _names_in(item)
