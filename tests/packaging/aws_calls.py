"""Which AWS operations the layer's code names, and which IAM actions allow them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader

# The services that the code calls, in boto3's words, and what they are called in IAM.
SERVICES = {
    "cloudwatch": "cloudwatch",
    "dynamodb": "dynamodb",
    "elasticache": "elasticache",
    "lambda": "lambda",
    "logs": "logs",
    "memorydb": "memorydb",
    "resourcegroupstaggingapi": "tag",
    "s3": "s3",
    "scheduler": "scheduler",
    "secretsmanager": "secretsmanager",
    "sts": "sts",
}
# Where the action is not called what the operation is called ("Actions, resources, and condition keys for ...").
_ACTIONS = {
    ("dynamodb", "TransactWriteItems"): "dynamodb:PutItem",
    ("lambda", "Invoke"): "lambda:InvokeFunction",
    ("s3", "GetObjectLockConfiguration"): "s3:GetBucketObjectLockConfiguration",
    ("s3", "HeadBucket"): "s3:ListBucket",
    ("s3", "HeadObject"): "s3:GetObject",
    ("s3", "ListObjectsV2"): "s3:ListBucket",
    ("s3", "ListMultipartUploads"): "s3:ListBucketMultipartUploads",
    ("s3", "ListParts"): "s3:ListMultipartUploadParts",
    ("s3", "CreateMultipartUpload"): "s3:PutObject",
    ("s3", "UploadPart"): "s3:PutObject",
    ("s3", "CompleteMultipartUpload"): "s3:PutObject",
}


@cache
def _models() -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """Return each service's operations and waiters, by their Python names."""
    loader = Loader()
    operations = {}
    waiters = {}
    for service in SERVICES:
        model = loader.load_service_model(service, "service-2")
        operations[service] = {xform_name(name): name for name in model["operations"]}
        try:
            found = loader.load_service_model(service, "waiters-2")["waiters"]
        except UnknownServiceError:  # a service without waiters
            found = {}
        waiters[service] = {xform_name(name): waiter["operation"] for name, waiter in found.items()}
    return operations, waiters


def _names(tree: ast.AST) -> Iterator[str]:
    """Yield the names of called methods, and every word in quotes: paginators and waiters are named so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def called_actions(*folders: Path) -> dict[tuple[str, str], set[str]]:
    """Return the names by which code below the folders calls AWS, with the IAM actions that each may stand for.

    The keys are a file and a name. A name stands for several actions where several services have such an operation.
    """
    operations, waiters = _models()
    found: dict[tuple[str, str], set[str]] = {}
    for file in sorted(file for folder in folders for file in folder.rglob("*.py")):
        for name in set(_names(ast.parse(file.read_text(encoding="utf-8")))):
            for service in SERVICES:
                operation = operations[service].get(name) or waiters[service].get(name)
                if operation:
                    found.setdefault((file.name, name), set()).add(_action_of(service, operation))
    return found


def _action_of(service: str, operation: str) -> str:
    return _ACTIONS.get((service, operation), f"{SERVICES[service]}:{operation}")
