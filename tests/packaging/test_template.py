"""What template.yaml promises about parameters, state and buckets, read from the file itself."""

import re

import pytest

from tests.local_cloud.template_reader import Resource
from tests.packaging.template import RESOURCES, TEMPLATE, TEMPLATE_FILE, of_type

INTERFACE = "AWS::CloudFormation::Interface"


def test_a_stack_can_be_made_without_giving_any_parameter() -> None:
    for name, parameter in TEMPLATE.parameters.items():
        default = str(parameter["Default"])
        assert re.fullmatch(parameter.get("AllowedPattern", ".*"), default), name
        assert "Description" in parameter, name
        assert "ConstraintDescription" in parameter, name


def test_every_parameter_has_a_label_and_its_place_in_the_console() -> None:
    text = TEMPLATE_FILE.read_text(encoding="utf-8")
    interface = text[text.index(INTERFACE) : text.index("\nParameters:\n")]
    listed = [name.strip() for group in re.findall(r"Parameters: \[(.*)\]", interface) for name in group.split(",")]
    labelled = re.findall(r"^      (\w+): \{default: .+\}$", interface, re.MULTILINE)
    assert sorted(listed) == sorted(labelled) == sorted(TEMPLATE.parameters)


@pytest.mark.parametrize(
    "arn, allowed",
    [
        ("arn:aws:iam::000000000000:role/orders-backup", True),
        ("arn:aws-cn:iam::000000000000:role/team/orders", True),
        ("", True),
        ("orders-backup", False),
        ("arn:aws:iam::000000000000:user/orders", False),
        ("arn:aws:iam::*:role/orders", False),
    ],
)
def test_only_the_arns_of_roles_can_be_allowed(arn: str, allowed: bool) -> None:
    pattern = TEMPLATE.parameters["AllowedRuleRoleArns"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, arn)) is allowed


@pytest.mark.parametrize(
    "parameter, value, allowed",
    [
        ("VaultBucketName", "", True),
        ("VaultBucketName", "acme-redis-backups", True),
        ("VaultBucketName", "arn:aws:s3:::acme-redis-backups", False),
        ("VaultBucketName", "Acme", False),
        ("AllowedVaultBucketArns", "", True),
        ("AllowedVaultBucketArns", "arn:aws-us-gov:s3:::acme-redis-backups", True),
        ("AllowedVaultBucketArns", "arn:aws:s3:::*", False),
        ("AllowedVaultBucketArns", "arn:aws:s3:::acme-redis-backups/*", False),
        ("AllowedVaultRoleArns", "arn:aws:iam::000000000000:role/team/vaults", True),
        ("AllowedVaultRoleArns", "arn:aws:iam::*:role/vaults", False),
        ("AllowedVaultKeyArns", "arn:aws:kms:eu-west-1:000000000000:key/mrk-0123", True),
        ("AllowedVaultKeyArns", "arn:aws:kms:eu-west-1:000000000000:alias/vaults", False),
        ("AllowedVaultKeyArns", "*", False),
        ("VpcSubnetIds", "", True),
        ("VpcSubnetIds", "subnet-0123456789abcdef0", True),
        ("VpcSubnetIds", "vpc-0123456789abcdef0", False),
        ("VpcSecurityGroupIds", "sg-01234567", True),
        ("VpcSecurityGroupIds", "default", False),
        ("AllowedHookFunctionArns", "", True),
        ("AllowedHookFunctionArns", "arn:aws:lambda:eu-west-1:000000000000:function:freeze-orders", True),
        ("AllowedHookFunctionArns", "arn:aws:lambda:eu-west-1:000000000000:function:freeze-orders:live", False),
        ("AllowedHookFunctionArns", "arn:aws:lambda:eu-west-1:000000000000:function:*", False),
        ("TencentEndpoint", "", True),
        ("TencentEndpoint", "redis.ap-singapore.tencentcloudapi.com", True),
        ("TencentEndpoint", "https://redis.tencentcloudapi.com", True),
        ("TencentEndpoint", "https://redis.tencentcloudapi.com/path", False),
        ("TencentFileHosts", "", True),
        ("TencentFileHosts", ".myqcloud.com,files.example.com", True),
        ("TencentFileHosts", "*.myqcloud.com", False),
        ("TencentFileHosts", ".myqcloud.com, .example.com", False),
    ],
)
def test_what_is_allowed_is_named_and_never_a_pattern(parameter: str, value: str, allowed: bool) -> None:
    assert bool(re.fullmatch(TEMPLATE.parameters[parameter]["AllowedPattern"], value)) is allowed


