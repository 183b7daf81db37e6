"""What every request that is known here needs."""

from __future__ import annotations

from collections.abc import Mapping

from tests.local_cloud.permissions.calls import Call, UnknownCallError
from tests.local_cloud.permissions.data_needs import DYNAMODB, S3
from tests.local_cloud.permissions.lambda_needs import LAMBDA
from tests.local_cloud.permissions.managed_needs import ELASTICACHE, MEMORYDB
from tests.local_cloud.permissions.needs import Need, Place, Table
from tests.local_cloud.permissions.other_needs import (
    CLOUDWATCH,
    LOGS,
    SCHEDULER,
    SECRETS,
    STS,
    TAGGING,
)

# By the service's name in a signature.
TABLES: Mapping[str, Table] = {
    "dynamodb": DYNAMODB,
    "elasticache": ELASTICACHE,
    "lambda": LAMBDA,
    "logs": LOGS,
    "memorydb": MEMORYDB,
    "monitoring": CLOUDWATCH,
    "s3": S3,
    "scheduler": SCHEDULER,
    "secretsmanager": SECRETS,
    "sts": STS,
    "tagging": TAGGING,
}


def needs_of(call: Call, place: Place) -> list[Need]:
    """Return all that the call needs to be allowed; raise UnknownCallError for one that is not in the tables."""
    find = TABLES.get(call.service, {}).get(call.operation)
    if find is None:
        raise UnknownCallError(f"{call.service}: {call.operation}")
    return list(find(call.parameters, place))
