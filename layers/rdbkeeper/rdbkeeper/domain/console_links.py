"""Where a person looks at a bucket without rdbkeeper: links into the AWS console, and lines for a shell. Pure."""

from __future__ import annotations

import shlex
from urllib.parse import quote

from rdbkeeper.domain.vault import VaultBinding

# Each other partition has one console, which takes the region from the query.
_CONSOLES = (("cn-", "console.amazonaws.cn"), ("us-gov-", "console.amazonaws-us-gov.com"))


def find_object_link(binding: VaultBinding, key: str) -> str | None:
    """The console's page about one object; None where there is none: another store, or a region not known yet."""
    return _find_link(binding, f"object/{quote(binding.bucket)}", f"&prefix={quote(key)}")


def find_folder_link(binding: VaultBinding, prefix: str) -> str | None:
    """The console's page about what lies below a prefix, "" for the whole bucket; None as of an object."""
    return _find_link(binding, f"buckets/{quote(binding.bucket)}", f"&prefix={quote(prefix)}")


def download_lines(binding: VaultBinding, data_prefix: str, manifest_key: str, copy_id: str) -> list[str]:
    """Two lines for a shell that fetch a copy, in the order in which `rdbkeeper.verify` finds the files again."""
    data = ["aws", "s3", "cp", "--recursive", _uri(binding, data_prefix), f"{copy_id}/"]
    manifest = ["aws", "s3", "cp", _uri(binding, manifest_key), "manifests/"]
    return [shlex.join([*line, *_options(binding)]) for line in (data, manifest)]


def verify_line(binding: VaultBinding, manifest_key: str) -> str:
    """The line for a shell that checks a copy where it lies, with nothing of rdbkeeper's but this one program."""
    return shlex.join(["python", "-m", "rdbkeeper.verify", _uri(binding, manifest_key), *_options(binding)])


def _find_link(binding: VaultBinding, page: str, rest: str) -> str | None:
    region = binding.region
    if not binding.is_amazon or not region:
        return None
    own = f"{region}.console.aws.amazon.com"
    console = next((host for beginning, host in _CONSOLES if region.startswith(beginning)), own)
    return f"https://{console}/s3/{page}?region={region}&bucketType=general{rest}"


def _uri(binding: VaultBinding, key: str) -> str:
    return f"s3://{binding.bucket}/{key}"


def _options(binding: VaultBinding) -> list[str]:
    endpoint = ["--endpoint-url", binding.endpoint] if binding.endpoint else []
    return [*endpoint, "--region", binding.region] if binding.region else endpoint
