"""What requests to Lambda need.

Sources: the reference for AWS Lambda; "Fine-tuning the Resources and Conditions sections of policies", by which a
request with a qualifier is authorised against the version or the alias; "Security and permissions for Lambda durable
functions", by which the operations on executions are authorised against the execution's ARN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.local_cloud.permissions.calls import UnknownCallError
from tests.local_cloud.permissions.needs import Need, Parameters, Place, Table, pass_role, tag_context


def function_arn(place: Place, function: str, qualifier: str | None = None) -> str:
    """Return the ARN that a request means by a function's name, partial ARN or ARN, and its qualifier."""
    name = function.rpartition("function:")[2]
    arn = function if function.startswith("arn:") else place.arn("lambda", f"function:{name}")
    is_qualified = arn.count(":") > 6
    return f"{arn}:{qualifier}" if qualifier and not is_qualified else arn


def _on_function(action: str) -> Callable[[Parameters, Place], list[Need]]:
    def needs(asked: Parameters, place: Place) -> list[Need]:
        arn = function_arn(place, asked["FunctionName"], asked.get("Qualifier"))
        return [Need(f"lambda:{action}", arn)]

    return needs


def _on(action: str, parameter: str) -> Callable[[Parameters, Place], list[Need]]:
    """An action on the resource whose ARN the parameter is."""
    return lambda asked, _: [Need(f"lambda:{action}", asked[parameter])]


def _create_function(asked: Parameters, place: Place) -> Iterator[Need]:
    arn = function_arn(place, asked["FunctionName"])
    tags = asked.get("Tags") or {}
    yield from _configure("lambda:CreateFunction", arn, asked, tags)
    yield from _read_code(asked.get("Code") or {})
    if tags:
        yield Need("lambda:TagResource", arn, tag_context(tags))


def _update_configuration(asked: Parameters, place: Place) -> Iterator[Need]:
    arn = function_arn(place, asked["FunctionName"])
    yield from _configure("lambda:UpdateFunctionConfiguration", arn, asked, {})


def _configure(action: str, arn: str, asked: Parameters, tags: dict[str, str]) -> Iterator[Need]:
    for setting in ("KMSKeyArn", "FileSystemConfigs"):
        if asked.get(setting):
            raise UnknownCallError(f"{action} with {setting}")
    layers = asked.get("Layers") or []
    network = {name: tuple(ids) for name, ids in (asked.get("VpcConfig") or {}).items() if ids}
    context = {f"lambda:{name.lower()}": ids for name, ids in network.items()}
    if layers:
        context["lambda:layer"] = tuple(layers)
    yield Need(action, arn, {**context, **tag_context(tags)})
    if network:
        # The network is looked at with the caller's rights.
        yield from (Need(f"ec2:{each}", "*") for each in ("DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs"))
    # A layer is read with the caller's rights; without them the service refuses lambda:GetLayerVersion on it.
    yield from (Need("lambda:GetLayerVersion", layer) for layer in layers)
    if role := asked.get("Role"):
        yield pass_role(role, "lambda")


def interface_needs(place: Place, config: Parameters) -> Iterator[Need]:
    """What the service does with a function's own role to put it into a network; nothing for one outside.

    These calls carry no lambda:SourceFunctionArn ("Using source function ARN to control function access behavior").
    """
    if not config.get("SubnetIds"):
        return
    interface = place.arn("ec2", "network-interface/eni-00000000")
    yield Need("ec2:CreateNetworkInterface", interface)
    yield from (Need("ec2:CreateNetworkInterface", place.arn("ec2", f"subnet/{one}")) for one in config["SubnetIds"])
    for group in config["SecurityGroupIds"]:
        yield Need("ec2:CreateNetworkInterface", place.arn("ec2", f"security-group/{group}"))
    for action in ("DeleteNetworkInterface", "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses"):
        yield Need(f"ec2:{action}", interface)
    yield from (Need(f"ec2:{action}", "*") for action in ("DescribeNetworkInterfaces", "DescribeSubnets"))


def _update_code(asked: Parameters, place: Place) -> Iterator[Need]:
    yield Need("lambda:UpdateFunctionCode", function_arn(place, asked["FunctionName"]))
    yield from _read_code(asked)


def _read_code(code: Parameters) -> Iterator[Need]:
    if "S3Bucket" in code:
        yield Need("s3:GetObject", f"arn:aws:s3:::{code['S3Bucket']}/{code['S3Key']}")


def _tag(asked: Parameters, _: Place) -> list[Need]:
    return [Need("lambda:TagResource", asked["Resource"], tag_context(asked["Tags"]))]


def _get_layer_version(asked: Parameters, place: Place) -> list[Need]:
    layer = asked["LayerName"]
    arn = layer if layer.startswith("arn:") else place.arn("lambda", f"layer:{layer}")
    return [Need("lambda:GetLayerVersion", f"{arn}:{asked['VersionNumber']}")]


_FUNCTION_ACTIONS = (
    "CreateAlias",
    "DeleteFunction",
    "GetAlias",
    "GetFunction",
    "GetFunctionConfiguration",
    "ListAliases",
    "ListDurableExecutionsByFunction",
    "ListVersionsByFunction",
    "PublishVersion",
    "UpdateAlias",
)
_EXECUTION_ACTIONS = (
    "CheckpointDurableExecution",
    "GetDurableExecution",
    "GetDurableExecutionHistory",
    "GetDurableExecutionState",
    "StopDurableExecution",
)
LAMBDA: Table = {
    **{action: _on_function(action) for action in _FUNCTION_ACTIONS},
    **{action: _on(action, "DurableExecutionArn") for action in _EXECUTION_ACTIONS},
    "CreateFunction": _create_function,
    "GetLayerVersion": _get_layer_version,
    "GetLayerVersionByArn": _on("GetLayerVersion", "Arn"),
    "Invoke": _on_function("InvokeFunction"),
    "ListFunctions": lambda _, __: [Need("lambda:ListFunctions", "*")],
    "ListTags": _on("ListTags", "Resource"),
    "TagResource": _tag,
    "UpdateFunctionCode": _update_code,
    "UpdateFunctionConfiguration": _update_configuration,
}
