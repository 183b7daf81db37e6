"""What every vault keeps: in memory with more and with less than S3 has, in S3, and in stores of other people's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from botocore.config import Config

from rdbkeeper.domain.catalog import CatalogEntry, Level, Mark, manifest_key, mark_key
from rdbkeeper.domain.errors import (
    ObjectExists,
    StoreMismatch,
    UploadGone,
    VaultRefused,
    VaultUnavailable,
)
from rdbkeeper.domain.sums import composite_etag
from rdbkeeper.domain.vault import Capabilities, StoreSum
from rdbkeeper.ports import Part, StoredObject, Upload, Vault
from rdbkeeper.rdb.checksum import crc64_nvme
from rdbkeeper.vaults.s3 import S3Vault
from tests.fakes.rdb_files import rdb_file
from tests.fakes.vault import MemoryVault
from tests.local_cloud.server import LocalCloud
from tests.stores.running import Servers
from tests.stores.servers import KINDS

MEBIBYTE = 1 << 20
LARGE = rdb_file(11 * MEBIBYTE)
IN_MEMORY = {
    "memory": Capabilities(),
    "memory, part MD5": Capabilities(StoreSum.PART_MD5, conditional_complete=False, conditional_delete=False),
    "memory, no sum": Capabilities(
        StoreSum.NONE,
        conditional_create=False,
        conditional_complete=False,
        conditional_delete=False,
        conditional_read=False,
    ),
}
# What a store does not do that a vault would have it do, and nothing on our side can make up for.
TAKES_SMALL_PARTS = {"rclone"}
CALLS_AN_ENDED_UPLOAD_BUSY = {"ceph"}
_buckets = count(1)


@pytest.fixture(params=[*IN_MEMORY, "s3", *KINDS])
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def vault(store: str, request: pytest.FixtureRequest) -> Vault:
    if store in IN_MEMORY:
        return MemoryVault(capabilities=IN_MEMORY[store])
    if store == "s3":
        cloud: LocalCloud = request.getfixturevalue("cloud")
        bucket = f"vault-{next(_buckets)}"
        cloud.client("s3").create_bucket(Bucket=bucket)
        return S3Vault(lambda: cloud.client("s3"), bucket)
    servers: Servers = request.getfixturevalue("servers")
    client, capabilities = servers.get(store).client(), servers.capabilities(store)
    return S3Vault(lambda: client, servers.make_bucket(store), capabilities)


def checks_sums(vault: Vault) -> bool:
    return vault.capabilities.sum is StoreSum.CRC64NVME


def put(vault: Vault, key: str, data: bytes, part_bytes: int = 5 * MEBIBYTE) -> tuple[Upload, list[Part]]:
    upload = vault.open_upload(key)
    pieces = [data[start : start + part_bytes] for start in range(0, len(data), part_bytes)]
    parts = [
        vault.put_part(upload, number, memoryview(piece), crc64_nvme(piece))
        for number, piece in enumerate(pieces, start=1)
    ]
    return upload, parts


def keep(vault: Vault, key: str, data: bytes) -> StoredObject:
    upload, parts = put(vault, key, data)
    vault.complete_upload(upload, parts, len(data), crc64_nvme(data))
    found = vault.find_object(key)
    assert found is not None
    return found


def read(vault: Vault, key: str, etag: str, first_byte: int, length_bytes: int) -> bytes:
    buffer = bytearray(length_bytes)
    stream = vault.open_range(key, etag, first_byte, length_bytes)
    filled = 0
    while filled < length_bytes and (got := stream.readinto(memoryview(buffer)[filled:])):
        filled += got
    stream.close()
    return bytes(buffer[:filled])


def test_an_upload_becomes_an_object_with_the_full_object_sum_that_its_store_keeps(vault: Vault) -> None:
    found = keep(vault, "a/0001.rdb", LARGE)
    assert (found.size_bytes, found.crc64nvme) == (len(LARGE), crc64_nvme(LARGE) if checks_sums(vault) else None)
    assert read(vault, "a/0001.rdb", found.etag, 0, len(LARGE)) == LARGE
    assert vault.find_uploads("a/0001.rdb") == []


def test_the_tag_of_an_object_follows_from_its_parts_where_a_store_checks_their_md5(vault: Vault) -> None:
    if vault.capabilities.sum is StoreSum.NONE:
        pytest.skip("the store promises no sum")
    upload, parts = put(vault, "k", LARGE)
    vault.complete_upload(upload, parts, len(LARGE), crc64_nvme(LARGE))
    found = vault.find_object("k")
    assert found is not None
    assert found.etag == composite_etag([part.etag for part in parts])


def test_a_range_is_read_exactly_and_only_while_the_object_is_the_same(vault: Vault) -> None:
    found = keep(vault, "a/0001.rdb", LARGE)
    assert read(vault, "a/0001.rdb", found.etag, 6_000_000, 10) == LARGE[6_000_000:6_000_010]
    with pytest.raises(StoreMismatch):
        read(vault, "a/0001.rdb", '"another"', 0, 10)


def test_nothing_is_visible_before_the_upload_is_complete(vault: Vault) -> None:
    upload, _ = put(vault, "a/0001.rdb", LARGE)
    assert vault.find_object("a/0001.rdb") is None
    assert vault.find_uploads("a/0001.rdb") == [upload]
    assert vault.find_uploads("a/") == vault.find_uploads("") == [upload]
    assert vault.find_uploads("a/0001.rdb.more") == vault.find_uploads("b") == []


def test_where_nothing_is_open_nothing_is_found(vault: Vault) -> None:
    assert vault.find_uploads("") == []
    assert vault.find_objects("") == []
    assert vault.folders("") == []
    assert vault.catalog("p/").entries == ()


def test_putting_a_part_again_puts_the_same_part(vault: Vault) -> None:
    piece = LARGE[: 5 * MEBIBYTE]
    upload = vault.open_upload("k")
    first = vault.put_part(upload, 1, memoryview(piece), crc64_nvme(piece))
    assert vault.put_part(upload, 1, memoryview(piece), crc64_nvme(piece)) == first


def test_a_part_that_was_changed_on_its_way_is_refused_and_may_be_put_again(vault: Vault) -> None:
    if not checks_sums(vault):
        pytest.skip("the store checks no CRC64NVME")
    upload = vault.open_upload("k")
    with pytest.raises(VaultUnavailable):
        vault.put_part(upload, 1, memoryview(b"bytes"), crc64_nvme(b"other bytes"))


@pytest.mark.parametrize("wrong", ["length", "sum"])
def test_an_upload_whose_length_or_sum_does_not_agree_is_refused(vault: Vault, wrong: str) -> None:
    if not checks_sums(vault):
        pytest.skip("the store checks no sum of whole objects")
    upload, parts = put(vault, "k", LARGE)
    length = len(LARGE) - (wrong == "length")
    total = crc64_nvme(LARGE) ^ (wrong == "sum")
    with pytest.raises((StoreMismatch, VaultRefused)):
        vault.complete_upload(upload, parts, length, total)
    assert vault.find_object("k") is None


def test_an_object_of_another_length_than_was_announced_is_noticed(vault: Vault) -> None:
    upload, parts = put(vault, "k", LARGE)
    with pytest.raises((StoreMismatch, VaultRefused)):
        vault.complete_upload(upload, parts, len(LARGE) - 1, crc64_nvme(LARGE))


def test_an_upload_with_a_part_that_was_not_put_is_refused(vault: Vault) -> None:
    upload, parts = put(vault, "k", LARGE)
    wrong = [Part(parts[0].number, '"0123456789abcdef0123456789abcdef"', parts[0].crc64nvme), *parts[1:]]
    with pytest.raises(StoreMismatch):
        vault.complete_upload(upload, wrong, len(LARGE), crc64_nvme(LARGE))


def test_small_parts_before_the_last_are_refused(vault: Vault, store: str) -> None:
    if store in TAKES_SMALL_PARTS:
        pytest.skip("the store takes parts of any size")
    upload, parts = put(vault, "k", LARGE[: 3 * MEBIBYTE], part_bytes=MEBIBYTE)
    with pytest.raises(VaultRefused):
        vault.complete_upload(upload, parts, 3 * MEBIBYTE, crc64_nvme(LARGE[: 3 * MEBIBYTE]))


def test_completing_never_overwrites(vault: Vault) -> None:
    upload, parts = put(vault, "k", LARGE)
    vault.create_object("k", b"somebody else's", "text/plain")
    with pytest.raises(ObjectExists):
        vault.complete_upload(upload, parts, len(LARGE), crc64_nvme(LARGE))
    assert vault.read_object("k") == b"somebody else's"


def test_creating_never_overwrites(vault: Vault) -> None:
    vault.create_object("k", b"first", "text/plain")
    with pytest.raises(ObjectExists):
        vault.create_object("k", b"second", "text/plain")
    assert vault.read_object("k") == b"first"


def test_of_two_that_create_at_once_one_does(vault: Vault, store: str) -> None:
    if not vault.capabilities.conditional_create or store in IN_MEMORY:
        pytest.skip("only a store that honours conditions can promise it")
    bodies = [b"first", b"second", b"third", b"fourth"]

    def create(body: bytes) -> bytes | None:
        try:
            vault.create_object("k", body, "text/plain")
        except (ObjectExists, VaultUnavailable):
            return None
        return body

    with ThreadPoolExecutor(len(bodies)) as threads:
        created = [body for body in threads.map(create, bodies) if body]
    assert created == [vault.read_object("k")]


def test_an_upload_that_was_given_up_is_gone(vault: Vault, store: str) -> None:
    upload, _ = put(vault, "k", LARGE)
    vault.abort_upload(upload)
    vault.abort_upload(upload)
    assert vault.find_uploads("k") == []
    with pytest.raises(UploadGone):
        vault.put_part(upload, 1, memoryview(b"x"), crc64_nvme(b"x"))
    with pytest.raises(VaultUnavailable if store in CALLS_AN_ENDED_UPLOAD_BUSY else UploadGone):
        vault.complete_upload(upload, [Part(1, '"x"', 0)], 1, 0)


def test_an_upload_belongs_to_its_key(vault: Vault) -> None:
    upload = vault.open_upload("k")
    with pytest.raises(UploadGone):
        vault.put_part(Upload("another", upload.upload_id), 1, memoryview(b"x"), crc64_nvme(b"x"))


def test_only_the_named_object_is_removed(vault: Vault) -> None:
    keep(vault, "k1", LARGE)
    found = keep(vault, "k", LARGE[:100])
    vault.remove_object("k", found.etag)
    vault.remove_object("k", found.etag)
    assert vault.find_object("k") is None
    assert vault.find_object("k1") is not None


def test_an_object_that_is_another_by_now_is_not_removed(vault: Vault) -> None:
    keep(vault, "k", LARGE[:100])
    with pytest.raises(StoreMismatch):
        vault.remove_object("k", '"another"')
    assert vault.find_object("k") is not None


def test_objects_are_found_in_order_with_size_tag_and_time(vault: Vault) -> None:
    for key in ("p/b", "p/a/c", "q"):
        vault.create_object(key, key.encode(), "text/plain")
    found = vault.find_objects("p/")
    assert [(one.key, one.size_bytes) for one in found] == [("p/a/c", 5), ("p/b", 3)]
    at_a_key = vault.find_object("p/b")
    assert at_a_key is not None and found[1].etag == at_a_key.etag
    assert found[0].written_at.tzinfo is not None
    assert vault.folders("") == ["p/"]
    assert vault.folders("p/") == ["p/a/"]


def test_uploads_that_were_opened_before_a_moment_are_told_from_others(vault: Vault) -> None:
    upload = vault.open_upload("k")
    long_ago, later = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=3650)
    assert vault.find_uploads("k", long_ago) == []
    assert vault.find_uploads("k", later) == [upload]
    vault.abort_upload(upload)


def test_the_marks_of_a_copy_are_in_its_catalog(vault: Vault) -> None:
    held, gone = "20261122T021500Z-b.1", "20261122T021501Z-b.2"
    vault.create_object(manifest_key("p/", held, Level.VERIFIED), b"{}", "application/json")
    vault.create_object(f"p/{held}/0001.rdb", b"data", "application/octet-stream")
    for mark, copy_id in ((Mark.HOLD, held), (Mark.DAMAGED, held), (Mark.REMOVED, gone), (Mark.REMOVAL, gone)):
        vault.create_object(mark_key("p/", mark, copy_id), b"{}", "application/json")
    catalog = vault.catalog("p/")
    published_at = catalog.entries[0].published_at
    assert published_at is not None
    expected = CatalogEntry(held, Level.VERIFIED, published_at, is_held=True, is_damaged=True)
    assert catalog.entries == (expected,)
    assert (catalog.removed, catalog.unfinished_removals) == ({gone}, (gone,))


def test_the_catalog_is_read_from_the_names_of_the_manifests(vault: Vault) -> None:
    copies = [(f"20261122T0215{n:02d}Z-b.{n}", Level.UNCHECKED if n % 2 else Level.VERIFIED) for n in range(3)]
    for copy_id, level in copies:
        vault.create_object(manifest_key("p/orders/", copy_id, level), b"{}", "application/json")
    vault.create_object("p/orders/manifests/readme.txt", b"?", "text/plain")
    vault.create_object("p/orders2/manifests/x.verified.json", b"{}", "application/json")
    entries = vault.catalog("p/orders/").entries
    assert [(entry.copy_id, entry.level) for entry in entries] == copies


def test_a_catalog_of_several_pages_is_whole(cloud: LocalCloud) -> None:
    client = cloud.client("s3", config=Config(user_agent_extra="small-pages"))
    client.meta.events.register("provide-client-params.s3.ListObjectsV2", _two_a_page)
    client.create_bucket(Bucket="many-copies")
    vault = S3Vault(lambda: client, "many-copies")
    names = [f"20261122T021500Z-backup-{n}" for n in range(5)]
    for name in names:
        vault.create_object(manifest_key("p/", name, Level.VERIFIED), b"{}", "application/json")
    assert [entry.copy_id for entry in vault.catalog("p/").entries] == names


def _two_a_page(params: dict[str, object], **_: object) -> dict[str, object]:
    return {**params, "MaxKeys": 2}


def test_what_is_not_there_is_not_found(vault: Vault) -> None:
    assert vault.find_object("nothing") is None
    with pytest.raises(VaultRefused):
        vault.read_object("nothing")
