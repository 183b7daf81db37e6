"""A second vault, a rule that keeps copies there for a time, and what people do with them: real functions and files.

The tests tell one story from top to bottom.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.demo.world import SECOND_BUCKET, STACK, VAULT_KEY, VAULT_ROLE, World
from tests.end_to_end.asking import Answer, ask, create_event, reconcile, send, show, told
from tests.end_to_end.by_hand import refused_on_purpose
from tests.end_to_end.conftest import ORDERS
from tests.end_to_end.test_spread import share_out_from
from tests.local_cloud.permissions.roles import role_name

RULE = "orders-elsewhere"
THIRD_BUCKET, FOURTH_BUCKET = "rdbkeeper-third-vault", "rdbkeeper-fourth-vault"
SECRET, EXTERNAL_ID = "rdbkeeper/fourth", "agreed-beforehand"
KEY_PAIR = {"access_key_id": "of-the-fourth-vault", "secret_access_key": "nobody-is-to-see-this"}
SECOND = {"action": "bind_vault", "name": "second", "bucket": SECOND_BUCKET, "options": {"tags": {"team": "data"}}}


@pytest.fixture(scope="module", autouse=True)
def orders(world: World) -> None:
    """An instance with three backups, and rules whose functions share out whatever has more than a kilobyte."""
    share_out_from(world, "0.000001")
    world.make_instance(ORDERS)
    for number in range(3):
        world.take_backup(ORDERS, f"release-{number}")
    world.make_bucket(SECOND_BUCKET, can_lock=True)
    ask_well(world, SECOND)
    ask_well(world, create_event(name=RULE, vault="second", prefix=""))


def ask_well(world: World, event: Answer) -> Answer:
    """The answer to a request that must be served."""
    answer = ask(world, event)
    assert "error" not in answer, answer
    return answer


def refusal(world: World, event: Answer) -> Answer:
    """How a request was refused."""
    refused: Answer = ask(world, event)["error"]
    return refused


def about(action: str, copy_id: str = "", **more: object) -> Answer:
    return {"action": action, "rule": RULE, **({"copy_id": copy_id} if copy_id else {}), **more}


def copies(world: World) -> dict[str, list[str]]:
    """Each copy's states, the oldest first."""
    found = ask_well(world, about("copies"))["copies"]
    return {copy["copy_id"]: copy["states"] for copy in reversed(found)}


def run(world: World) -> Answer:
    """What the history tells of a run that the timer begins."""
    before = {one["run"] for one in send(world, "history", RULE)["runs"]}
    world.fire(RULE)
    runs = send(world, "history", RULE)["runs"]
    # Two that begin in the same second come in any order.
    ended: Answer = next(one for one in runs if one["run"] not in before)
    return ended


def lines(world: World) -> str:
    return "\n".join(event["message"] for event in world.log_events(RULE))


def test_copies_go_into_the_vault_that_their_rule_names_and_nowhere_else(world: World) -> None:
    vault = ask_well(world, {"action": "vault", "name": "second"})["vault"]
    assert (vault["state"], vault["rules"], vault["capabilities"]["locks"]) == ("available", [RULE], True)
    assert run(world)["state"] == "succeeded"
    assert list(copies(world).values()) == [["verified"]] * 3
    keys = world.keys(SECOND_BUCKET)
    assert len([key for key in keys if key.endswith(".rdb")]) == 3 * ORDERS.shards
    assert not [key for key in keys if not key.startswith("orders/")], "a probe or a share has left something"
    assert world.keys(world.vault_bucket) == []
    s3 = world.cloud.client("s3")
    for key in keys:
        if "claim" not in key:
            tags = s3.get_object_tagging(Bucket=SECOND_BUCKET, Key=key)["TagSet"]
            assert tags == [{"Key": "team", "Value": "data"}], key


def test_a_bucket_is_one_vault_and_a_used_vault_stays_bound(world: World) -> None:
    assert ask_well(world, SECOND)["vault"]["name"] == "second"
    assert refusal(world, {**SECOND, "name": "again"})["code"] == "BucketTaken"
    staging = world.deployment.resources["StagingBucket"]
    assert refusal(world, {**SECOND, "name": "staging", "bucket": staging})["code"] == "BucketTaken"
    refused = refusal(world, {"action": "unbind_vault", "name": "second"})
    assert refused["code"] == "VaultInUse" and RULE in refused["message"]


