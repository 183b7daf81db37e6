"""Deploys template.yaml onto the cloud of this machine, resource by resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.local_cloud.resource_makers import Client, Place, make
from tests.local_cloud.template_reader import Template, in_order, read_template
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


def deploy_template(
    cloud_client: Client,
    stack: str = "rdbkeeper",
    parameters: Mapping[str, str] | None = None,
    template: Path = DEFAULT_TEMPLATE,
    account: str | None = None,
    region: str | None = None,
) -> Deployment:
    """Make every resource of the template on the cloud that the clients reach, once.

    Account and region are asked of that cloud where they are not given. Raises TemplateError for anything in
    the template that is not understood.
    """
    document = read_template(template)
    values = parameter_values(document, parameters or {})
    place = Place(
        client=cloud_client,
        stack=stack,
        account=account or cloud_client("sts").get_caller_identity()["Account"],
        region=region or cloud_client("s3").meta.region_name,
        root=template.resolve().parent,
    )
    resolver = Resolver(document, values, _pseudo_parameters(place))
    resources: dict[str, str] = {}
    arns: dict[str, str] = {}
    for resource in in_order(document):
        if resource.condition and not resolver.holds(resource.condition):
            continue
        made = make(place, resource, resolver.resolve(resource.properties))
        resolver.add(resource.logical_id, made.ref, made.attributes)
        resources[resource.logical_id] = made.ref
        if "Arn" in made.attributes:
            arns[resource.logical_id] = made.attributes["Arn"]
    return Deployment(
        stack=stack,
        region=place.region,
        account=place.account,
        parameters=values,
        resources=resources,
        arns=arns,
        outputs=_outputs(document, resolver),
    )


def _pseudo_parameters(place: Place) -> dict[str, str]:
    return {
        "AWS::StackName": place.stack,
        "AWS::StackId": f"arn:aws:cloudformation:{place.region}:{place.account}:stack/{place.stack}/local",
        "AWS::Region": place.region,
        "AWS::AccountId": place.account,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
    }


def _outputs(document: Template, resolver: Resolver) -> dict[str, str]:
    return {name: _output(body, resolver) for name, body in document.outputs.items()}


def _output(body: Mapping[str, Any], resolver: Resolver) -> str:
    return str(resolver.resolve(body["Value"]))
