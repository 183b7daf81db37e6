"""A bucket, as whoever checks copies sees it: it can be listed and read, with the credentials of the environment."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from rdbkeeper.domain.errors import SettingsError
from rdbkeeper.domain.vault import Capabilities, StoreSum
from rdbkeeper.ports import ByteStream, StoredObject
from rdbkeeper.vaults.s3 import S3Vault

# Nothing is taken for granted of a store: sums are computed here, and tags and lengths of answers are compared.
_AS_LITTLE_AS_CAN_BE = Capabilities(sum=StoreSum.NONE, conditional_read=False)


class ReadBucket:
    """A vault that is only read."""

    def __init__(self, vault: S3Vault) -> None:
        self._vault = vault

    def find_object(self, key: str) -> StoredObject | None:
        """What lies under a key, or None."""
        return self._vault.find_object(key)

    def read_object(self, key: str) -> bytes:
        """A small object whole."""
        return self._vault.read_object(key)

    def open_range(self, key: str, etag: str, first_byte: int, length_bytes: int) -> ByteStream:
        """Open a range of the object whose tag is `etag`."""
        return self._vault.open_range(key, etag, first_byte, length_bytes)

    def keys(self, prefix: str) -> list[str]:
        """Every key that begins so, in order."""
        return [found.key for found in self._vault.find_objects(prefix)]


def open_bucket(bucket: str, endpoint_url: str, profile: str, region: str) -> ReadBucket:
    """The bucket at an endpoint, "" for Amazon S3's own. Raises SettingsError for a profile that there is not."""
    client = _connect(endpoint_url, profile, region)
    return ReadBucket(S3Vault(lambda: client, bucket, _AS_LITTLE_AS_CAN_BE))


def _connect(endpoint_url: str, profile: str, region: str) -> Any:
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 5},
        # Stores that are not Amazon's do not know the sums that the SDK would ask for by itself.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # The names of buckets of such stores are part of no host's name as a rule.
        s3={"addressing_style": "path"} if endpoint_url else {},
    )
    try:
        session = boto3.Session(profile_name=profile or None, region_name=region or None)
        has_credentials = session.get_credentials() is not None
        client = session.client("s3", endpoint_url=endpoint_url or None, config=config)
    except (BotoCoreError, ValueError) as error:
        raise SettingsError(
            f"S3 cannot be asked: {error}.", hint="Look at --profile, --region and --endpoint-url."
        ) from error
    if not has_credentials:
        raise SettingsError(
            "S3 cannot be asked: there are no credentials.", hint="Name a profile with --profile, or set AWS_PROFILE."
        )
    return client