def test_a_bucket_that_the_stack_was_not_allowed_is_not_bound_and_the_action_is_named(world: World) -> None:
    world.make_bucket("somebody-elses")
    with refused_on_purpose():
        refused = refusal(world, {"action": "bind_vault", "name": "theirs", "bucket": "somebody-elses"})
        gone = refusal(world, {"action": "bind_vault", "name": "gone", "bucket": "there-is-none"})
    assert refused["code"] == "VaultDenied" and "s3:ListBucket" in str(refused)
    assert gone["code"] in ("VaultDenied", "VaultRefused")
    names = [vault["name"] for vault in ask_well(world, {"action": "vaults"})["vaults"]]
    assert names == ["default", "second"]


def test_a_narrower_retention_waits_and_then_removes_what_nobody_holds(world: World) -> None:
    oldest, middle, newest = copies(world)
    ask_well(world, about("hold", oldest, note="the auditors want it"))
    revision = show(world, RULE)["revision"]
    edited = send(world, "update", RULE, revision=revision, rule={"retention": {"keep_last": 1}})
    # By the end of the grace period newer ones will have come, so that even today's newest is to go then.
    foretold = {one["copy_id"] for one in edited["will_remove"]}
    assert {middle, newest} <= foretold and oldest not in foretold
    preview = send(world, "preview", RULE)["retention"]
    assert preview["would_remove"] == [] and preview["next_year"]

    assert run(world)["state"] == "succeeded"
    assert list(copies(world)) == [oldest, middle, newest], "the grace period was not kept"
    world.end_grace(RULE)
    ended = run(world)
    assert ended["state"] == "succeeded" and "1 removed" in ended["line"]
    assert copies(world) == {oldest: ["verified", "held"], newest: ["verified"]}
    assert not [key for key in world.keys(SECOND_BUCKET) if middle in key]
    assert "CopyRemoved" in str(told_by(world)) and middle in lines(world)
    # Its backup is still listed at the source, and is not fetched again only to be removed.
    assert run(world)["state"] == "succeeded"
    assert list(copies(world)) == [oldest, newest]


def told_by(world: World) -> list[str]:
    """The codes in the rule's log."""
    found = []
    for event in world.log_events(RULE):
        try:
            found.append(json.loads(event["message"]).get("event", ""))
        except (ValueError, AttributeError):
            continue
    return found


def test_what_a_retention_removed_can_be_had_back_from_the_versions(world: World) -> None:
    hidden = world.cloud.client("s3").list_object_versions(Bucket=SECOND_BUCKET)
    assert {marker["Key"] for marker in hidden["DeleteMarkers"]} & {found["Key"] for found in hidden["Versions"]}


def test_a_person_removes_a_copy_by_its_name_said_twice_and_it_is_not_fetched_again(world: World) -> None:
    oldest, newest = copies(world)
    assert refusal(world, about("delete_copy", oldest, confirm=oldest))["code"] == "CopyHeld"
    ask_well(world, about("release", oldest))
    assert refusal(world, about("delete_copy", oldest, confirm=newest))["code"] == "NotConfirmed"
    removed = ask_well(world, about("delete_copy", oldest, confirm=oldest))
    assert (removed["removed"], removed["was_last_verified"]) == (True, False)
    assert ask_well(world, about("delete_copy", oldest, confirm=oldest))["removed"]
    assert refusal(world, about("copy", oldest))["code"] == "CopyNotFound"
    revision = show(world, RULE)["revision"]
    send(world, "update", RULE, revision=revision, rule={"retention": {}})
    assert run(world)["state"] == "succeeded"
    assert oldest not in copies(world), "what a person removed was fetched again"


