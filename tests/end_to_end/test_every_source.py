"""Rules of every provider, by their own functions and roles: what their copies hold, and what goes wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.demo.checks import load_and_compare, read_manifests
from tests.demo.providers import (
    SERVER_LOGIN,
    SERVER_PASSWORD,
    Protected,
    Providers,
    register,
    register_all,
)
from tests.demo.world import STACK, World
from tests.end_to_end.asking import Answer, ask, read_event, reconcile, send, show
from tests.end_to_end.by_hand import wait_until
from tests.local_cloud import sandbox
from tests.local_cloud.engines import Engine, _free_port

# Each rule with the consistency that its copy has.
CONSISTENCY = {
    "catalogue-nightly": "point-in-time",
    "ledger-nightly": "point-in-time",
    "carts-nightly": "point-in-time",
    "baskets-nightly": "point-in-time",
    "queue-nightly": "point-in-time",
    "visits-nightly": "logical",
    "timeline-nightly": "logical",
}
PROVIDERS = {
    "catalogue-nightly": "elasticache-serverless",
    "ledger-nightly": "memorydb",
    "carts-nightly": "tencentdb",
    "queue-nightly": "redis",
}
WITH_DATABASES = ("carts-nightly", "queue-nightly", "visits-nightly")
SERVERLESS, MEMORYDB, TENCENT = "catalogue-nightly", "ledger-nightly", "baskets-nightly"
FAILING = "fails-while-it-is-read"


@dataclass
class Nights:
    """Every instance and rule, and how the first night's runs ended."""

    world: World
    providers: Providers
    protected: dict[str, Protected] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)

    def fire(self, *rules: str) -> dict[str, str]:
        """Fire timers at once; returns how each run ended."""
        fired = {rule: self.world.cloud.fire(STACK, rule) for rule in rules}
        ended = {}
        for rule, execution in fired.items():
            ended[rule] = str(self.world.cloud.wait_for_execution(execution)["Status"])
        return ended

    def manifests(self, rule: str) -> list[Mapping[str, Any]]:
        return [manifest for manifest in read_manifests(self.world) if manifest["rule"] == rule]

    def ports(self, rule: str) -> list[int]:
        """The servers behind a rule's instance."""
        cloud, one = self.world.cloud, self.protected[rule]
        engines = {
            "elasticache-serverless": cloud.elasticache.serverless.engines,
            "memorydb": cloud.memorydb.engines,
            "tencentdb": cloud.tencentdb.engines,
            "redis": self.providers.servers.__getitem__,
        }[one.source["provider"]]
        return [engine.port for engine in engines(one.instance)]

    def last_outcomes(self, rule: str) -> dict[str, Answer]:
        """What became of each backup in the rule's last run, as its history tells it."""
        run = send(self.world, "history", rule)["runs"][0]
        return {outcome["backup_id"]: outcome for outcome in run["outcomes"]}


