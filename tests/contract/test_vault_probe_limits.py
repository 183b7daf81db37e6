"""What a probe leaves alone, and how long it waits: a store may be odd, slow, endless, or silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from rdbkeeper.domain.errors import VaultDenied, VaultUnavailable, VaultUnfit
from rdbkeeper.domain.vault import Capabilities, VaultBinding, VaultOptions
from rdbkeeper.entry import wiring
from rdbkeeper.entry.settings import StoreSettings
from rdbkeeper.ports import ProbeFindings
from rdbkeeper.vaults.deadline import in_time
from rdbkeeper.vaults.probe import probe
from tests.local_cloud.server import LocalCloud
from tests.stores.running import OneClient, binding_of

_buckets = count(1)
ELSEWHERE = "https://store.example.com"
KEY = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000"


@pytest.fixture
def s3(cloud: LocalCloud) -> Iterator[Any]:
    yield cloud.client("s3", config=Config(request_checksum_calculation="when_required"))
    cloud.s3.forgive()


def make_bucket(s3: Any) -> str:
    bucket = f"limited-{next(_buckets)}"
    s3.create_bucket(Bucket=bucket)
    return bucket


def look(s3: Any, binding: VaultBinding, *, closely: bool = False, within_s: float | None = None) -> ProbeFindings:
    now = datetime.now(UTC) + timedelta(minutes=1)
    return probe(OneClient(s3), binding, now, closely=closely, within_s=within_s)


class Otherwise:
    """A client that does some calls otherwise, and counts all."""

    def __init__(self, client: Any, **otherwise: Any) -> None:
        self._client = client
        self._otherwise = otherwise
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        change = self._otherwise.get(name)

        def noted(**asked: Any) -> Any:
            self.asked.append(name)
            return change(call, asked) if change else call(**asked)

        return noted


def keys_in(s3: Any, bucket: str) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]


def test_nothing_but_what_probes_write_is_swept_up(s3: Any) -> None:
    bucket = make_bucket(s3)
    probe_id = "0a" * 16
    others = [
        "rdbkeeper-probe/orders/20261122T021500Z-b0/0001.rdb",
        "rdbkeeper-probe/orders/manifests/20261122T021500Z-b0.verified.json",
        "rdbkeeper-probe/orders/kept",
        f"rdbkeeper-probe/{probe_id}/0001.rdb",
        f"rdbkeeper-probe/{probe_id}/kept/more",
        f"rdbkeeper-probe/{probe_id}0/kept",
        f"redis/rdbkeeper-probe/{probe_id}/kept",
    ]
    ours = [f"rdbkeeper-probe/{probe_id}/{name}" for name in ("kept", "by-parts", "mark")]
    for key in [*others, *ours]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"body")
    probe(OneClient(s3), binding_of(bucket, ""), datetime.now(UTC) + timedelta(hours=2), closely=False)
    assert keys_in(s3, bucket) == sorted(others)


# -- keys and classes


def ignoring_keys(call: Any, asked: dict[str, Any]) -> Any:
    kept = {name: value for name, value in asked.items() if name not in ("ServerSideEncryption", "SSEKMSKeyId")}
    kept.pop("BucketKeyEnabled", None)
    return {name: value for name, value in call(**kept).items() if name != "ServerSideEncryption"}


def test_a_store_that_ignores_the_key_is_unfit_for_a_vault_with_one(s3: Any) -> None:
    bucket = make_bucket(s3)
    ignoring = Otherwise(s3, put_object=ignoring_keys)
    with pytest.raises(VaultUnfit, match="ignores the KMS key"):
        look(ignoring, binding_of(bucket, ELSEWHERE, options=VaultOptions(kms_key=KEY)))
    assert keys_in(s3, bucket) == []
    assert not any("KMS" in warning for warning in look(ignoring, binding_of(bucket, ELSEWHERE)).warnings)
    assert any("KMS" in said for said in look(s3, binding_of(bucket, "", options=VaultOptions(kms_key=KEY))).warnings)


@pytest.mark.parametrize("code", ["InvalidStorageClass", "InvalidArgument"])
def test_a_storage_class_that_a_store_refuses_is_named_as_that(s3: Any, code: str) -> None:
    def refuse(call: Any, asked: dict[str, Any]) -> Any:
        if "StorageClass" in asked:
            answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(answer, "CreateMultipartUpload")  # type: ignore[arg-type]  # as little as stores may send
        return call(**asked)

    bucket = make_bucket(s3)
    refusing = Otherwise(s3, create_multipart_upload=refuse)
    with pytest.raises(VaultUnfit, match=f"storage class GLACIER_IR.*{code}"):
        look(refusing, binding_of(bucket, ELSEWHERE, options=VaultOptions(storage_class="GLACIER_IR")), closely=True)
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


@pytest.mark.parametrize(
    ("code", "is_foreign"),
    [("AccessDenied", True), ("InvalidAccessKeyId", False), ("SignatureDoesNotMatch", False), ("ExpiredToken", False)],
)
def test_only_a_bucket_that_denies_may_be_somebody_else_s(s3: Any, code: str, is_foreign: bool) -> None:
    def refuse(call: Any, asked: dict[str, Any]) -> Any:
        raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "ListObjectsV2")  # type: ignore[arg-type]  # likewise

    with pytest.raises(VaultDenied) as denied:
        look(Otherwise(s3, list_objects_v2=refuse), binding_of("bucket-1", ELSEWHERE))
    assert ("somebody else" in denied.value.message) is is_foreign


# -- time


class FallingSilent:
    """A client of a store that answers to nothing any more, from one call on."""

    def __init__(self, client: Any, last: str) -> None:
        self._client = client
        self._last = last
        self.silences: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name != self._last and not self.silences:
            return getattr(self._client, name)

        def silent(**_: Any) -> Any:
            self.silences.append(name)
            raise ReadTimeoutError(endpoint_url=ELSEWHERE)

        return silent


def test_a_store_that_has_fallen_silent_is_not_asked_to_clear_up_again_and_again(s3: Any) -> None:
    bucket = make_bucket(s3)
    falling = FallingSilent(s3, "get_bucket_versioning")
    with pytest.raises(VaultUnavailable, match="got no answer"):
        look(falling, binding_of(bucket, ELSEWHERE), closely=True)
    assert len(keys_in(s3, bucket)) > 1  # there was more to clear up
    assert falling.silences == ["get_bucket_versioning", "delete_object"]


def test_a_probe_ends_in_time_whatever_the_store_does(s3: Any) -> None:
    let_go = threading.Event()

    def drip(call: Any, asked: dict[str, Any]) -> Any:
        let_go.wait(120)
        return call(**asked)

    dripping = Otherwise(s3, get_object=drip)
    began = time.monotonic()
    with pytest.raises(VaultUnavailable, match="did not answer in time"):
        look(dripping, binding_of(make_bucket(s3), ELSEWHERE), within_s=0.6)
    assert time.monotonic() - began < 60
    asked = len(dripping.asked)
    let_go.set()
    time.sleep(1.2)
    assert len(dripping.asked) <= asked + 1  # what was given up asks for nothing more


def test_in_time_what_work_returns_or_raises_is_passed_on() -> None:
    assert in_time(5, lambda deadline: 7) == 7
    with pytest.raises(ZeroDivisionError):
        in_time(5, lambda deadline: 1 // 0)
    with pytest.raises(TimeoutError, match="its own"):
        in_time(5, raising_timeout)


def raising_timeout(_: object) -> None:
    raise TimeoutError("its own")


class Endless:
    """A body without end."""

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.is_closed = False

    def read(self, most: int | None = None) -> bytes:
        assert most is not None, "this would never end"
        self.sent_bytes += most
        return b"x" * most

    def close(self) -> None:
        self.is_closed = True


def test_of_a_body_without_end_no_more_is_read_than_tells_that_it_is_wrong(s3: Any) -> None:
    body = Endless()
    with pytest.raises(VaultUnfit):
        look(Otherwise(s3, get_object=lambda call, asked: {"Body": body}), binding_of(make_bucket(s3), ELSEWHERE))
    assert body.sent_bytes < 100
    assert body.is_closed


def test_probes_have_clients_of_their_own_that_try_once_and_wait_little(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    make = wiring.s3_client

    def noting(**asked: Any) -> Any:
        made.append(make(**asked))
        return made[-1]

    class Secrets:
        def get_secret_value(self, **_: str) -> dict[str, str]:
            return {"SecretString": '{"access_key_id": "key-id", "secret_access_key": "secret"}'}

    monkeypatch.setattr(wiring, "s3_client", noting)
    store = StoreSettings("table", "vault", "staging", "us-east-1", allows_private_endpoints=True)
    adapters = wiring.AwsAdapters(store, lambda service: Secrets())
    binding = binding_of("bucket-1", "http://127.0.0.1:9")
    with pytest.raises(VaultUnavailable):
        adapters.probe_vault(binding, closely=False)
    with pytest.raises(VaultUnavailable):
        adapters.open_vault(binding, Capabilities()).find_objects("")
    probing, working = (client.meta.config for client in made)
    assert (probing.retries["total_max_attempts"], probing.connect_timeout, probing.read_timeout) == (2, 5, 10)
    assert working.retries["total_max_attempts"] == 3