def test_an_audit_finds_a_damaged_copy_and_fails_loudly_once(world: World) -> None:
    *_, newest = copies(world)
    found = ask_well(world, about("copy", newest))["copy"]
    world.damage(SECOND_BUCKET, found["files"][0]["key"])
    audit = ask_well(world, about("audit", request_id="look"))
    ended = world.wait_for_run(RULE, audit["run"])
    assert ended["state"] == "failed" and "1 damaged" in ended["line"]
    assert "damaged" in copies(world)[newest]
    assert f"{found['files'][0]['name']}" in lines(world)
    again = ask_well(world, about("audit", request_id="look-again"))
    assert world.wait_for_run(RULE, again["run"])["state"] == "succeeded"


def test_a_vault_that_is_offline_blocks_its_rules_which_go_on_by_themselves(world: World) -> None:
    world.cloud.s3.deny("s3:ListBucket", bucket=SECOND_BUCKET)
    try:
        reconcile(world)
        vault = ask_well(world, {"action": "vault", "name": "second"})["vault"]
        assert (vault["state"], show(world, RULE)["state"]) == ("offline", "blocked")
        default = ask_well(world, {"action": "vault", "name": "default"})["vault"]
        assert default["state"] == "available"
    finally:
        world.cloud.s3.forgive()
    reconciled = reconcile(world)
    assert ask_well(world, {"action": "vault", "name": "second"})["vault"]["state"] == "available"
    assert show(world, RULE)["state"] != "blocked"
    assert ("RuleUnblocked", RULE) in [(code, RULE) for code, _ in told(reconciled["repairs"], RULE)]


def test_a_vault_s_objects_can_be_under_a_key_of_one_s_own(world: World) -> None:
    revision = ask_well(world, {"action": "vault", "name": "second"})["vault"]["revision"]
    options = {"kms_key": VAULT_KEY}
    edit = {"action": "update_vault", "name": "second", "revision": revision, "options": options}
    vault = ask_well(world, edit)["vault"]
    assert VAULT_KEY.endswith(vault["options"]["kms_key"])  # without the account
    assert [warning for warning in vault["warnings"] if "ElastiCache" in warning]
    world.take_backup(ORDERS, "under-a-key")
    assert run(world)["state"] == "succeeded"
    (key,) = [key for key in world.keys(SECOND_BUCKET) if "under-a-key/0001.rdb" in key]
    found = world.cloud.client("s3").head_object(Bucket=SECOND_BUCKET, Key=key)
    assert found["ServerSideEncryption"] == "aws:kms"
    assert VAULT_KEY.endswith(found["SSEKMSKeyId"])  # moto tells the end of it


@pytest.mark.parametrize("vault, rule", [("second", RULE), ("default", "orders-here")])
def test_copies_are_locked_for_as_long_as_their_vault_says_and_nobody_removes_them(
    world: World, vault: str, rule: str
) -> None:
    revision = ask_well(world, {"action": "vault", "name": vault})["vault"]["revision"]
    options = {"lock_mode": "GOVERNANCE", "lock_days": 2, "tags": {"team": "data"}, "kms_key": ""}
    ask_well(world, {"action": "update_vault", "name": vault, "revision": revision, "options": options})
    if rule != RULE:
        ask_well(world, create_event(name=rule, vault=vault))
    world.take_backup(ORDERS, f"locked-in-{vault}")
    assert world.fire(rule) == "SUCCEEDED"
    (copy,) = ask_well(world, {"action": "copies", "rule": rule, "limit": 1})["copies"]
    assert "locked" in copy["states"] and copy["locked_until"]
    confirmed = {"copy_id": copy["copy_id"], "confirm": copy["copy_id"]}
    refused = refusal(world, {"action": "delete_copy", "rule": rule, **confirmed})
    assert refused["code"] == "CopyLocked" and "retained until" in refused["message"]
    assert copy["states"] == ask_well(world, {"action": "copies", "rule": rule, "limit": 1})["copies"][0]["states"]


# ---------------------------------------------------------------------------------- other ways of reaching a vault


