"""Deploys template.yaml onto the cloud of this machine, and changes and removes what it made, as CloudFormation would.

Not as CloudFormation: nothing is rolled back. What was made before a failure stays, to be looked at; deploying again
goes on from there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.local_cloud.stack.custom import is_custom
from tests.local_cloud.stack.kinds import Kinds
from tests.local_cloud.stack.parts import Client, Kind, Place, StackError, Standing, Wanted
from tests.local_cloud.stack.response_desk import ResponseDesk
from tests.local_cloud.stack.sam import expand_sam
from tests.local_cloud.template_reader import Resource, Template, in_order, needs_of, read_template
from tests.local_cloud.template_values import Resolver, parameter_values

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_TEMPLATE = REPOSITORY / "template.yaml"


@dataclass(frozen=True)
class Deployment:
    """What a deployed stack is made of."""

    stack: str
    region: str
    account: str
    parameters: Mapping[str, str]
    resources: Mapping[str, str]  # logical id -> what Ref answers
    arns: Mapping[str, str]  # logical id -> GetAtt Arn, where the resource has one
    outputs: Mapping[str, str]


@dataclass
class _Stack:
    """A stack as it is: what stands, in the order of its making, and the needs that it was made by."""

    place: Place
    parameters: Mapping[str, str] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)
    needs: Mapping[str, set[str]] = field(default_factory=dict)


class Stacks:
    """The stacks of one account in one region."""

    def __init__(self, client: Client, *, account: str, region: str, desk: ResponseDesk) -> None:
        self._client = client
        self._account = account
        self._region = region
        self._kinds = Kinds(desk)
        self._stacks: dict[str, _Stack] = {}
        self._generations: dict[str, int] = {}

    def deploy(
        self,
        stack: str = "rdbkeeper",
        parameters: Mapping[str, str] | None = None,
        template: Path = DEFAULT_TEMPLATE,
        *,
        layer_note: str = "",
    ) -> Deployment:
        """Make every resource of the template, or change a stack of that name to what the template says now.

        Parameters that are not given keep the value that they had. A `layer_note` other than the last one gives every
        layer a new version. Raises TemplateError for anything in the template that is not understood, StackError
        when a custom resource fails.
        """
        document = expand_sam(read_template(template))
        going = self._stacks.get(stack) or self._new_stack(stack, template)
        given = {name: value for name, value in going.parameters.items() if name in document.parameters}
        values = parameter_values(document, given | dict(parameters or {}))
        going.place = replace(going.place, root=template.resolve().parent, layer_note=layer_note)
        going.needs = {**going.needs, **needs_of(document)}
        resolver = Resolver(document, values, _pseudo_parameters(going.place))
        wanted = [one for one in _in_order(document) if one.condition is None or resolver.holds(one.condition)]
        for resource in wanted:
            self._kinds.of(resource)
        self._stacks[stack] = going
        replaced: list[Standing] = []
        for resource in wanted:
            part = self._kinds.wanted(going.place, resource, resolver.resolve(resource.properties))
            self._stand(going, part, replaced)
            made = going.standing[resource.logical_id].made
            resolver.add(resource.logical_id, made.ref, made.attributes)
        self._clean_up(going, {resource.logical_id for resource in wanted}, replaced)
        going.parameters, going.needs = values, needs_of(document)
        return _deployment(going, {name: resolver.resolve(body["Value"]) for name, body in document.outputs.items()})

    def delete(self, stack: Deployment | str, *, unrelated_first: bool = False) -> None:
        """Remove a stack: nothing before what needs it, custom resources as early as can be, and not what is retained.

        Raises StackError when a custom resource cannot be removed; what was not removed before that stays.
        CloudFormation removes at once what nothing needs: with `unrelated_first`, all that a custom resource does not
        need is gone before that is asked for, which is the worst that can happen to it.
        """
        name = stack if isinstance(stack, str) else stack.stack
        if name not in self._stacks:
            raise StackError(f"Deleting the stack {name} failed: there is none.")
        going = self._stacks[name]
        for standing in _in_order_of_removal(going, unrelated_first=unrelated_first):
            if not standing.is_retained:
                self._kind(standing.wanted).remove(going.place, standing)
            del going.standing[standing.wanted.logical_id]
        del self._stacks[name]
        self._generations[name] += 1

    def _new_stack(self, name: str, template: Path) -> _Stack:
        generation = self._generations.setdefault(name, 1)
        stack_id = f"arn:aws:cloudformation:{self._region}:{self._account}:stack/{name}/{uuid.uuid4()}"
        root = template.resolve().parent
        return _Stack(Place(self._client, name, stack_id, self._account, self._region, root, generation))

    def _stand(self, going: _Stack, wanted: Wanted, replaced: list[Standing]) -> None:
        """Have what is wanted stand in the stack: make it, change it, or leave it as it is."""
        before = going.standing.get(wanted.logical_id)
        kind = self._kind(wanted)
        if before is None:
            going.standing[wanted.logical_id] = Standing(wanted, kind.make(going.place, wanted))
            return
        _check_change(before.wanted, wanted, kind)
        if before.wanted.equals(wanted):
            going.standing[wanted.logical_id] = Standing(wanted, before.made)
            return
        after = Standing(wanted, kind.change(going.place, before, wanted))
        going.standing[wanted.logical_id] = after
        if after.made.ref != before.made.ref and not before.is_retained_when_replaced:
            replaced.append(before)

    def _clean_up(self, going: _Stack, wanted: set[str], replaced: list[Standing]) -> None:
        """Remove what the template has no longer, and what something else has replaced."""
        for standing in _in_order_of_removal(going):
            logical_id = standing.wanted.logical_id
            if logical_id not in wanted:
                if not standing.is_retained:
                    self._kind(standing.wanted).remove(going.place, standing)
                del going.standing[logical_id]
        for standing in reversed(replaced):
            self._kind(standing.wanted).remove(going.place, standing)

    def _kind(self, wanted: Wanted) -> Kind:
        return self._kinds.of(wanted.resource)


def _in_order(document: Template) -> list[Resource]:
    """Return the resources so that each comes after all it needs, custom ones after nothing else.

    CloudFormation makes at once whatever can be made: a custom resource may be asked for when all that it does not
    need is still to come.
    """
    needs = needs_of(document)
    custom = {name for name, resource in document.resources.items() if is_custom(resource.type)}
    early = _closure(custom, lambda name: needs[name])
    return sorted(in_order(document), key=lambda resource: resource.logical_id not in early)


def _check_change(before: Wanted, after: Wanted, kind: Kind) -> None:
    if before.resource.type != after.resource.type:
        raise StackError(f"{after.logical_id} was a {before.resource.type} and cannot become a {after.resource.type}.")
    changed = sorted(key for key in kind.fixed if before.properties.get(key) != after.properties.get(key))
    if changed:
        raise StackError(f"{after.logical_id} would be replaced: {', '.join(changed)} cannot change. Deploy it anew.")


def _in_order_of_removal(going: _Stack, *, unrelated_first: bool = False) -> Iterator[Standing]:
    """Yield what stands, each before all that it needs."""
    left = dict(going.standing)
    custom = {name for name, standing in left.items() if is_custom(standing.wanted.resource.type)}
    above = _closure(custom, lambda name: {other for other in left if name in going.needs.get(other, ())})

    def rank(name: str) -> int:
        if name in custom:
            return 0 if unrelated_first else 2
        return 1 if unrelated_first or name in above else 0

    while left:
        free = [name for name in left if not any(name in going.needs.get(other, ()) for other in left)]
        yield left.pop(max(free, key=lambda name: (rank(name), free.index(name))))


def _closure(start: set[str], following: Callable[[str], set[str]]) -> set[str]:
    """Return the names that lead on from these, step by step, these included."""
    found, waiting = set(start), list(start)
    while waiting:
        new = following(waiting.pop()) - found
        found |= new
        waiting += new
    return found


def _pseudo_parameters(place: Place) -> dict[str, str]:
    return {
        "AWS::StackName": place.stack,
        "AWS::StackId": place.stack_id,
        "AWS::Region": place.region,
        "AWS::AccountId": place.account,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
    }


def _deployment(going: _Stack, outputs: Mapping[str, Any]) -> Deployment:
    made = {name: standing.made for name, standing in going.standing.items()}
    return Deployment(
        stack=going.place.stack,
        region=going.place.region,
        account=going.place.account,
        parameters=going.parameters,
        resources={name: one.ref for name, one in made.items()},
        arns={name: str(one.attributes["Arn"]) for name, one in made.items() if "Arn" in one.attributes},
        outputs={name: str(value) for name, value in outputs.items()},
    )
