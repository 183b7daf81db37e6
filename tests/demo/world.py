"""The world of `make run`: a deployed stack, instances with real data, and what a person does with them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.local_cloud.dataset import LARGE_BALLAST_BYTES, Digest, digest, fill
from tests.local_cloud.deploy import Deployment
from tests.local_cloud.server import LocalCloud

EVENTS = Path(__file__).parents[2] / "events"
STACK = "rdbkeeper"
# What the stack is allowed beside its own bucket.
SECOND_BUCKET = "rdbkeeper-second-vault"
VAULT_ROLE = "arn:aws:iam::000000000000:role/reaches-the-third-vault"
VAULT_KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
ALLOWED_FOR_VAULTS = {
    "AllowedVaultBucketArns": f"arn:aws:s3:::{SECOND_BUCKET}",
    "AllowedVaultRoleArns": VAULT_ROLE,
    "AllowedVaultKeyArns": VAULT_KEY,
    "AllowPrivateEndpoints": "true",
}


HOOKS = {phase: f"{phase}-writes" for phase in ("freeze", "thaw")}


def parameters_for(cloud: LocalCloud) -> dict[str, str]:
    """What the stack is told so that its rules may use all that stands beside it in this cloud."""
    functions = f"arn:aws:lambda:{cloud.region}:{cloud.account_id}:function:"
    return {
        "ExportPollSeconds": "1",
        "ExportQuietSeconds": "1",
        **ALLOWED_FOR_VAULTS,
        "AllowedHookFunctionArns": ",".join(functions + name for name in HOOKS.values()),
        "TencentEndpoint": f"http://{cloud.tencentdb.endpoint}",
        "TencentFileHosts": cloud.tencentdb.file_host,
    }


def wait_until_available(elasticache: Any, snapshot_name: str, timeout_s: float = 120.0) -> None:
    """Return when the snapshot is available. Raises RuntimeError when it has failed or takes too long."""
    deadline = time.monotonic() + timeout_s
    while True:
        status = elasticache.describe_snapshots(SnapshotName=snapshot_name)["Snapshots"][0]["SnapshotStatus"]
        if status == "available":
            return
        if status == "failed" or time.monotonic() > deadline:
            raise RuntimeError(f"The snapshot {snapshot_name} is {status} and not available.")
        time.sleep(0.02)


@dataclass(frozen=True)
class Made:
    """An instance to be made: its id, its shards, and how much data beside one key of every type a shard gets."""

    instance: str
    shards: int
    ballast_bytes: int


INSTANCES = (Made("orders", 2, LARGE_BALLAST_BYTES), Made("sessions", 1, 0))


@dataclass
class World:
    """The local cloud with the stack on it, and what the servers held when each backup was taken.

    `digests` are by backup id and shard; by instance and shard for servers whose runs take their backups themselves.
    """

    cloud: LocalCloud
    deployment: Deployment
    digests: dict[tuple[str, str], Digest] = field(default_factory=dict)

    def digests_of(self, manifest: Mapping[str, Any]) -> dict[str, Digest]:
        """What each shard held when the backup was taken that a manifest is of."""
        source = manifest["source"]
        known = {shard: digest for (name, shard), digest in self.digests.items() if name == source["backup_id"]}
        return known or {shard: one for (name, shard), one in self.digests.items() if name == source["instance"]}

    def note_digests(self, name: str, ports: Iterable[int]) -> None:
        """Note what the servers hold now, as a backup's or an instance's of that name."""
        for number, port in enumerate(ports, start=1):
            self.digests[name, f"{number:04d}"] = digest(port)

    def make_instance(self, made: Made) -> None:
        """Make an instance, with cluster mode where it has more than one shard, and fill it with every type."""
        shape: dict[str, Any] = {"NumCacheClusters": 1}
        if made.shards > 1:
            shape = {
                "NumNodeGroups": made.shards,
                "ReplicasPerNodeGroup": 1,
                "AutomaticFailoverEnabled": True,
                "CacheParameterGroupName": "default.redis7.cluster.on",
            }
        self.cloud.client("elasticache").create_replication_group(
            ReplicationGroupId=made.instance,
            ReplicationGroupDescription="filled with every type",
            Engine="redis",
            CacheNodeType="cache.t4g.small",
            SnapshotRetentionLimit=7,
            **shape,
        )
        fill(self.cloud.elasticache.ports(made.instance), seed=len(made.instance), ballast_bytes=made.ballast_bytes)

    def take_backup(self, made: Made, manual_name: str = "") -> str:
        """Take a backup, automatic or of that name, and note what each shard holds; nobody writes meanwhile."""
        elasticache = self.cloud.elasticache
        backup_id = manual_name
        if manual_name:
            self._take_manual_backup(made, manual_name)
        else:
            backup_id = elasticache.take_automatic_backup(made.instance)
        self.note_digests(backup_id, elasticache.ports(made.instance))
        return backup_id

    def _take_manual_backup(self, made: Made, name: str) -> None:
        client = self.cloud.client("elasticache")
        owner = {"ReplicationGroupId": made.instance}
        if made.shards == 1:
            groups = client.describe_replication_groups(ReplicationGroupId=made.instance)["ReplicationGroups"]
            owner = {"CacheClusterId": groups[0]["MemberClusters"][0]}
        client.create_snapshot(SnapshotName=name, **owner)
        wait_until_available(client, name)

    def write_more(self, made: Made) -> None:
        """Change the data a little, so that the next backup is another one."""
        for engine in self.cloud.elasticache.engines(made.instance):
            with engine.client() as client:
                names = client.execute_command("SCAN", 0, "COUNT", 50)[1]
                client.delete(*[name for name in names if b"spread" in name][:1] or [b"nothing"])

    def send(self, event_name: str, **changes: object) -> Mapping[str, Any]:
        """Send a file of events/ to the function that manages rules, with some fields changed."""
        answer = self.ask(event_name, **changes)
        if "error" in answer:
            raise RuntimeError(f"events/{event_name}.json was answered with {json.dumps(answer)}")
        return answer

    def ask(self, event_name: str, **changes: object) -> Mapping[str, Any]:
        """The same, for a request that may be refused."""
        return self._invoke("manage-rules", event_name, changes)

    def reconcile(self) -> Mapping[str, Any]:
        """Ask for the fleet to be made equal to the rules."""
        return self._invoke("reconcile-rules", "reconcile", {})

    def _invoke(self, function: str, event_name: str, changes: Mapping[str, object]) -> Mapping[str, Any]:
        return self.invoke(function, {**json.loads((EVENTS / f"{event_name}.json").read_text()), **changes})

    def invoke(self, function: str, event: Mapping[str, object]) -> Mapping[str, Any]:
        """Send a request to one of the stack's functions."""
        answer = self.cloud.client("lambda").invoke(
            FunctionName=f"{STACK}-{function}", Payload=json.dumps(event).encode()
        )
        payload: Mapping[str, Any] = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise RuntimeError(f"{function} failed: {json.dumps(payload)}")
        return payload

    def wait_for_run(self, rule: str, run: str, timeout_s: float = 180.0) -> Mapping[str, Any]:
        """The run as the rule's history tells it, once it and its execution have ended."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            runs = self.send("rule_history", name=rule)["runs"]
            ended = next((found for found in runs if found["run"] == run and found["state"] != "going"), None)
            # The history is written by the run's last step, a moment before the execution ends.
            if ended is not None and not self._is_executing(rule, run):
                found: Mapping[str, Any] = ended
                return found
            time.sleep(0.2)
        raise TimeoutError(f"The run {run} of {rule} has not ended after {timeout_s:.0f} s.")

    def _is_executing(self, rule: str, run: str) -> bool:
        going = self.cloud.client("lambda").list_durable_executions_by_function(
            FunctionName=f"{STACK}-rule-{rule}", Statuses=["RUNNING"]
        )["DurableExecutions"]
        return any(execution["DurableExecutionArn"].endswith(f"/{run}") for execution in going)

    def seconds_of_copies(self, rule: str) -> dict[tuple[str, str], float]:
        """How long each copy of a rule took, by the rule and the copy's id, as the rule's history tells it."""
        runs = self.send("rule_history", name=rule)["runs"]
        copied = (outcome for run in runs for outcome in run["outcomes"] if outcome["status"] == "copied")
        return {(rule, outcome["copy_id"]): float(outcome["seconds"]) for outcome in copied}

    def make_bucket(self, name: str, *, can_lock: bool = False) -> None:
        """Make a bucket that keeps versions, as a person would for a vault."""
        s3 = self.cloud.client("s3")
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=can_lock)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def end_grace(self, rule: str) -> None:
        """Let the time go by for which a rule still keeps what its retention said before."""
        self.cloud.client("dynamodb").update_item(
            TableName=self.deployment.resources["Table"],
            Key={"pk": {"S": "rules"}, "sk": {"S": rule}},
            UpdateExpression="SET #rule.#outgoing = :none",
            ExpressionAttributeNames={"#rule": "rule", "#outgoing": "outgoing_retentions"},
            ExpressionAttributeValues={":none": {"L": []}},
        )

    def damage(self, bucket: str, key: str) -> int:
        """Turn over one bit in the middle of an object, as a failing disk would; returns where."""
        s3 = self.cloud.client("s3")
        body = bytearray(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        middle = len(body) // 2
        body[middle] ^= 1
        s3.put_object(Bucket=bucket, Key=key, Body=bytes(body))
        return middle

    def keys(self, bucket: str) -> list[str]:
        """Every key in a bucket."""
        pages = self.cloud.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    def function_names(self) -> list[str]:
        pages = self.cloud.client("lambda").get_paginator("list_functions").paginate()
        return [found["FunctionName"] for page in pages for found in page["Functions"]]

    def schedule_names(self) -> list[str]:
        found = self.cloud.client("scheduler").list_schedules(GroupName=STACK)
        return [schedule["Name"] for schedule in found["Schedules"]]

    def fire(self, rule: str) -> str:
        """Fire the rule's timer, wait for its run, and say how the execution ended."""
        execution = self.cloud.fire(STACK, rule)
        return str(self.cloud.wait_for_execution(execution)["Status"])

    def log_events(self, rule: str) -> list[dict[str, Any]]:
        """The log of the rule's function, as the console's log viewer would show it."""
        pages = self.cloud.client("logs").get_paginator("filter_log_events")
        found = pages.paginate(logGroupName=f"/aws/lambda/{STACK}-rule-{rule}")
        return [event for page in found for event in page["events"]]

    @property
    def vault_bucket(self) -> str:
        return self.deployment.resources["VaultBucket"]

    def vault_objects(self) -> dict[str, int]:
        """Key and size of everything in the vault."""
        pages = self.cloud.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.vault_bucket)
        return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", ())}

    def staged_objects(self) -> list[str]:
        bucket = self.deployment.resources["StagingBucket"]
        found = self.cloud.client("s3").list_objects_v2(Bucket=bucket)
        return [staged["Key"] for staged in found.get("Contents", ())]

    def read(self, key: str) -> bytes:
        body: bytes = self.cloud.client("s3").get_object(Bucket=self.vault_bucket, Key=key)["Body"].read()
        return body

    def listed_backups(self) -> list[str]:
        """Every backup that ElastiCache lists, of every instance with nodes."""
        pages = self.cloud.client("elasticache").get_paginator("describe_snapshots").paginate()
        return [snapshot["SnapshotName"] for page in pages for snapshot in page["Snapshots"]]
