"""Parameters, conditions and intrinsic functions of a template, answered as CloudFormation does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.local_cloud.template_reader import SUB_NAME, Template, TemplateError, function_of, refuse_others

_PARAMETER_KEYS = {
    "Type",
    "Default",
    "Description",
    "ConstraintDescription",
    "AllowedValues",
    "AllowedPattern",
    "MinValue",
    "MaxValue",
    "MinLength",
    "MaxLength",
}
_CONDITION_FUNCTIONS = {"Fn::Equals", "Fn::Not", "Fn::And", "Fn::Or", "Condition"}


def parameter_values(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """Return every parameter's value as text, checked against the template's own rules."""
    unknown = sorted(set(given) - set(template.parameters))
    if unknown:
        raise TemplateError(f"The template has no parameter {', '.join(unknown)}.")
    return {name: _checked(name, rules, given.get(name)) for name, rules in template.parameters.items()}


def _checked(name: str, rules: Mapping[str, Any], given: str | None) -> str:
    refuse_others(f"parameter {name}", rules, _PARAMETER_KEYS)
    if rules["Type"] not in ("String", "Number", "CommaDelimitedList"):
        raise TemplateError(f"Parameter {name} has type {rules['Type']}, which is not known here.")
    if given is None and "Default" not in rules:
        raise TemplateError(f"Parameter {name} has no default and was not given.")
    value = str(rules["Default"] if given is None else given)
    if not _allowed(value, rules):
        must = rules.get("ConstraintDescription", "as the template's rules for it say")
        raise TemplateError(f"Parameter {name} is {value!r}; it must be {must}.")
    return value


def _allowed(value: str, rules: Mapping[str, Any]) -> bool:
    if rules["Type"] == "CommaDelimitedList":
        return all(_allowed(item, {**rules, "Type": "String"}) for item in listed(value))
    if "AllowedValues" in rules and value not in [str(allowed) for allowed in rules["AllowedValues"]]:
        return False
    if "AllowedPattern" in rules and not re.fullmatch(rules["AllowedPattern"], value):
        return False
    if not int(rules.get("MinLength", 0)) <= len(value) <= int(rules.get("MaxLength", 4096)):
        return False
    if rules["Type"] == "Number":
        try:
            number = float(value)
        except ValueError:
            return False
        return float(rules.get("MinValue", "-inf")) <= number <= float(rules.get("MaxValue", "inf"))
    return True


def listed(value: str) -> list[str]:
    """Return the items of a CommaDelimitedList; of an empty one, a single empty item, as CloudFormation does."""
    return [item.strip() for item in value.split(",")]


NO_VALUE = object()


class Resolver:
    """Answers intrinsics from parameters, pseudo parameters and the resources made so far."""

    def __init__(self, template: Template, parameters: Mapping[str, str], pseudo: Mapping[str, str]) -> None:
        self._template = template
        self._values: dict[str, Any] = {**parameters, **pseudo, "AWS::NoValue": NO_VALUE}
        for name, rules in template.parameters.items():
            if rules["Type"] == "CommaDelimitedList" and name in parameters:
                self._values[name] = listed(parameters[name])
        self._attributes: dict[str, Mapping[str, Any]] = {}

    def add(self, logical_id: str, ref: str, attributes: Mapping[str, Any]) -> None:
        """Let Ref and GetAtt answer for a resource from now on."""
        self._values[logical_id] = ref
        self._attributes[logical_id] = attributes

    def resolve(self, value: Any) -> Any:
        """Return the value with every intrinsic answered and AWS::NoValue left out."""
        name = function_of(value)
        if name:
            return self._call(name, value[name])
        if isinstance(value, Mapping):
            resolved = {key: self.resolve(item) for key, item in value.items()}
            return {key: item for key, item in resolved.items() if item is not NO_VALUE}
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        return value

    def holds(self, condition: str) -> bool:
        """Say whether the named condition of the template is true."""
        if condition not in self._template.conditions:
            raise TemplateError(f"The template has no condition {condition}.")
        return self._truth(self._template.conditions[condition])

    def _truth(self, value: Any) -> bool:
        name = function_of(value)
        if name not in _CONDITION_FUNCTIONS:
            raise TemplateError(f"{value!r} is not a condition.")
        argument = value[name]
        if name == "Condition":
            return self.holds(argument)
        if name == "Fn::Equals":
            left, right = (self.resolve(item) for item in argument)
            return str(left) == str(right)
        truths = [self._truth(item) for item in argument]
        if name == "Fn::Not":
            (truth,) = truths
            return not truth
        return all(truths) if name == "Fn::And" else any(truths)

    def _call(self, name: str, argument: Any) -> Any:
        if name == "Ref":
            return self._value(argument)
        if name == "Fn::GetAtt":
            return self._attribute(*argument)
        if name == "Fn::Sub":
            return self._sub(argument)
        if name == "Fn::If":
            condition, yes, no = argument
            return self.resolve(yes if self.holds(condition) else no)
        if name == "Fn::Join":
            separator, items = argument
            return str(separator).join(str(item) for item in self.resolve(items))
        if name == "Fn::Select":
            index, items = argument
            return self.resolve(items)[int(index)]
        if name == "Fn::Split":
            separator, text = argument
            return str(self.resolve(text)).split(separator)
        raise TemplateError(f"{name} is not known here. Add it to template_reader.")

    def _value(self, name: str) -> Any:
        if name not in self._values:
            raise TemplateError(f"Ref {name} names no parameter and no resource that exists.")
        return self._values[name]

    def _attribute(self, logical_id: str, attribute: str) -> Any:
        attributes = self._attributes.get(logical_id, {})
        if attribute not in attributes:
            raise TemplateError(f"GetAtt {logical_id}.{attribute} is not known here. Add it where it is made.")
        return attributes[attribute]

    def _sub(self, argument: str | list[Any]) -> str:
        text, extra = (argument, {}) if isinstance(argument, str) else argument
        variables = self.resolve(extra)

        def replace(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in variables:
                value = variables[name]
            else:
                value = self._attribute(*name.split(".", 1)) if "." in name else self._value(name)
            if isinstance(value, list | Mapping) or value is NO_VALUE:
                raise TemplateError(f"Fn::Sub puts {name} into {text!r}, but it is no text.")
            return str(value)

        return SUB_NAME.sub(replace, text)