def test_the_default_vault_s_bucket_keeps_versions_and_frees_what_was_removed_after_a_month() -> None:
    bucket = RESOURCES["VaultBucket"].properties
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert all(rule["Status"] == "Enabled" for rule in rules.values())
    assert rules["abort-unfinished-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    freeing = rules["free-what-was-removed"]
    assert freeing["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert freeing["ExpiredObjectDeleteMarker"] is True
    # What is current is removed by retention alone.
    assert not [rule for rule in rules.values() if {"ExpirationInDays", "ExpirationDate", "Transitions"} & set(rule)]


def test_the_default_vault_s_bucket_can_lock_copies_and_locks_none_by_itself() -> None:
    bucket = RESOURCES["VaultBucket"].properties
    assert bucket["ObjectLockEnabled"] is True
    assert bucket["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled"}


def test_a_bucket_is_made_only_where_none_was_given() -> None:
    assert TEMPLATE.conditions["MakesVaultBucket"] == {"Fn::Equals": [{"Ref": "VaultBucketName"}, ""]}
    for name in ("VaultBucket", "VaultBucketPolicy"):
        assert RESOURCES[name].condition == "MakesVaultBucket"


def test_the_vault_and_the_table_outlive_the_stack() -> None:
    text = TEMPLATE_FILE.read_text(encoding="utf-8")
    for name in ("Table", "VaultBucket", "VaultBucketPolicy"):
        body = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", text, re.MULTILINE)
        assert body
        assert "    DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n" in body[1]


def test_old_runs_and_deletions_leave_the_table_by_themselves() -> None:
    table = RESOURCES["Table"].properties
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


@pytest.mark.parametrize("bucket", of_type("AWS::S3::Bucket"), ids=lambda bucket: bucket.logical_id)
def test_buckets_are_private_and_restorable_from(bucket: Resource) -> None:
    assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}
    encryption = bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption == [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    policies = [
        policy
        for policy in of_type("AWS::S3::BucketPolicy")
        if policy.properties["Bucket"] == {"Ref": bucket.logical_id}
    ]
    (policy,) = policies
    denied = [part for part in policy.properties["PolicyDocument"]["Statement"] if part["Effect"] == "Deny"]
    assert [part["Condition"] for part in denied] == [{"Bool": {"aws:SecureTransport": False}}]


def test_what_is_staged_is_written_by_both_providers_and_taken_over_by_the_account() -> None:
    # "Exporting a snapshot" in MemoryDB's guide asks for ACLs; a copy's own bucket goes without.
    ownership = {
        name: RESOURCES[name].properties["OwnershipControls"]["Rules"][0]["ObjectOwnership"]
        for name in ("StagingBucket", "VaultBucket")
    }
    assert ownership == {"StagingBucket": "BucketOwnerPreferred", "VaultBucket": "BucketOwnerEnforced"}
    (allowed,) = [
        part
        for part in RESOURCES["StagingBucketPolicy"].properties["PolicyDocument"]["Statement"]
        if part["Effect"] == "Allow"
    ]
    services = {service["Fn::Sub"] for service in allowed["Principal"]["Service"]}
    assert services == {f"${{AWS::Region}}.{name}-snapshot.amazonaws.com" for name in ("elasticache", "memorydb")}


def test_whatever_a_linter_is_told_to_skip_has_a_reason() -> None:
    skips = [
        (name, skip)
        for name, resource in RESOURCES.items()
        for skip in resource.metadata.get("checkov", {}).get("skip", ())
    ]
    assert skips
    for name, skip in skips:
        assert re.fullmatch(r"CKV_\w+", skip["id"]), name
        assert len(skip["comment"].split()) >= 4, (name, skip)
