"""Function code and layers: what is taken, where it is kept, and how it is downloaded again."""

from __future__ import annotations

import json
import secrets
from typing import Any

from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from werkzeug.wrappers import Response

from tests.local_cloud import lambda_checks as checks
from tests.local_cloud.lambda_api import bytes_answer, invalid
from tests.local_cloud.permissions.gate import Gate
from tests.local_cloud.permissions.lambda_needs import interface_needs
from tests.local_cloud.permissions.needs import Place
from tests.local_cloud.permissions.roles import role_name


class CodeStore:
    """Checks archives and roles, and keeps what moto would lose of them."""

    def __init__(self, *, region: str, account_id: str, endpoint_url: str) -> None:
        self._region = region
        self._account_id = account_id
        self._endpoint_url = endpoint_url
        self._layers: dict[str, bytes] = {}
        self._archives: dict[str, bytes] = {}

    def check_role(self, arn: str) -> None:
        """Raise when the role does not exist or does not trust Lambda; moto looks for the first only."""
        roles = {role.arn: role for role in iam_backends[self._account_id]["aws"].roles.values()}
        trust = json.loads(roles[arn].assume_role_policy_document) if arn in roles else {}
        if "lambda.amazonaws.com" not in json.dumps(trust):
            raise invalid(f"Role {arn} cannot be assumed by Lambda: it does not exist, or does not trust the service.")

    def check_network(self, role_arn: str, config: dict[str, Any]) -> None:
        """Raise when the service could not make network interfaces with the role; a function outside needs none."""
        place = Place(self._account_id, self._region)
        gate, role = Gate(self._account_id), role_name(role_arn)
        for need in interface_needs(place, config):
            if not gate.permits(role, need, self._region):
                action = need.action.removeprefix("ec2:")
                raise invalid(f"The provided execution role does not have permissions to call {action} on EC2.")

    def check(self, code: dict[str, Any]) -> None:
        """Raise when this is not code: an archive, or the place of one in a bucket."""
        if "ZipFile" in code:
            checks.check_archive(checks.decode_archive(code["ZipFile"]))
        elif "S3Bucket" in code and "S3Key" in code:
            checks.check_archive(self._stored(code["S3Bucket"], code["S3Key"]))
        else:
            raise invalid("Code: ZipFile, or S3Bucket and S3Key, must be given; images cannot run here.")

    def check_layers(self, arns: list[str]) -> None:
        """Raise when one of these is not a layer's version; moto looks when the rest is changed already."""
        backend = lambda_backends[self._account_id][self._region]
        for arn in arns:
            if arn.count(":") != 7 or backend.layers_versions_by_arn(arn) is None:
                raise invalid(f"Layer version {arn} does not exist.")

    def _stored(self, bucket: str, key: str) -> bytes:
        found = s3_backends[self._account_id]["aws"].buckets.get(bucket)
        stored = found.keys.get(key) if found else None
        if stored is None:
            raise invalid(f"Reading the code from s3://{bucket}/{key} failed: there is no such object.")
        return bytes(stored.value)

    def remember_layers(self, function: LambdaFunction) -> None:
        """Keep the layers of a function, also when their versions are deleted later."""
        backend = lambda_backends[self._account_id][self._region]
        for layer in function.layers:
            version = backend.layers_versions_by_arn(layer["Arn"])
            if version is not None:
                self._layers[layer["Arn"]] = version.code_bytes

    def layers_of(self, function: LambdaFunction) -> tuple[bytes, ...]:
        """Return the archives of a function's layers, in their order."""
        return tuple(self._layers[layer["Arn"]] for layer in function.layers)

    def location(self, archive: bytes) -> str:
        """Return an address from which exactly this archive can be downloaded."""
        token = secrets.token_urlsafe(24)
        self._archives[token] = archive
        return f"{self._endpoint_url}/_local/code/{token}"

    def archive(self, token: str) -> bytes | None:
        """Return the archive that a location names."""
        return self._archives.get(token)


def archive_answer(archive: bytes) -> Response:
    """Return a zip archive as the answer to a download."""
    response = bytes_answer(archive)
    response.content_type = "application/zip"
    return response
