"""Where the copies lie that somebody wants to have checked: a folder on this machine, or a bucket."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rdbkeeper.domain.catalog import Level
from rdbkeeper.domain.errors import CopyNotFound, InvalidRequest, SettingsError
from rdbkeeper.ports import ByteStream, StoredObject

_MANIFEST = re.compile(rf"(?:.*/)?manifests/[^/]+\.(?:{'|'.join(level.value for level in Level)})\.json")
# What S3 and stores like it have as names, the old ones included; the client refuses all others with a defect's words.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_COPY_FOLDER = re.compile(r"(?P<path>(?:.*/)?)(?P<copy_id>[0-9]{8}T[0-9]{6}Z-[^/]+)/")
S3_SCHEME = "s3://"
_S3_HINT = "Write s3://BUCKET/PREFIX/INSTANCE/."


class Store(Protocol):
    """What can be looked at, read and listed."""

    def find_object(self, key: str) -> StoredObject | None:
        """What lies under a key, or None."""

    def read_object(self, key: str) -> bytes:
        """A small object whole."""

    def open_range(self, key: str, etag: str, first_byte: int, length_bytes: int) -> ByteStream:
        """Open a range of the object whose tag is `etag`."""

    def keys(self, prefix: str) -> list[str]:
        """Every key that begins so, in order."""


@dataclass(frozen=True)
class Found:
    """The manifests that are to be checked by, and the store in which they lie."""

    store: Store
    manifests: tuple[str, ...]


@dataclass(frozen=True)
class S3Access:
    """How a bucket is reached; "" is what the environment says."""

    endpoint_url: str = ""
    profile: str = ""
    region: str = ""


def find_copies(target: str, access: S3Access) -> Found:
    """The copies at a path or S3 URI: that of a manifest, of a copy's folder, or of a place with many.

    Raises CopyNotFound where there is none, InvalidRequest for what is no path, VaultError when S3 does not answer.
    """
    if target.startswith(S3_SCHEME):
        bucket, _, key = target.removeprefix(S3_SCHEME).partition("/")
        if not bucket:
            raise InvalidRequest(f"{target} names no bucket.", hint=_S3_HINT)
        if not _BUCKET.fullmatch(bucket):
            raise InvalidRequest(f"{bucket[:80]!r} is not a bucket's name.", hint=_S3_HINT)
        store: Store = _open_bucket(bucket, access)
        return Found(store, _select(store, key, target))
    if "://" in target:
        raise InvalidRequest(f"{target.partition('://')[0]}:// cannot be checked.", hint="Write a path or s3://…")
    return _find_in_folder(target)


def _find_path(target: str) -> Path | None:
    try:
        path = Path(target).resolve()
        return path if target and path.exists() else None
    except (OSError, ValueError):  # too long, or with a character that no path has
        return None


def _find_in_folder(target: str) -> Found:
    from rdbkeeper.vaults.folder import Folder

    path = _find_path(target)
    if path is None:
        raise CopyNotFound(
            f"There is no {target[:200]!r}.", hint="Name a manifest, a copy's folder, or the folder above it."
        )
    # From two above a manifest, its data can be found beside it; from above a copy's folder, its manifest can.
    root = path.parents[min(1, len(path.parents) - 1)] if path.is_file() else path.parent
    key = path.relative_to(root).as_posix() + ("" if path.is_file() else "/")
    store = Folder(root)
    return Found(store, _select(store, key, target))


def _select(store: Store, key: str, target: str) -> tuple[str, ...]:
    """The manifests at a key: the object itself, those of the copy whose folder it is, or all below it."""
    if key.endswith(".json") and store.find_object(key) is not None:
        return (_check_is_manifest(key, target),)
    prefix = f"{key}/" if key and not key.endswith("/") else key
    copy = _COPY_FOLDER.fullmatch(prefix)
    if copy is not None:
        beside = [f"{copy['path']}manifests/{copy['copy_id']}.{level.value}.json" for level in Level]
        found = [manifest for manifest in beside if store.find_object(manifest) is not None]
    else:
        found = [one for one in store.keys(prefix) if _MANIFEST.fullmatch(one)]
    if not found:
        raise CopyNotFound(
            f"There is no manifest of a copy at {target}.",
            hint="A copy has one below manifests/, beside the folder of its data; without it nothing can be proved. "
            "Copy both: aws s3 cp --recursive s3://BUCKET/PREFIX/INSTANCE/ FOLDER/.",
        )
    return tuple(found)


def _check_is_manifest(key: str, target: str) -> str:
    if not _MANIFEST.fullmatch(key):
        raise InvalidRequest(
            f"{target} does not lie where a manifest does.",
            hint="Keep the folders as they are in the bucket: manifests/COPY.LEVEL.json beside COPY/FILE.rdb.",
        )
    return key


def place_of(manifest_key: str) -> str:
    """The place, `{prefix}{instance}/`, in whose `manifests/` a manifest lies."""
    return manifest_key.rpartition("/")[0].removesuffix("manifests")


def _open_bucket(bucket: str, access: S3Access) -> Store:
    try:
        from rdbkeeper.verify.bucket import open_bucket
    except ImportError as error:
        raise SettingsError(
            "Checking a copy in a bucket needs boto3, which is not installed.",
            hint="Install it, or copy the place to a folder: aws s3 cp --recursive.",
        ) from error
    return open_bucket(bucket, access.endpoint_url, access.profile, access.region)
