"""What the roles of template.yaml, as the local cloud renders them, forbid; and that they grant what is used, no more.

The local cloud evaluates every call of the stack's functions in all the tests, and refuses what is not granted; what
was granted and never used is found at the end. moto's own evaluation is a second opinion on actions and resources. It
is not asked about conditions: it knows StringEquals alone, and takes an Allow whose condition fails for a Deny.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult

from tests.demo.world import ALLOWED_FOR_VAULTS, SECOND_BUCKET
from tests.local_cloud.deploy import Deployment
from tests.local_cloud.permissions.lambda_needs import interface_needs
from tests.local_cloud.permissions.needs import Place
from tests.local_cloud.permissions.policy import Need, Verdict, decide
from tests.local_cloud.permissions.record import RECORD
from tests.local_cloud.permissions.roles import RolePolicies, policies_of
from tests.local_cloud.server import ACCOUNT_ID, LocalCloud
from tests.packaging.aws_calls import called_actions
from tests.packaging.template import REPOSITORY, RESOURCES, of_type, permitted

STACK = "rdbkeeper"
ROLES = [role.logical_id for role in of_type("AWS::IAM::Role")]
RUN, WORKER, SCHEDULER = "RunRuleRole", "CopyLegRole", "SchedulerRole"
# The roles that manage and reconcile rules share a policy: they make functions and schedules, and pass on their roles.
MAKERS = [role for role in ROLES if "FleetPolicy" in str(RESOURCES[role].properties.get("ManagedPolicyArns"))]
TIMERS = [role for role in ROLES if "scheduler.amazonaws.com" in str(RESOURCES[role].properties)]
OWN_ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/allowed-for-rules"

FUNCTIONS = f"arn:aws:lambda:us-east-1:{ACCOUNT_ID}:function:"
EXECUTION = "/durable-execution/name/id"
LAYERS = f"arn:aws:lambda:us-east-1:{ACCOUNT_ID}:layer:"
SCHEDULES = f"arn:aws:scheduler:us-east-1:{ACCOUNT_ID}:schedule/"
LOG_GROUPS = f"arn:aws:logs:us-east-1:{ACCOUNT_ID}:log-group:/aws/lambda/"
ALARMS = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT_ID}:alarm:"
CACHES = f"arn:aws:elasticache:us-east-1:{ACCOUNT_ID}:"
CLUSTERS = f"arn:aws:memorydb:us-east-1:{ACCOUNT_ID}:"
TABLES = f"arn:aws:dynamodb:us-east-1:{ACCOUNT_ID}:table/"
VAULT, STAGING = "arn:aws:s3:::{VaultBucket}", "arn:aws:s3:::{StagingBucket}"
SECRETS = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT_ID}:secret:"
SECRET = f"{SECRETS}redis"

# Which actions and resources of a policy's statement no test's function uses, and why they are granted all the same.
UNUSED: Mapping[tuple[str, str, str], str] = {
    (RUN, "OwnLog", f"{LOG_GROUPS}rdbkeeper-run-rule:*"): (
        "the prototype is never invoked, but somebody may try it, and must then find its log"
    ),
    (RUN, "DurableExecution", "lambda:GetDurableExecutionState"): (
        "the durable SDK asks for it when an execution's state has more than one page"
    ),
    **{
        (
            WORKER,
            sid,
            granted,
        ): "a worker reads in a vault only what a run before left, which is tried in the default one"
        for sid, granted in (
            ("CopiesInOtherVaults", "s3:GetObject"),
            ("TellWhatIsGoneInOtherVaults", "s3:ListBucket"),
            ("TellWhatIsGoneInOtherVaults", f"arn:aws:s3:::{SECOND_BUCKET}"),
        )
    },
}

BY_ANY_ROLE = [
    ("s3:DeleteObjectVersion", f"{VAULT}/redis/orders/copy/0001.rdb"),
    ("s3:DeleteObjectVersion", f"arn:aws:s3:::{SECOND_BUCKET}/redis/orders/copy/0001.rdb"),
    ("s3:BypassGovernanceRetention", f"{VAULT}/redis/orders/copy/0001.rdb"),
    ("s3:PutObjectLegalHold", f"{VAULT}/redis/orders/copy/0001.rdb"),
    ("s3:PutBucketObjectLockConfiguration", VAULT),
    ("s3:GetObject", "arn:aws:s3:::somebody-elses/file"),
    ("s3:PutObject", "arn:aws:s3:::somebody-elses/file"),
    ("s3:PutBucketPolicy", VAULT),
    ("s3:PutLifecycleConfiguration", VAULT),
    ("s3:PutBucketVersioning", VAULT),
    ("s3:DeleteBucket", STAGING),
    ("dynamodb:DeleteTable", TABLES + "{Table}"),
    ("dynamodb:GetItem", TABLES + "somebody-elses"),
    ("dynamodb:Scan", TABLES + "{Table}"),
    ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT_ID}:role/{{RunRuleRole}}"),
    ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT_ID}:role/new"),
    ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT_ID}:role/Administrator"),
    ("lambda:AddPermission", FUNCTIONS + "rdbkeeper-rule-a"),
    ("lambda:UpdateFunctionCode", FUNCTIONS + "rdbkeeper-run-rule"),
    ("lambda:UpdateFunctionCode", FUNCTIONS + "rdbkeeper-manage-rules"),
    ("lambda:UpdateFunctionConfiguration", FUNCTIONS + "rdbkeeper-run-rule"),
    ("lambda:DeleteFunction", FUNCTIONS + "rdbkeeper-run-rule"),
    ("lambda:DeleteFunction", FUNCTIONS + "somebody-elses"),
    ("lambda:InvokeFunction", FUNCTIONS + "rdbkeeper-run-rule"),
    ("lambda:InvokeFunction", FUNCTIONS + "rdbkeeper-rule-a"),
    ("lambda:InvokeFunction", FUNCTIONS + "rdbkeeper-rule-a:1"),
    ("lambda:InvokeFunction", FUNCTIONS + "rdbkeeper-manage-rules"),
    ("lambda:PublishLayerVersion", LAYERS + "rdbkeeper"),
    ("lambda:StopDurableExecution", f"{FUNCTIONS}somebody-elses:1{EXECUTION}"),
    ("scheduler:DeleteScheduleGroup", f"arn:aws:scheduler:us-east-1:{ACCOUNT_ID}:schedule-group/rdbkeeper"),
    ("scheduler:UpdateSchedule", SCHEDULES + "default/somebody-elses"),
    ("logs:DeleteLogGroup", f"{LOG_GROUPS}rdbkeeper-rule-a:log-stream:"),
    ("logs:PutLogEvents", f"{LOG_GROUPS}somebody-elses:log-stream:s"),
    ("cloudwatch:DeleteAlarms", ALARMS + "somebody-elses"),
    ("elasticache:DeleteSnapshot", CACHES + "snapshot:automatic.orders"),
    ("elasticache:DeleteReplicationGroup", CACHES + "replicationgroup:orders"),
    ("elasticache:DeleteServerlessCacheSnapshot", CACHES + "serverlesscachesnapshot:nightly"),
    ("elasticache:DeleteServerlessCache", CACHES + "serverlesscache:orders"),
    ("elasticache:AddTagsToResource", CACHES + "snapshot:automatic.orders"),
    ("memorydb:DeleteSnapshot", CLUSTERS + "snapshot/automatic.orders"),
    ("memorydb:DeleteCluster", CLUSTERS + "cluster/orders"),
    ("memorydb:TagResource", CLUSTERS + "cluster/orders"),
    ("ec2:CreateNetworkInterface", f"arn:aws:ec2:us-east-1:{ACCOUNT_ID}:subnet/subnet-1"),
    ("ec2:DescribeSubnets", "*"),
    ("secretsmanager:GetSecretValue", SECRET),
    ("secretsmanager:PutSecretValue", f"{SECRETS}rdbkeeper/minio-000000"),
    ("kms:Decrypt", f"arn:aws:kms:us-east-1:{ACCOUNT_ID}:key/k"),
]
BY_RUNS = [
    ("lambda:CreateFunction", FUNCTIONS + "rdbkeeper-rule-a"),
    ("lambda:UpdateFunctionCode", FUNCTIONS + "rdbkeeper-rule-a"),
    # Its workers in a version, and its own kind through the alias; nothing else.
    ("lambda:InvokeFunction", FUNCTIONS + "rdbkeeper-copy-leg"),
    ("lambda:InvokeFunction", FUNCTIONS + "rdbkeeper-rule-a:$LATEST"),
    ("lambda:InvokeFunction", FUNCTIONS + "somebody-elses:live"),
    # An execution's ARN goes on after the version; the function's own must not do, nor another function's.
    ("lambda:CheckpointDurableExecution", FUNCTIONS + "rdbkeeper-rule-a"),
    ("lambda:CheckpointDurableExecution", f"{FUNCTIONS}rdbkeeper-run-rule:1{EXECUTION}"),
    ("lambda:GetDurableExecutionState", f"{FUNCTIONS}somebody-elses:1{EXECUTION}"),
    ("scheduler:UpdateSchedule", SCHEDULES + "rdbkeeper/a"),
    ("logs:PutLogEvents", f"{LOG_GROUPS}rdbkeeper-manage-rules:log-stream:s"),
]
BY_WORKERS = [
    ("lambda:InvokeFunction", FUNCTIONS + "rdbkeeper-copy-leg:1"),
    ("lambda:InvokeFunction", FUNCTIONS + "rdbkeeper-rule-a:live"),
    ("lambda:CheckpointDurableExecution", f"{FUNCTIONS}rdbkeeper-rule-a:1{EXECUTION}"),
    ("dynamodb:UpdateItem", TABLES + "{Table}"),
    ("dynamodb:DeleteItem", TABLES + "{Table}"),
    ("s3:DeleteObject", f"{VAULT}/redis/orders/copy/0001.rdb"),
    ("s3:AbortMultipartUpload", f"{VAULT}/redis/orders/copy/0001.rdb"),
    ("s3:PutObject", f"{STAGING}/file"),
    ("s3:DeleteObject", f"{STAGING}/file"),
    ("elasticache:CopySnapshot", CACHES + "snapshot:automatic.orders"),
    ("logs:PutLogEvents", f"{LOG_GROUPS}rdbkeeper-rule-a:log-stream:s"),
]
BY_MAKERS = [
    ("elasticache:CreateSnapshot", CACHES + "snapshot:rdbkeeper-orders-20261121021500"),
    ("elasticache:ExportServerlessCacheSnapshot", CACHES + "serverlesscachesnapshot:nightly"),
    ("memorydb:CopySnapshot", CLUSTERS + "snapshot/automatic.orders"),
    ("lambda:CreateFunction", FUNCTIONS + "somebody-elses"),
    ("lambda:CreateFunction", FUNCTIONS + "rdbkeeper-manage-rules"),
    ("lambda:GetLayerVersion", LAYERS + "somebody-elses:1"),
    ("lambda:CheckpointDurableExecution", f"{FUNCTIONS}rdbkeeper-rule-a:1{EXECUTION}"),
    ("scheduler:CreateSchedule", SCHEDULES + "default/a"),
    ("s3:GetObject", f"{STAGING}/file"),
    ("s3:PutObject", f"{STAGING}/file"),
    ("s3:AbortMultipartUpload", "arn:aws:s3:::somebody-elses/file"),
    ("elasticache:CopySnapshot", CACHES + "snapshot:automatic.orders"),
]
BY_TIMERS = [
    ("lambda:InvokeFunction", FUNCTIONS + "somebody-elses:live"),
    ("lambda:InvokeFunction", FUNCTIONS + "rdbkeeper-rule-a:$LATEST"),
    ("scheduler:UpdateSchedule", SCHEDULES + "rdbkeeper/a"),
    ("s3:ListBucket", VAULT),
]
FORBIDDEN = [
    *((role, *call) for role in ROLES for call in BY_ANY_ROLE),
    *((RUN, *call) for call in BY_RUNS),
    *((WORKER, *call) for call in BY_WORKERS),
    *((role, *call) for role in MAKERS for call in BY_MAKERS),
    *((role, *call) for role in TIMERS for call in BY_TIMERS),
    (SCHEDULER, "lambda:InvokeFunction", FUNCTIONS + "rdbkeeper-reconcile-rules"),
    ("ReconcileTimerRole", "lambda:InvokeFunction", FUNCTIONS + "rdbkeeper-rule-a:live"),
]
OTHER_LAYER = {"lambda:layer": (f"{LAYERS}rdbkeeper:1", f"{LAYERS}somebody-elses:1")}
NETWORK = {"lambda:subnetids": ("subnet-01234567",), "lambda:securitygroupids": ("sg-01234567",)}
OTHER_STACK = {"aws:resourcetag/rdbkeeper:stack": ("another",)}
OTHER_TOPIC = {"cloudwatch:alarmactions": (f"arn:aws:sns:us-east-1:{ACCOUNT_ID}:somebody-elses",)}
# What only a condition forbids.
FORBIDDEN_BY_CONDITION = [
    *((role, "lambda:CreateFunction", FUNCTIONS + "rdbkeeper-rule-a", OTHER_LAYER) for role in MAKERS),
    *((role, "lambda:UpdateFunctionConfiguration", FUNCTIONS + "rdbkeeper-rule-a", OTHER_LAYER) for role in MAKERS),
    *((role, "cloudwatch:PutMetricAlarm", ALARMS + "rdbkeeper-rule-a-overdue", OTHER_TOPIC) for role in MAKERS),
    # Without a network of the stack's there is none.
    *((role, "lambda:CreateFunction", FUNCTIONS + "rdbkeeper-rule-a", NETWORK) for role in MAKERS),
    *((role, "lambda:UpdateFunctionConfiguration", FUNCTIONS + "rdbkeeper-rule-a", NETWORK) for role in MAKERS),
    *((RUN, "elasticache:DeleteSnapshot", CACHES + "snapshot:rdbkeeper-a-1", tags) for tags in ({}, OTHER_STACK)),
    *((RUN, "memorydb:DeleteSnapshot", CLUSTERS + "snapshot/rdbkeeper-a-1", tags) for tags in ({}, OTHER_STACK)),
    (RUN, "dynamodb:PutItem", TABLES + "{Table}", {"dynamodb:leadingkeys": ("rules",)}),
    (RUN, "dynamodb:PutItem", TABLES + "{Table}", {"dynamodb:leadingkeys": ("status",)}),
    (RUN, "dynamodb:DeleteItem", TABLES + "{Table}", {"dynamodb:leadingkeys": ("rules",)}),
    (RUN, "dynamodb:UpdateItem", TABLES + "{Table}", {"dynamodb:leadingkeys": ("status", "rules")}),
    (RUN, "dynamodb:GetItem", TABLES + "{Table}", {"dynamodb:leadingkeys": ("deleted",)}),
    (RUN, "dynamodb:PutItem", TABLES + "{Table}", {"dynamodb:leadingkeys": ("vaults",)}),
    (WORKER, "dynamodb:GetItem", TABLES + "{Table}", {"dynamodb:leadingkeys": ("rules",)}),
    (WORKER, "dynamodb:GetItem", TABLES + "{Table}", {"dynamodb:leadingkeys": ("rule#orders",)}),
    (WORKER, "dynamodb:PutItem", TABLES + "{Table}", {"dynamodb:leadingkeys": ("vaults",)}),
    (WORKER, "dynamodb:PutItem", TABLES + "{Table}", {"dynamodb:leadingkeys": ("rules",)}),
    (WORKER, "dynamodb:PutItem", TABLES + "{Table}", {"dynamodb:leadingkeys": ("status",)}),
]


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def deployment(cloud: LocalCloud) -> Deployment:
    return cloud.deploy(stack=STACK, parameters={"AllowedRuleRoleArns": OWN_ROLE, **ALLOWED_FOR_VAULTS})


@pytest.fixture(scope="module")
def policies(deployment: Deployment) -> dict[str, RolePolicies]:
    return {role: policies_of(ACCOUNT_ID, deployment.resources[role]) for role in ROLES}


@pytest.fixture(scope="module")
def with_network_and_hooks(cloud: LocalCloud) -> dict[str, RolePolicies]:
    """The roles of a stack that was given a network and two functions that freeze and thaw."""
    hooks = ",".join(FUNCTIONS + name for name in ("freeze", "thaw"))
    given = {"VpcSubnetIds": "subnet-01234567,subnet-89abcdef", "VpcSecurityGroupIds": "sg-01234567"}
    made = cloud.deploy(stack="networked", parameters={**given, "AllowedHookFunctionArns": hooks})
    return {role: policies_of(ACCOUNT_ID, made.resources[role]) for role in ROLES}


def judge(policies: RolePolicies, need: Need) -> Verdict:
    return decide(need, policies.identity, policies.boundary)


def moto_permits(policies: RolePolicies, need: Need) -> bool:
    """The opinion of moto, which is not asked about conditions."""
    documents = [document for _, document in policies.documents]
    opinions = {IAMPolicy(document).is_action_permitted(need.action, need.resource) for document in documents}
    return PermissionResult.PERMITTED in opinions and PermissionResult.DENIED not in opinions


@pytest.mark.parametrize(("role", "action", "resource"), FORBIDDEN)
def test_a_forbidden_call_is_denied(
    deployment: Deployment, policies: dict[str, RolePolicies], role: str, action: str, resource: str
) -> None:
    need = Need(action, resource.format(**deployment.resources))
    assert not judge(policies[role], need).allowed
    assert not moto_permits(policies[role], need)


@pytest.mark.parametrize(("role", "action", "resource", "context"), FORBIDDEN_BY_CONDITION)
def test_a_condition_denies_what_the_resource_would_allow(
    deployment: Deployment,
    policies: dict[str, RolePolicies],
    role: str,
    action: str,
    resource: str,
    context: Mapping[str, tuple[str, ...]],
) -> None:
    assert not judge(policies[role], Need(action, resource.format(**deployment.resources), context)).allowed


@pytest.mark.parametrize("role", ROLES)
def test_only_the_roles_of_rules_are_passed_each_to_one_service(
    deployment: Deployment, policies: dict[str, RolePolicies], role: str
) -> None:
    services = ("lambda", "scheduler", "ec2", "states", "events", "cloudformation")
    others = {"administrator": f"arn:aws:iam::{ACCOUNT_ID}:role/Administrator", "allowed": OWN_ROLE}
    arns = {name: deployment.arns[name] for name in ROLES} | others
    passed = {
        (name, service)
        for name, arn in arns.items()
        for service in services
        if judge(policies[role], _passing(arn, service)).allowed
    }
    wanted = {(RUN, "lambda"), ("allowed", "lambda"), (SCHEDULER, "scheduler")}
    assert passed == (wanted if role in MAKERS else set())


def _passing(arn: str, service: str) -> Need:
    return Need("iam:PassRole", arn, {"iam:passedtoservice": (f"{service}.amazonaws.com",)})


def test_a_rule_s_function_may_do_with_its_executions_what_the_durable_sdk_does(
    policies: dict[str, RolePolicies],
) -> None:
    execution = f"{FUNCTIONS}rdbkeeper-rule-a:7{EXECUTION}"
    for action in ("lambda:CheckpointDurableExecution", "lambda:GetDurableExecutionState"):
        assert judge(policies[RUN], Need(action, execution)).allowed


def test_a_rule_s_own_backup_may_be_removed_where_its_tags_say_so(policies: dict[str, RolePolicies]) -> None:
    ours = {"aws:resourcetag/rdbkeeper:stack": (STACK,)}
    for action, arn in (
        ("elasticache:DeleteSnapshot", CACHES + "snapshot:rdbkeeper-a-1"),
        ("elasticache:DeleteServerlessCacheSnapshot", CACHES + "serverlesscachesnapshot:rdbkeeper-a-1"),
        ("memorydb:DeleteSnapshot", CLUSTERS + "snapshot/rdbkeeper-a-1"),
    ):
        assert judge(policies[RUN], Need(action, arn, ours)).allowed


def test_lambda_keeps_network_interfaces_with_a_run_s_role_and_the_run_itself_may_not(
    with_network_and_hooks: dict[str, RolePolicies],
) -> None:
    network = {"SubnetIds": ["subnet-01234567"], "SecurityGroupIds": ["sg-01234567"]}
    needs = list(interface_needs(Place(ACCOUNT_ID, "us-east-1"), network))
    by_code = {"lambda:sourcefunctionarn": (FUNCTIONS + "networked-rule-a",)}
    assert needs
    for need in needs:
        assert judge(with_network_and_hooks[RUN], need).allowed
        assert not judge(with_network_and_hooks[RUN], replace(need, context=by_code)).allowed
        assert not judge(with_network_and_hooks[WORKER], need).allowed


def test_functions_are_put_into_the_stack_s_network_and_into_no_other(
    with_network_and_hooks: dict[str, RolePolicies],
) -> None:
    function = FUNCTIONS + "networked-rule-a"
    elsewhere = {**NETWORK, "lambda:subnetids": ("subnet-01234567", "subnet-00000000")}
    open_to_all = {**NETWORK, "lambda:securitygroupids": ("sg-00000000",)}
    for role in MAKERS:
        for action in ("lambda:CreateFunction", "lambda:UpdateFunctionConfiguration"):
            allowed = {
                name: judge(with_network_and_hooks[role], Need(action, function, context)).allowed
                for name, context in (("none", {}), ("ours", NETWORK), ("other", elsewhere), ("open", open_to_all))
            }
            assert allowed == {"none": True, "ours": True, "other": False, "open": False}
        assert judge(with_network_and_hooks[role], Need("ec2:DescribeSubnets", "*")).allowed


def test_hooks_that_are_allowed_are_called_by_whoever_runs_manages_or_reconciles(
    with_network_and_hooks: dict[str, RolePolicies],
) -> None:
    called = {
        (role, hook)
        for role in ROLES
        for hook in ("freeze", "thaw:live", "thaw:7", "freeze-more", "another")
        if judge(with_network_and_hooks[role], Need("lambda:InvokeFunction", FUNCTIONS + hook)).allowed
    }
    assert called == {(role, hook) for role in (RUN, *MAKERS) for hook in ("freeze", "thaw:live", "thaw:7")}


def test_every_call_that_the_code_names_is_granted_to_some_role_even_where_no_test_makes_it() -> None:
    layer = REPOSITORY / "layers" / "rdbkeeper" / "rdbkeeper"
    called = called_actions(layer / "aws", layer / "sources", layer / "vaults")
    assert not {name: actions for name, actions in called.items() if not actions & permitted()}


# ------------------------------------------------------------------------------------- after all the other tests


def owner(policy: str) -> str:
    """The logical id of a policy, or of the role whose own it is."""
    # What a stack of the same name has left behind makes the next one count its names.
    return re.sub(r"-\d+$", "", policy).removeprefix(f"{STACK}-")


@pytest.mark.looks_back
def test_what_is_granted_was_used(whole_suite: None, policies: dict[str, RolePolicies]) -> None:
    used = {(owner(use.policy), use.sid, granted) for use in RECORD.uses for granted in (use.action, use.pattern)}
    granted = {
        (owner(statement.policy), statement.sid, granted)
        for role in ROLES
        for statement in policies[role].identity
        if OWN_ROLE not in statement.resources  # which is only there because this deployment names such a role
        for granted in (*statement.actions, *statement.resources)
    }
    assert granted - used == set(UNUSED)


@pytest.mark.looks_back
def test_nothing_that_the_stack_s_functions_asked_for_was_refused() -> None:
    assert not [refusal for refusal in sorted(RECORD.refusals) if refusal.role.startswith(f"{STACK}-")]


@pytest.mark.looks_back
def test_moto_permits_every_call_that_was_let_through() -> None:
    doubtful = [asked.need for asked in RECORD.allowed if not moto_permits(asked.policies, asked.need)]
    assert not doubtful