@pytest.fixture
def other_account(world: World) -> None:
    """A bucket that only a role reaches, and the role, which trusts whoever works with vaults and says a word."""
    world.make_bucket(THIRD_BUCKET)
    iam = world.cloud.client("iam")
    trusted = [world.deployment.arns[f"{name}Role"] for name in ("RunRule", "CopyLeg", "ManageRules", "ReconcileRules")]
    trust: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}
    trust["Condition"] = {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}}
    iam.create_role(RoleName=role_name(VAULT_ROLE), AssumeRolePolicyDocument=policy(trust))
    # What the stack's own policy for vaults allows in its bucket, which is what the README says to allow.
    own = iam.get_policy_version(PolicyArn=world.deployment.resources["VaultPolicy"], VersionId="v1")
    document = json.dumps(own["PolicyVersion"]["Document"]).replace(world.vault_bucket, THIRD_BUCKET)
    iam.put_role_policy(RoleName=role_name(VAULT_ROLE), PolicyName="vault", PolicyDocument=document)


def policy(*statements: Answer) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def test_another_account_s_bucket_is_reached_by_a_role_that_wants_a_word(world: World, other_account: None) -> None:
    third = {"action": "bind_vault", "name": "third", "bucket": THIRD_BUCKET, "role": VAULT_ROLE}
    assert refusal(world, third)["code"] == "VaultDenied"
    with refused_on_purpose():
        assert refusal(world, {**third, "role": f"{VAULT_ROLE}-2"})["code"] == "VaultDenied"
    bound = ask_well(world, {**third, "external_id": EXTERNAL_ID})["vault"]
    assert bound["state"] == "available"
    ask_well(world, create_event(name="orders-third", vault="third"))
    assert world.fire("orders-third") == "SUCCEEDED"
    assert [key for key in world.keys(THIRD_BUCKET) if key.endswith(".verified.json")]


@pytest.fixture
def key_pair(world: World) -> Iterator[None]:
    world.make_bucket(FOURTH_BUCKET)
    secrets = world.cloud.client("secretsmanager")
    secrets.create_secret(Name=SECRET, SecretString=json.dumps(KEY_PAIR))
    yield
    secrets.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)


def test_another_provider_s_store_is_reached_by_its_endpoint_and_a_key_pair_that_nobody_sees(
    world: World, key_pair: None
) -> None:
    fourth = {"action": "bind_vault", "name": "fourth", "bucket": FOURTH_BUCKET, "endpoint": world.cloud.endpoint_url}
    without = refusal(world, {**fourth, "secret": "rdbkeeper/there-is-none"})
    assert without["code"] == "VaultRefused"
    bound = ask_well(world, {**fourth, "secret": SECRET, "region": "us-east-1"})
    assert bound["vault"]["state"] == "available"
    ask_well(world, create_event(name="orders-fourth", vault="fourth"))
    assert world.fire("orders-fourth") == "SUCCEEDED"
    assert [key for key in world.keys(FOURTH_BUCKET) if key.endswith(".verified.json")]
    table = str(world.cloud.client("dynamodb").scan(TableName=world.deployment.resources["Table"])["Items"])
    groups = world.cloud.client("logs").describe_log_groups()["logGroups"]
    logs = [
        str(world.cloud.client("logs").filter_log_events(logGroupName=group["logGroupName"])["events"])
        for group in groups
    ]
    for text in (str(bound), table, *logs):
        assert KEY_PAIR["secret_access_key"] not in text and KEY_PAIR["access_key_id"] not in text


# ------------------------------------------------------------------------------------------------------ the end


def test_a_vault_without_rules_is_let_go_of_and_its_copies_stay(world: World) -> None:
    before = set(world.keys(SECOND_BUCKET))
    send(world, "delete", RULE)
    unbound = ask_well(world, {"action": "unbind_vault", "name": "second"})
    assert unbound["copies_stay_at"]["bucket"] == SECOND_BUCKET
    left = {key for key in before if "claim" not in key}
    assert set(world.keys(SECOND_BUCKET)) == left, "deleting a rule takes its claim and nothing else"
    assert f"{STACK}-rule-{RULE}" not in world.function_names()


def test_a_bucket_that_is_bound_again_shows_all_that_is_in_it(world: World) -> None:
    ask_well(world, SECOND)
    found = ask_well(world, {"action": "copies", "vault": "second"})
    assert [place["path"] for place in found["places"]] == ["orders/"]
    assert len(found["copies"]) >= 2
    one = {"action": "copy", "vault": "second", "prefix": "", "instance": "orders"}
    assert ask_well(world, {**one, "copy_id": found["copies"][0]["copy_id"]})["copy"]["manifest"]
