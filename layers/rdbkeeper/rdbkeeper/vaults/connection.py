"""Clients for the vaults' stores: by this function's role, by a role of another account, or by a key pair.

Sources: "AssumeRole" in the STS API reference; `botocore.credentials` of botocore 1.44.5, which gets new credentials
for an assumed role before those that it has run out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.vault import Addressing, VaultBinding
from rdbkeeper.vaults.addresses import check_endpoint

_SESSION_NAME = "rdbkeeper"
# What signatures name where a store has no regions.
_USUAL_REGION = "us-east-1"
_ACCOUNT_PART = 4  # of an ARN, split at its colons


class MakeClient(Protocol):
    """Makes an S3 client. `credentials` are botocore's; None stands for this function's own."""

    def __call__(self, *, region: str, endpoint: str = "", addressing: str = "", credentials: Any = None) -> Any: ...


class Connections:
    """A client for each vault, made once. `own` gives the client for this account's buckets of `region`."""

    def __init__(
        self,
        own: Callable[[], Any],
        make_client: MakeClient,
        read_key_pair: Callable[[str], tuple[str, str]],
        own_session: Callable[[], Any],
        *,
        region: str,
        account: str,
        allows_private_endpoints: bool,
    ) -> None:
        self._own = own
        self._make_client = make_client
        self._read_key_pair = read_key_pair
        self._own_session = own_session
        self._region = region
        self._account = account
        self._allows_private_endpoints = allows_private_endpoints
        self._clients: dict[tuple[str, ...], Any] = {}

    def client(self, binding: VaultBinding) -> Any:
        """The client by which the vault's bucket is reached. Raises VaultError, or InvalidRequest for its endpoint."""
        facts = (
            binding.endpoint,
            binding.addressing.value,
            binding.region,
            binding.role,
            binding.external_id,
            binding.secret,
        )
        if facts not in self._clients:
            self._clients[facts] = self._connect(binding)
        return self._clients[facts]

    def owner(self, binding: VaultBinding) -> str:
        """The account that the vault's bucket must belong to; "" where that is not known."""
        if not binding.is_amazon:
            return ""
        return binding.role.split(":")[_ACCOUNT_PART] if binding.role else self._account

    def _connect(self, binding: VaultBinding) -> Any:
        if binding.endpoint:
            in_host = binding.bucket if binding.addressing is Addressing.VIRTUAL else ""
            check_endpoint(binding.endpoint, allows_private=self._allows_private_endpoints, bucket=in_host)
            credentials = _fixed(*self._read_key_pair(binding.secret))
            try:
                return self._make_client(
                    region=binding.region or _USUAL_REGION,
                    endpoint=binding.endpoint,
                    addressing=binding.addressing.value,
                    credentials=credentials,
                )
            except ValueError as error:  # how botocore refuses what it does not take for an address
                raise InvalidRequest(
                    "The endpoint is no address that can be asked.", field="endpoint", hint="Write https://HOST."
                ) from error
        if binding.role:
            return self._make_client(
                region=binding.region or self._region,
                credentials=_assumed(self._own_session(), binding.role, binding.external_id),
            )
        if binding.region in ("", self._region):
            return self._own()
        return self._make_client(region=binding.region)


def _fixed(access_key_id: str, secret_access_key: str) -> Any:
    from botocore.credentials import Credentials

    return Credentials(access_key_id, secret_access_key, method="secret")


def _assumed(session: Any, role: str, external_id: str) -> Any:
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    wanted = {"RoleSessionName": _SESSION_NAME}
    if external_id:
        wanted["ExternalId"] = external_id
    fetcher = AssumeRoleCredentialFetcher(session.create_client, session.get_credentials(), role, extra_args=wanted)
    return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