@pytest.fixture(scope="module")
def nights(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    """One rule of each kind, whose first runs have all gone side by side."""
    providers = Providers(world)
    nights = Nights(world, providers)
    with pytest.MonkeyPatch.context() as patch:
        try:
            protected = {one.rule: one for one in providers.make_all()}
            visits = protected["visits-nightly"]
            secured = serve_tls(providers.servers["visits"][0], tmp_path_factory.mktemp("tls"), patch)
            protected[visits.rule] = Protected(visits.rule, {**visits.source, **secured}, visits.shape)
            nights.protected = protected
            register_all(world, list(protected.values()))
            nights.ended = nights.fire(*protected)
            yield nights
        finally:
            providers.close()


def serve_tls(engine: Engine, folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let a server listen with TLS, by an authority that functions trust; returns what a rule says of that.

    Where this machine has no `openssl`, or a server without TLS, the rule goes on without.
    """
    if shutil.which("openssl") is None:
        return {}
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    name = ["-subj", "/CN=visits", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *kind, *name, *files], check=True, capture_output=True)
    port = _free_port(with_bus=False)
    settings = {"tls-cert-file": certificate, "tls-key-file": key, "tls-ca-cert-file": certificate}
    words = [str(word) for setting in settings.items() for word in setting]
    try:
        engine.command("CONFIG", "SET", *words, "tls-auth-clients", "no", "tls-port", port)
    except redis.ResponseError:
        return {}
    environment: Callable[..., dict[str, str]] = sandbox._environment
    patch.setattr(sandbox, "_environment", lambda *facts: {**environment(*facts), "SSL_CERT_FILE": str(certificate)})
    return {"address": f"127.0.0.1:{port}", "tls": True}


# ------------------------------------------------------------------------------------------------ the first night


def test_every_rule_s_run_ends_well(nights: Nights) -> None:
    assert nights.ended == dict.fromkeys(CONSISTENCY, "SUCCEEDED")


@pytest.mark.parametrize("rule", CONSISTENCY)
def test_a_copy_holds_what_its_source_held(nights: Nights, rule: str) -> None:
    (manifest,) = nights.manifests(rule)
    assert (manifest["level"], manifest["consistency"]) == ("verified", CONSISTENCY[rule])
    assert [file["name"] for file in manifest["files"]] == sorted(nights.world.digests_of(manifest))
    assert all(load_and_compare(nights.world, manifest, file, None) for file in manifest["files"])


def test_what_is_compared_has_every_type_databases_expiries_groups_and_functions(nights: Nights) -> None:
    for rule in CONSISTENCY:
        (manifest,) = nights.manifests(rule)
        for held in nights.world.digests_of(manifest).values():
            assert {"string", "list", "set", "hash", "zset", "stream"} <= set(held.types)
            assert held.expiries and held.streams
            assert len(held.keys_per_database) == (4 if rule in WITH_DATABASES else 1)
            assert held.functions or nights.providers.servers["queue"][0].server.version < (7, 0, 0)


def test_a_copy_that_is_read_key_by_key_says_so_and_why(nights: Nights) -> None:
    (visits,) = nights.manifests("visits-nightly")
    assert "each key is of its own moment" in visits["consistency_reason"]
    assert "may not run REPLCONF" in visits["consistency_reason"]
    (timeline,) = nights.manifests("timeline-nightly")
    assert timeline["engine"]["cluster_mode"] is True
    assert timeline["consistency_reason"].endswith("as the rule says")


def test_a_server_is_read_over_tls_with_the_login_of_a_secret(nights: Nights) -> None:
    source = nights.protected["visits-nightly"].source
    assert source["secret"] == SERVER_LOGIN
    if not source["tls"]:
        pytest.skip("this machine has no openssl, or a server without TLS")
    lines = [json.loads(event["message"]) for event in nights.world.log_events("visits-nightly")]
    (read,) = [line["message"] for line in lines if line.get("event") == "StreamRead"]
    assert f" from {source['address']} " in read


def test_a_link_that_ends_in_the_middle_of_a_file_is_replaced(nights: Nights) -> None:
    assert 403 in [read.status for read in nights.world.cloud.tencentdb.reads]
    (manifest,) = nights.manifests("carts-nightly")
    assert len(manifest["files"][0]["part_sha256"]) > 1


def test_nothing_is_left_in_the_staging_bucket_and_no_upload_is_open(nights: Nights) -> None:
    assert nights.world.staged_objects() == []
    assert open_uploads(nights.world) == []


def open_uploads(world: World) -> list[str]:
    buckets = [world.deployment.resources[name] for name in ("VaultBucket", "StagingBucket")]
    found = [world.cloud.client("s3").list_multipart_uploads(Bucket=bucket) for bucket in buckets]
    return [upload["Key"] for answer in found for upload in answer.get("Uploads", ())]


def test_a_backup_that_is_asked_for_now_is_copied_and_what_is_there_already_is_not(nights: Nights) -> None:
    """At every provider, and of a server that makes none; only TencentDB keeps it afterwards, for its own time."""
    world, rules = nights.world, (SERVERLESS, MEMORYDB, "carts-nightly", "queue-nightly")
    asked = {rule: world.send("backup_now", name=rule)["run"] for rule in rules}
    ended = {rule: world.wait_for_run(rule, run)["state"] for rule, run in asked.items()}
    assert ended == dict.fromkeys(rules, "succeeded")
    for rule in rules:
        known = nights.protected[rule]
        (made,) = (one for one in nights.manifests(rule)[1:] if one["source"]["backup_id"] != known.backup_id)
        assert len(nights.manifests(rule)) == 2
        assert (made["level"], made["consistency"]) == ("verified", "point-in-time")
        world.note_digests(made["source"]["backup_id"], nights.ports(rule))
        assert all(load_and_compare(world, made, file, None) for file in made["files"])
    left = world.cloud.client("memorydb").describe_snapshots()["Snapshots"]
    assert [one["Name"] for one in left] == [nights.protected[MEMORYDB].backup_id]
    left = world.cloud.client("elasticache").describe_serverless_cache_snapshots()["ServerlessCacheSnapshots"]
    assert [one["ServerlessCacheSnapshotName"] for one in left] == [nights.protected[SERVERLESS].backup_id]


@pytest.mark.parametrize("rule", [rule for rule, provider in PROVIDERS.items() if provider != "redis"])
def test_what_a_provider_has_is_shown_before_there_is_a_rule_for_it(nights: Nights, rule: str) -> None:
    world, one = nights.world, nights.protected[rule]
    assert one.source["provider"] == PROVIDERS[rule]
    where = {field: one.source[field] for field in ("provider", "region", "secret") if field in one.source}
    instances = ask(world, {"action": "instances", **where})["instances"]
    assert one.instance in [found["instance"] for found in instances]
    backups = ask(world, {"action": "backups", **where, "instance": one.instance})["backups"]
    assert one.backup_id in [found["backup_id"] for found in backups]


def test_the_hourly_look_asks_every_provider_and_finds_nothing_to_do(nights: Nights) -> None:
    answer = reconcile(nights.world, closely=True)
    assert (answer["repairs"], answer["failures"], answer["reports"]) == ([], [], [])


# -------------------------------------------------------------------------------------------------- what goes wrong


def test_what_is_wrong_at_a_provider_is_told_with_a_hint_and_the_other_backups_are_copied(nights: Nights) -> None:
    tencentdb = nights.world.cloud.tencentdb
    instance = nights.protected[TENCENT].instance
    wrong = {
        tencentdb.take_backup(instance, encrypted=True): ("BackupEncrypted", "encryption off"),
        make_faulty(nights, "redirect"): ("LinkRefused", "Nothing was read"),
        make_faulty(nights, "error-page"): ("LinkMisanswered", "Nothing of it was kept"),
        make_faulty(nights, "gone"): ("BackupGone", ""),
    }
    good = tencentdb.take_backup(instance)
    cloud = nights.world.cloud
    denied = cloud.memorydb.take_manual_backup("denied", "ledger")
    cloud.memorydb.deny("CopySnapshot")
    cloud.elasticache.serverless.fail_exports("missing")
    unexported = cloud.elasticache.serverless.take_manual_backup("unexported", "catalogue")
    try:
        ended = nights.fire(TENCENT, MEMORYDB, SERVERLESS)
    finally:
        cloud.memorydb.allow("CopySnapshot")
        cloud.elasticache.serverless.fail_exports()
    assert ended == dict.fromkeys((TENCENT, MEMORYDB, SERVERLESS), "FAILED")

    told = nights.last_outcomes(TENCENT)
    assert {name: told[name]["reason"] for name in wrong} == {name: reason for name, (reason, _) in wrong.items()}
    assert all("Hint: " in told[name]["detail"] and hint in told[name]["detail"] for name, (_, hint) in wrong.items())
    assert told[good]["status"] == "copied"
    assert "memorydb:CopySnapshot" in nights.last_outcomes(MEMORYDB)[denied]["detail"]
    unexported_told = nights.last_outcomes(SERVERLESS)[unexported]
    assert unexported_told["status"] == "failed"
    assert "does not exist" in unexported_told["detail"] and "Hint: " in unexported_told["detail"]
    assert nights.world.staged_objects() == []


def make_faulty(nights: Nights, mode: Any) -> str:
    """A backup of which reading the second shard's file goes wrong in that way."""
    tencentdb = nights.world.cloud.tencentdb
    backup_id = tencentdb.take_backup(nights.protected[TENCENT].instance)
    tencentdb.fault(backup_id, mode, shard=2)
    return backup_id


def test_a_restriction_of_downloads_is_told_with_what_to_change(nights: Nights) -> None:
    tencentdb = nights.world.cloud.tencentdb
    backup_id = tencentdb.take_backup(nights.protected["carts-nightly"].instance)
    tencentdb.restrict_downloads("LimitOnlyIntranet")
    try:
        assert nights.fire("carts-nightly") == {"carts-nightly": "FAILED"}
    finally:
        tencentdb.restrict_downloads()
    outcome = nights.last_outcomes("carts-nightly")[backup_id]
    assert outcome["reason"] == "DownloadRestricted"
    assert "allow public networks" in outcome["detail"]


def keys_read(server: Engine) -> int:
    """How many keys have been read from a server so far."""
    return int(server.command("INFO", "commandstats").get("cmdstat_dump", {}).get("calls", 0))


def test_a_server_that_goes_away_in_the_middle_leaves_nothing(nights: Nights) -> None:
    protected = nights.providers.make_live(FAILING, "single", way="logical", keys_per_second=100)
    (server,) = nights.providers.servers[FAILING]
    server.command("DEBUG", "POPULATE", 3_000)  # half a minute is enough to meet the run at it, on whatever machine
    register(nights.world, protected)
    before = nights.world.vault_objects()
    execution = nights.world.cloud.fire(STACK, protected.rule)
    wait_until(lambda: keys_read(server) > 20, "reading")
    assert open_uploads(nights.world)
    server.stop()
    assert nights.world.cloud.wait_for_execution(execution)["Status"] == "FAILED"
    (outcome,) = nights.last_outcomes(protected.rule).values()
    assert outcome["reason"] == "ServerLost"
    assert "the next run begins anew" in outcome["detail"]
    assert nights.world.vault_objects() == before
    assert open_uploads(nights.world) == []


# ------------------------------------------------------------------------------------------------------- editing


def test_a_rule_is_pointed_from_one_provider_to_another_and_copies_from_there(nights: Nights) -> None:
    """From a server of one's own to MemoryDB: what was said of reaching the server is gone."""
    world, rule = nights.world, "timeline-nightly"
    edit = {"source": {"provider": "memorydb", "instance": "ledger"}, "prefix": "moved/"}
    edited = send(world, "update", rule, revision=show(world, rule)["revision"], rule=edit)["rule"]
    assert edited["source"] == {"provider": "memorydb", "instance": "ledger"}
    assert edited["former_places"] == ["timeline/"]
    assert nights.fire(rule) == {rule: "SUCCEEDED"}
    moved = [manifest for manifest in nights.manifests(rule) if manifest["source"]["provider"] == "memorydb"]
    assert moved and all(
        load_and_compare(world, manifest, file, None)
        for manifest in moved
        if manifest["source"]["backup_id"] == nights.protected[MEMORYDB].backup_id
        for file in manifest["files"]
    )


EVENTS = {
    "create_rule_serverless": SERVERLESS,
    "create_rule_memorydb": MEMORYDB,
    "create_rule_tencentdb": TENCENT,
    "create_rule_redis": "queue-nightly",
}


def test_the_events_register_rules_of_every_source(nights: Nights) -> None:
    """Each as it is but for the rule's name, and what is each person's own in its source."""

    def create(event: str) -> Answer:
        rule, own = read_event(event)["rule"], nights.protected[EVENTS[event]].source
        source = rule["source"] | {field: own[field] for field in ("instance", "address", "tls") if field in own}
        return nights.world.send(event, rule=rule | {"name": event.replace("_", "-"), "source": source})

    with ThreadPoolExecutor(len(EVENTS)) as pool:
        made = dict(zip(EVENTS, pool.map(create, EVENTS), strict=True))
    assert {event: answer["rule"]["state"] for event, answer in made.items()} == dict.fromkeys(EVENTS, "active")
    assert made["create_rule_memorydb"]["rule"]["backup_first"]["freeze"] == "ledger-writes"
    assert made["create_rule_redis"]["rule"]["source"]["secret"] == "rdbkeeper/queue"


# ------------------------------------------------------------------------------------------------------- secrets


def test_no_secret_and_no_link_is_in_any_log_manifest_or_row(nights: Nights) -> None:
    """What this comes after has failed in many ways, each with its own words."""
    world = nights.world
    logs = world.cloud.client("logs")
    groups = [
        group["logGroupName"]
        for page in logs.get_paginator("describe_log_groups").paginate()
        for group in page["logGroups"]
    ]
    texts = {}
    for group in groups:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        texts[group] = "\n".join(event["message"] for page in pages for event in page["events"])
    table = world.deployment.resources["Table"]
    texts["table"] = json.dumps(world.cloud.client("dynamodb").scan(TableName=table)["Items"], default=str)
    texts["manifests"] = json.dumps(read_manifests(world))
    assert any("ServerLost" in text for text in texts.values())
    assert SERVER_LOGIN in texts["table"]

    tencentdb = world.cloud.tencentdb
    secrets = (SERVER_PASSWORD, tencentdb.secret_key, tencentdb.secret_id, "q-signature", "q-ak", "sign=", "TC3-HMAC")
    shown = {(where, secret) for where, text in texts.items() for secret in secrets if secret in text}
    assert shown == set()
