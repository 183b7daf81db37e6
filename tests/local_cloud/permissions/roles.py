"""The roles of the local cloud: which credentials stand for which, and what their policies say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from moto.iam.models import IAMBackend, Role, iam_backends
from moto.s3.models import s3_backends

from tests.local_cloud.permissions.policy import Statement, read_statements

# Whoever signs with any other key is the account's administrator: the tests, and the cloud's own parts.
_PREFIX = "role."


def role_name(role_arn: str) -> str:
    """Return the name in a role's ARN."""
    return role_arn.rsplit("/", 1)[-1]


def access_key_of(role_arn: str) -> str:
    """Return the access key id with which the role's requests are signed."""
    return _PREFIX + quote(role_name(role_arn), safe="")


def signing_role(access_key: str) -> str | None:
    """Return the name of the role that signs with this key, None for an administrator's key."""
    return unquote(access_key.removeprefix(_PREFIX)) if access_key.startswith(_PREFIX) else None


@dataclass(frozen=True)
class RolePolicies:
    """A role's policies and its boundary, as JSON texts.

    A managed policy goes by its own name, the role's own policies by the role's.
    """

    arn: str
    documents: tuple[tuple[str, str], ...] = field(repr=False)
    boundary_document: str | None = field(repr=False)

    @property
    def identity(self) -> tuple[Statement, ...]:
        return tuple(statement for name, document in self.documents for statement in read_statements(document, name))

    @property
    def boundary(self) -> tuple[Statement, ...] | None:
        return None if self.boundary_document is None else read_statements(self.boundary_document)


def policies_of(account_id: str, name: str) -> RolePolicies:
    """Return what the role's policies say at this moment; moto raises NotFoundException where there is no role."""
    backend: IAMBackend = iam_backends[account_id]["aws"]
    role: Role = backend.get_role(name)
    own = ((name, document) for document in role.policies.values())
    managed = ((policy.name, _default_document(backend, arn)) for arn, policy in role.managed_policies.items())
    boundary = role.permissions_boundary_arn
    return RolePolicies(
        role.arn,
        (*own, *managed),
        _default_document(backend, boundary) if boundary else None,
    )


def _default_document(backend: IAMBackend, arn: str) -> str:
    policy = backend.get_policy(arn)
    return next(version.document for version in policy.versions if version.is_default)


def bucket_statements(account_id: str, bucket: str, role_arn: str) -> Sequence[Statement]:
    """Return the statements of a bucket's policy that are about the role."""
    found = s3_backends[account_id]["aws"].buckets.get(bucket)
    if found is None or not found.policy:
        return ()
    everybody = {"*", account_id, f"arn:aws:iam::{account_id}:root", role_arn}
    return [statement for statement in read_statements(found.policy) if everybody & set(statement.principals)]
