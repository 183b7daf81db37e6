"""What real requests of boto3 need to be allowed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.sent_requests import call_of
from tests.local_cloud.permissions.calls import Call, UnknownCallError
from tests.local_cloud.permissions.needs import Place
from tests.local_cloud.permissions.policy import Need
from tests.local_cloud.permissions.table import needs_of

HERE = Place("000000000000", "us-east-1")
FUNCTION = HERE.arn("lambda", "function:stack-rule-a")
EXECUTION = f"{FUNCTION}:1/durable-execution/name/id"
LAYER = HERE.arn("lambda", "layer:stack:3")
SCHEDULE = HERE.arn("scheduler", "schedule/stack/a")
GROUP = HERE.arn("logs", "log-group:/aws/lambda/stack-rule-a")
ALARM = HERE.arn("cloudwatch", "alarm:stack-rule-a-overdue")
TABLE = HERE.arn("dynamodb", "table/Table")
NETWORK = {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
RUN_ROLE = "arn:aws:iam::000000000000:role/stack-RunRuleRole"
SCHEDULER_ROLE = "arn:aws:iam::000000000000:role/stack-SchedulerRole"
VAULT_ROLE = "arn:aws:iam::000000000000:role/vaults"
VAULT_KEY = HERE.arn("kms", "key/0001")
TAGS = {"rdbkeeper:stack": "stack"}
TAG_CONTEXT = {"aws:requesttag/rdbkeeper:stack": ("stack",), "aws:tagkeys": ("rdbkeeper:stack",)}
TARGET = {"Arn": f"{FUNCTION}:live", "RoleArn": SCHEDULER_ROLE}
TIMING = {"ScheduleExpression": "rate(1 hours)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": TARGET}
KEY = {"pk": {"S": "rules"}, "sk": {"S": "a"}}


def leading(*keys: str) -> dict[str, tuple[str, ...]]:
    return {"dynamodb:leadingkeys": keys}


def needs(service: str, operation: str, **parameters: Any) -> list[Need]:
    return needs_of(call_of(service, operation, **parameters), HERE)


ONE_NEED = [
    ("lambda", "get_function", {"FunctionName": "stack-rule-a"}, "lambda:GetFunction", FUNCTION),
    ("lambda", "get_function", {"FunctionName": f"{FUNCTION}:live"}, "lambda:GetFunction", f"{FUNCTION}:live"),
    ("lambda", "get_function_configuration", {"FunctionName": "stack-rule-a", "Qualifier": "3"},
     "lambda:GetFunctionConfiguration", f"{FUNCTION}:3"),
    ("lambda", "list_functions", {"FunctionVersion": "ALL"}, "lambda:ListFunctions", "*"),
    ("lambda", "list_versions_by_function", {"FunctionName": "stack-rule-a"},
     "lambda:ListVersionsByFunction", FUNCTION),
    ("lambda", "get_alias", {"FunctionName": "stack-rule-a", "Name": "live"}, "lambda:GetAlias", FUNCTION),
    ("lambda", "create_alias", {"FunctionName": "stack-rule-a", "Name": "live", "FunctionVersion": "1"},
     "lambda:CreateAlias", FUNCTION),
    ("lambda", "update_alias", {"FunctionName": "stack-rule-a", "Name": "live"}, "lambda:UpdateAlias", FUNCTION),
    ("lambda", "update_function_code", {"FunctionName": "stack-rule-a", "ZipFile": b"PK"},
     "lambda:UpdateFunctionCode", FUNCTION),
    ("lambda", "publish_version", {"FunctionName": "stack-rule-a"}, "lambda:PublishVersion", FUNCTION),
    ("lambda", "delete_function", {"FunctionName": "stack-rule-a"}, "lambda:DeleteFunction", FUNCTION),
    ("lambda", "delete_function", {"FunctionName": "stack-rule-a", "Qualifier": "2"},
     "lambda:DeleteFunction", f"{FUNCTION}:2"),
    ("lambda", "list_tags", {"Resource": FUNCTION}, "lambda:ListTags", FUNCTION),
    ("lambda", "list_durable_executions_by_function",
     {"FunctionName": "stack-rule-a", "Qualifier": "2", "Statuses": ["RUNNING"]},
     "lambda:ListDurableExecutionsByFunction", f"{FUNCTION}:2"),
    ("lambda", "stop_durable_execution", {"DurableExecutionArn": EXECUTION}, "lambda:StopDurableExecution", EXECUTION),
    ("lambda", "get_durable_execution", {"DurableExecutionArn": EXECUTION}, "lambda:GetDurableExecution", EXECUTION),
    ("lambda", "get_durable_execution_state", {"DurableExecutionArn": EXECUTION, "CheckpointToken": "t"},
     "lambda:GetDurableExecutionState", EXECUTION),
    ("lambda", "checkpoint_durable_execution", {"DurableExecutionArn": EXECUTION, "CheckpointToken": "t"},
     "lambda:CheckpointDurableExecution", EXECUTION),
    ("lambda", "invoke", {"FunctionName": "stack-rule-a", "Qualifier": "live", "InvocationType": "Event"},
     "lambda:InvokeFunction", f"{FUNCTION}:live"),
    ("scheduler", "get_schedule", {"GroupName": "stack", "Name": "a"}, "scheduler:GetSchedule", SCHEDULE),
    ("scheduler", "delete_schedule", {"GroupName": "stack", "Name": "a"}, "scheduler:DeleteSchedule", SCHEDULE),
    ("scheduler", "list_schedules", {"GroupName": "stack"},
     "scheduler:ListSchedules", HERE.arn("scheduler", "schedule/*/*")),
    ("logs", "put_retention_policy", {"logGroupName": "/aws/lambda/stack-rule-a", "retentionInDays": 90},
     "logs:PutRetentionPolicy", f"{GROUP}:log-stream:"),
    ("logs", "describe_log_groups", {"logGroupNamePrefix": "/aws/lambda/stack-rule-"},
     "logs:DescribeLogGroups", HERE.arn("logs", "log-group::log-stream:")),
    ("cloudwatch", "describe_alarms", {"AlarmNamePrefix": "stack-rule-"},
     "cloudwatch:DescribeAlarms", HERE.arn("cloudwatch", "alarm:*")),
    ("cloudwatch", "delete_alarms", {"AlarmNames": ["stack-rule-a-overdue"]}, "cloudwatch:DeleteAlarms", ALARM),
    ("cloudwatch", "list_tags_for_resource", {"ResourceARN": ALARM}, "cloudwatch:ListTagsForResource", ALARM),
    ("resourcegroupstaggingapi", "get_resources", {"ResourceTypeFilters": ["lambda:function"]},
     "tag:GetResources", "*"),
    ("elasticache", "describe_replication_groups", {"ReplicationGroupId": "orders"},
     "elasticache:DescribeReplicationGroups", HERE.arn("elasticache", "replicationgroup:orders")),
    ("elasticache", "describe_cache_clusters", {},
     "elasticache:DescribeCacheClusters", HERE.arn("elasticache", "cluster:*")),
    ("elasticache", "describe_snapshots", {"ReplicationGroupId": "orders"},
     "elasticache:DescribeSnapshots", HERE.arn("elasticache", "snapshot:*")),
    ("s3", "head_object", {"Bucket": "vault", "Key": "a/b c"}, "s3:GetObject", "arn:aws:s3:::vault/a/b c"),
    ("s3", "get_object", {"Bucket": "vault", "Key": "a", "IfMatch": "e"}, "s3:GetObject", "arn:aws:s3:::vault/a"),
    ("s3", "put_object", {"Bucket": "vault", "Key": "a", "Body": b"x", "IfNoneMatch": "*"},
     "s3:PutObject", "arn:aws:s3:::vault/a"),
    ("s3", "create_multipart_upload", {"Bucket": "vault", "Key": "a"}, "s3:PutObject", "arn:aws:s3:::vault/a"),
    ("s3", "upload_part", {"Bucket": "vault", "Key": "a", "UploadId": "u", "PartNumber": 1, "Body": b"x"},
     "s3:PutObject", "arn:aws:s3:::vault/a"),
    ("s3", "complete_multipart_upload", {"Bucket": "vault", "Key": "a", "UploadId": "u"},
     "s3:PutObject", "arn:aws:s3:::vault/a"),
    ("s3", "abort_multipart_upload", {"Bucket": "vault", "Key": "a", "UploadId": "u"},
     "s3:AbortMultipartUpload", "arn:aws:s3:::vault/a"),
    ("s3", "list_parts", {"Bucket": "vault", "Key": "a", "UploadId": "u"},
     "s3:ListMultipartUploadParts", "arn:aws:s3:::vault/a"),
    ("s3", "list_multipart_uploads", {"Bucket": "vault"}, "s3:ListBucketMultipartUploads", "arn:aws:s3:::vault"),
    ("s3", "delete_object", {"Bucket": "vault", "Key": "a"}, "s3:DeleteObject", "arn:aws:s3:::vault/a"),
    ("s3", "delete_object", {"Bucket": "vault", "Key": "a", "VersionId": "v"},
     "s3:DeleteObjectVersion", "arn:aws:s3:::vault/a"),
    ("s3", "list_buckets", {}, "s3:ListAllMyBuckets", "*"),
    ("s3", "head_bucket", {"Bucket": "vault"}, "s3:ListBucket", "arn:aws:s3:::vault"),
    ("s3", "get_bucket_versioning", {"Bucket": "vault"}, "s3:GetBucketVersioning", "arn:aws:s3:::vault"),
    ("s3", "get_object_lock_configuration", {"Bucket": "vault"},
     "s3:GetBucketObjectLockConfiguration", "arn:aws:s3:::vault"),
    ("s3", "get_object_retention", {"Bucket": "vault", "Key": "a"}, "s3:GetObjectRetention", "arn:aws:s3:::vault/a"),
    ("s3", "get_object_legal_hold", {"Bucket": "vault", "Key": "a"}, "s3:GetObjectLegalHold", "arn:aws:s3:::vault/a"),
    ("s3", "put_object_retention", {"Bucket": "vault", "Key": "a", "Retention": {"Mode": "GOVERNANCE"}},
     "s3:PutObjectRetention", "arn:aws:s3:::vault/a"),
    ("sts", "assume_role", {"RoleArn": VAULT_ROLE, "RoleSessionName": "rdbkeeper"}, "sts:AssumeRole", VAULT_ROLE),
    ("secretsmanager", "get_secret_value", {"SecretId": "rdbkeeper/minio"},
     "secretsmanager:GetSecretValue", HERE.arn("secretsmanager", "secret:rdbkeeper/minio-000000")),
]  # fmt: skip


@pytest.mark.parametrize(("service", "operation", "parameters", "action", "resource"), ONE_NEED)
def test_an_operation_needs_one_action_on_one_resource(
    service: str, operation: str, parameters: dict[str, Any], action: str, resource: str
) -> None:
    assert needs(service, operation, **parameters) == [Need(action, resource)]


def test_making_a_function_needs_its_layers_its_role_and_its_tags() -> None:
    made = needs(
        "lambda",
        "create_function",
        FunctionName="stack-rule-a",
        Role=RUN_ROLE,
        Code={"ZipFile": b"PK"},
        Layers=[LAYER],
        Tags=TAGS,
    )
    assert made == [
        Need("lambda:CreateFunction", FUNCTION, {"lambda:layer": (LAYER,), **TAG_CONTEXT}),
        Need("lambda:GetLayerVersion", LAYER),
        Need("iam:PassRole", RUN_ROLE, {"iam:passedtoservice": ("lambda.amazonaws.com",)}),
        Need("lambda:TagResource", FUNCTION, TAG_CONTEXT),
    ]


def test_changing_a_function_needs_the_layers_and_the_role_that_it_names() -> None:
    changed = needs(
        "lambda", "update_function_configuration", FunctionName="stack-rule-a", Role=RUN_ROLE, Layers=[LAYER]
    )
    assert changed == [
        Need("lambda:UpdateFunctionConfiguration", FUNCTION, {"lambda:layer": (LAYER,)}),
        Need("lambda:GetLayerVersion", LAYER),
        Need("iam:PassRole", RUN_ROLE, {"iam:passedtoservice": ("lambda.amazonaws.com",)}),
    ]
    only_its_memory = needs("lambda", "update_function_configuration", FunctionName="stack-rule-a", MemorySize=512)
    assert only_its_memory == [Need("lambda:UpdateFunctionConfiguration", FUNCTION)]


def test_putting_a_function_into_a_network_needs_to_see_the_network() -> None:
    put = needs("lambda", "update_function_configuration", FunctionName="stack-rule-a", VpcConfig=NETWORK)
    context = {"lambda:subnetids": ("subnet-1", "subnet-2"), "lambda:securitygroupids": ("sg-1",)}
    assert put == [
        Need("lambda:UpdateFunctionConfiguration", FUNCTION, context),
        Need("ec2:DescribeSecurityGroups", "*"),
        Need("ec2:DescribeSubnets", "*"),
        Need("ec2:DescribeVpcs", "*"),
    ]
    outside = {"SubnetIds": [], "SecurityGroupIds": []}
    taken_out = needs("lambda", "update_function_configuration", FunctionName="stack-rule-a", VpcConfig=outside)
    assert taken_out == [Need("lambda:UpdateFunctionConfiguration", FUNCTION)]


@pytest.mark.parametrize("operation", ["create_schedule", "update_schedule"])
def test_a_schedule_needs_its_role(operation: str) -> None:
    action = "scheduler:" + operation.title().replace("_", "")
    assert needs("scheduler", operation, GroupName="stack", Name="a", **TIMING) == [
        Need(action, SCHEDULE),
        Need("iam:PassRole", SCHEDULER_ROLE, {"iam:passedtoservice": ("scheduler.amazonaws.com",)}),
    ]


def test_a_log_group_and_an_alarm_with_tags_need_to_be_tagged() -> None:
    assert needs("logs", "create_log_group", logGroupName="/aws/lambda/stack-rule-a", tags=TAGS) == [
        Need("logs:CreateLogGroup", f"{GROUP}:log-stream:", TAG_CONTEXT),
        Need("logs:TagResource", GROUP, TAG_CONTEXT),
    ]
    alarm = {"EvaluationPeriods": 1, "ComparisonOperator": "LessThanThreshold"}
    tags = [{"Key": key, "Value": value} for key, value in TAGS.items()]
    assert needs("cloudwatch", "put_metric_alarm", AlarmName="stack-rule-a-overdue", Tags=tags, **alarm) == [
        Need("cloudwatch:PutMetricAlarm", ALARM, TAG_CONTEXT),
        Need("cloudwatch:TagResource", ALARM, TAG_CONTEXT),
    ]
    actions = {"AlarmActions": ["arn:one"], "OKActions": ["arn:two"]}
    assert needs("cloudwatch", "put_metric_alarm", AlarmName="stack-rule-a-overdue", **actions, **alarm) == [
        Need("cloudwatch:PutMetricAlarm", ALARM, {"cloudwatch:alarmactions": ("arn:one", "arn:two")})
    ]


def test_an_export_needs_what_elasticache_does_with_the_caller_s_rights() -> None:
    exported = needs(
        "elasticache", "copy_snapshot", SourceSnapshotName="a", TargetSnapshotName="b", TargetBucket="staging"
    )
    assert [(need.action, need.resource) for need in exported] == [
        ("elasticache:CopySnapshot", HERE.arn("elasticache", "snapshot:a")),
        ("elasticache:CopySnapshot", HERE.arn("elasticache", "snapshot:b")),
        ("s3:ListAllMyBuckets", "*"),
        ("s3:GetBucketLocation", "arn:aws:s3:::staging"),
        ("s3:GetBucketAcl", "arn:aws:s3:::staging"),
        ("s3:PutObject", "arn:aws:s3:::staging/b-0001.rdb"),
        ("s3:DeleteObject", "arn:aws:s3:::staging/b-0001.rdb"),
    ]


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("get_item", {"Key": KEY}),
        ("put_item", {"Item": KEY}),
        ("update_item", {"Key": KEY}),
        ("delete_item", {"Key": KEY}),
        ("query", {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": KEY["pk"]}}),
        ("query", {"KeyConditionExpression": "#p=:pk AND begins_with(sk, :s)", "ExpressionAttributeNames": {"#p": "pk"},
                   "ExpressionAttributeValues": {":pk": KEY["pk"], ":s": {"S": "a"}}}),
    ],
)  # fmt: skip
def test_a_request_to_the_table_tells_its_partition_key(operation: str, parameters: dict[str, Any]) -> None:
    action = "dynamodb:" + operation.title().replace("_", "")
    assert needs("dynamodb", operation, TableName="Table", **parameters) == [Need(action, TABLE, leading("rules"))]


def test_a_transaction_needs_what_its_parts_need() -> None:
    update = {"TableName": "Table", "Key": {"pk": {"S": "rule#a"}}, "UpdateExpression": "SET a = b"}
    check = {"TableName": "Table", "Key": KEY, "ConditionExpression": "attribute_exists(pk)"}
    items = [{"Put": {"TableName": "Table", "Item": KEY}}, {"Update": update}, {"ConditionCheck": check}]
    enclosing = {"dynamodb:enclosingoperation": ("TransactWriteItems",)}
    assert needs("dynamodb", "transact_write_items", TransactItems=items) == [
        Need("dynamodb:PutItem", TABLE, leading("rules") | enclosing),
        Need("dynamodb:UpdateItem", TABLE, leading("rule#a") | enclosing),
        Need("dynamodb:ConditionCheckItem", TABLE, leading("rules") | enclosing),
    ]


def test_a_batch_tells_all_its_partition_keys_and_a_scan_none() -> None:
    requests = [{"PutRequest": {"Item": KEY}}, {"DeleteRequest": {"Key": {"pk": {"S": "rule#a"}, "sk": {"S": "b"}}}}]
    assert needs("dynamodb", "batch_write_item", RequestItems={"Table": requests}) == [
        Need("dynamodb:BatchWriteItem", TABLE, leading("rules", "rule#a"))
    ]
    assert needs("dynamodb", "scan", TableName="Table") == [Need("dynamodb:Scan", TABLE)]


def test_a_write_under_a_condition_on_the_old_object_needs_to_read_it() -> None:
    deleted = needs("s3", "delete_object", Bucket="vault", Key="a", IfMatch='"etag"')
    assert deleted == [Need("s3:DeleteObject", "arn:aws:s3:::vault/a"), Need("s3:GetObject", "arn:aws:s3:::vault/a")]
    written = needs("s3", "put_object", Bucket="vault", Key="a", Body=b"", ObjectLockMode="GOVERNANCE", Tagging="a=b")
    assert {need.action for need in written} == {"s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectTagging"}


def test_an_object_under_a_key_of_one_s_own_needs_that_key() -> None:
    under_key = {"Bucket": "vault", "Key": "a", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": VAULT_KEY}
    arn = "arn:aws:s3:::vault/a"
    put = [Need("s3:PutObject", arn), Need("kms:GenerateDataKey", VAULT_KEY)]
    assert needs("s3", "put_object", Body=b"", **under_key) == put
    assert needs("s3", "create_multipart_upload", **under_key) == [*put, Need("kms:Decrypt", VAULT_KEY)]


def test_putting_an_end_to_a_lock_needs_a_permission_of_its_own() -> None:
    retention = {"Mode": "GOVERNANCE"}
    asked = needs(
        "s3", "put_object_retention", Bucket="b", Key="a", Retention=retention, BypassGovernanceRetention=True
    )
    assert {need.action for need in asked} == {"s3:PutObjectRetention", "s3:BypassGovernanceRetention"}


def test_a_listing_tells_its_prefix() -> None:
    listed = needs("s3", "list_objects_v2", Bucket="vault", Prefix="redis/")
    assert listed == [Need("s3:ListBucket", "arn:aws:s3:::vault", {"s3:prefix": ("redis/",)})]


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "named"),
    [
        ("lambda", "add_permission", {"FunctionName": "f", "StatementId": "s", "Action": "a", "Principal": "p"},
         "AddPermission"),
        ("s3", "copy_object", {"Bucket": "b", "Key": "k", "CopySource": "c/k"}, "CopyObject"),
        ("dynamodb", "delete_table", {"TableName": "Table"}, "DeleteTable"),
        ("secretsmanager", "put_secret_value", {"SecretId": "s"}, "PutSecretValue"),
        ("lambda", "create_function",
         {"FunctionName": "f", "Role": RUN_ROLE, "Code": {"ZipFile": b""}, "KMSKeyArn": "arn:aws:kms:us-east-1:0:key"},
         "KMSKeyArn"),
    ],
)  # fmt: skip
def test_a_call_that_nobody_wrote_down_is_an_error_that_names_it(
    service: str, operation: str, parameters: dict[str, Any], named: str
) -> None:
    with pytest.raises(UnknownCallError, match=named):
        needs(service, operation, **parameters)


def test_asking_who_one_is_needs_nothing() -> None:
    assert needs_of(Call("sts", "GetCallerIdentity"), HERE) == []
