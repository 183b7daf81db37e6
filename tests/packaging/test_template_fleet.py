"""What the functions of template.yaml are given, and how the fleet follows the stack: order, timer and alarms."""

import importlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from rdbkeeper.domain.fleet.settings import NO_NETWORK, RULE_VARIABLE, FleetSettings, Network
from rdbkeeper.domain.metrics import NAMESPACE, RECONCILED, WRITES_STILL_FROZEN, stack_dimensions
from rdbkeeper.entry.requests import parse_reconcile
from rdbkeeper.entry.settings import ManageSettings, RunSettings, StoreSettings
from tests.local_cloud.alarm_states import alarm_state
from tests.local_cloud.metrics import Datapoint
from tests.local_cloud.template_reader import Resource
from tests.packaging.template import REPOSITORY, RESOURCES, TEMPLATE, names_in, needed_by, of_type

FLEET = RESOURCES["RuleFleet"]
ALARM = RESOURCES["ReconcileSilentAlarm"]
STILL_FROZEN = RESOURCES["WritesStillFrozenAlarm"]
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TIMER = RESOURCES["ReconcileTimer"]

# What runs need while the fleet is being taken down, and what takes it down.
NEEDED_TO_THE_END = {
    "AlarmTopic",
    "CopyLegFunction",
    "CopyLegLogs",
    "CopyLegRole",
    "FleetPolicy",
    "HookPolicy",
    "RdbkeeperLayer",
    "ReconcileRulesFunction",
    "ReconcileRulesLogs",
    "ReconcileRulesRole",
    "RunRuleFunction",
    "RunRuleLogs",
    "RunRuleRole",
    "ScheduleGroup",
    "SchedulerRole",
    "StagingBucket",
    "StagingBucketPolicy",
    "Table",
    "VaultAccessPolicy",
    "VaultBucket",
    "VaultBucketPolicy",
    "VaultPolicy",
}


# ---------------------------------------------------------------------------------------------- custom resource


def test_the_fleet_comes_after_all_that_it_needs_and_goes_before_it() -> None:
    assert needed_by("RuleFleet") == NEEDED_TO_THE_END


@pytest.mark.parametrize("name", ["ManageRulesFunction", "ReconcileTimer"])
def test_nothing_makes_a_rule_s_function_after_the_fleet_was_taken_down(name: str) -> None:
    assert "RuleFleet" in RESOURCES[name].depends_on


def test_the_fleet_follows_the_prototype_s_code_and_every_setting_of_it() -> None:
    prototype = RESOURCES["RunRuleFunction"].properties
    # Any property of the function that is written in the template; what it names has a value of its own.
    assert prototype["AutoPublishAliasAllProperties"] is True
    assert FLEET.properties["PrototypeVersion"] == {"Ref": "RunRuleFunction.Version"}
    assert names_in(prototype) - {"RunRuleLogs"} <= names_in(FLEET.properties)


def test_the_fleet_follows_every_other_setting_of_the_stack() -> None:
    settings = RESOURCES["ReconcileRulesFunction"].properties["Environment"]
    assert names_in(settings) <= names_in(FLEET.properties)


def test_cloudformation_waits_longer_than_the_function_may_take_and_not_for_an_hour() -> None:
    assert FLEET.properties["ServiceToken"] == {"Fn::GetAtt": ["ReconcileRulesFunction", "Arn"]}
    longest_s = RESOURCES["ReconcileRulesFunction"].properties["Timeout"]
    assert longest_s < FLEET.properties["ServiceTimeout"] <= longest_s + 60


# -------------------------------------------------------------------------------------------- timer and alarms


def test_the_timer_asks_for_reconciling_every_hour() -> None:
    target = TIMER.properties["Target"]
    assert target["Arn"] == {"Fn::GetAtt": ["ReconcileRulesFunction", "Arn"]}
    assert target["RoleArn"] == {"Fn::GetAtt": ["ReconcileTimerRole", "Arn"]}
    command = parse_reconcile(json.loads(target["Input"]))
    assert (command.closely, command.dry_run) == (False, False)
    assert re.fullmatch(r"cron\([1-5]?\d \* \* \* \? \*\)", TIMER.properties["ScheduleExpression"])
    assert TIMER.properties["State"] == "ENABLED"


def test_the_timer_is_not_among_the_rules_schedules() -> None:
    assert "GroupName" not in TIMER.properties
    assert "schedule-group/default" in str(RESOURCES["ReconcileTimerRole"].properties)


@pytest.mark.parametrize("alarm, metric", [(ALARM, RECONCILED), (STILL_FROZEN, WRITES_STILL_FROZEN)])
def test_an_alarm_reads_the_metric_that_reconciling_writes(alarm: Resource, metric: str) -> None:
    dimensions = tuple((found["Name"], found["Value"]) for found in alarm.properties["Dimensions"])
    # As CloudFormation will have it: the stack's name in place of its pseudo parameter.
    written = tuple(
        (name, {"Ref": "AWS::StackName"} if value == "s" else value) for name, value in stack_dimensions("s")
    )
    assert (alarm.properties["Namespace"], alarm.properties["MetricName"]) == (NAMESPACE, metric)
    assert dimensions == written


def test_the_alarm_goes_off_after_three_hours_without_reconciling() -> None:
    properties = ALARM.properties
    assert properties["Period"] * properties["EvaluationPeriods"] == 3 * 3600
    assert properties["DatapointsToAlarm"] == properties["EvaluationPeriods"]
    assert (properties["Statistic"], properties["ComparisonOperator"], properties["Threshold"]) == (
        "Sum",
        "LessThanThreshold",
        1,
    )
    assert properties["TreatMissingData"] == "breaching"
    assert properties["AlarmActions"] == [{"Ref": "AlarmTopic"}]
    assert "RuleFleet" in ALARM.depends_on


@pytest.mark.parametrize(
    "looks, state",
    [((0, 0, 0), "OK"), ((0, 0, 1), "ALARM"), ((2, 2, 2), "ALARM"), ((1, 1, 0), "OK"), ((), "as it was")],
)
def test_the_alarm_goes_off_at_the_first_look_that_could_not_thaw_and_is_over_when_none_is_left(
    looks: tuple[int, ...], state: str
) -> None:
    properties, of_stack = STILL_FROZEN.properties, dict(stack_dimensions("s"))
    alarm = {**properties, "Dimensions": [{"Name": name, "Value": value} for name, value in of_stack.items()]}
    newest_ms = int(NOW.timestamp() * 1000) - 60_000
    points = [
        Datapoint(NAMESPACE, WRITES_STILL_FROZEN, of_stack, value, newest_ms - age * 3_600_000)
        for age, value in enumerate(reversed(looks))
    ]
    assert alarm_state(alarm, points, NOW, state_before="as it was") == state
    assert properties["AlarmActions"] == [{"Ref": "AlarmTopic"}]


def test_an_address_is_told_only_where_one_is_given() -> None:
    subscription = RESOURCES["AlarmSubscription"]
    assert subscription.condition == "HasAlarmEmail"
    assert subscription.properties["TopicArn"] == {"Ref": "AlarmTopic"}
    assert "KmsMasterKeyId" not in RESOURCES["AlarmTopic"].properties


# ----------------------------------------------------------------------------------------------------- functions


@pytest.mark.parametrize("function", of_type("AWS::Serverless::Function"), ids=lambda function: function.logical_id)
def test_each_handler_is_where_the_template_says(function: Resource) -> None:
    module, _, name = function.properties["Handler"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))
    assert (REPOSITORY / function.properties["CodeUri"] / module.replace(".", "/")).with_suffix(".py").is_file()


@pytest.mark.parametrize("function", of_type("AWS::Serverless::Function"), ids=lambda function: function.logical_id)
def test_each_function_logs_into_its_own_group(function: Resource) -> None:
    group = RESOURCES[function.properties["LoggingConfig"]["LogGroup"]["Ref"]].properties["LogGroupName"]
    assert group == {"Fn::Sub": "/aws/lambda/" + function.properties["FunctionName"]["Fn::Sub"]}


def test_the_prototype_is_durable_and_lives_as_long_as_a_run() -> None:
    durable = RESOURCES["RunRuleFunction"].properties["DurableConfig"]
    assert durable == {"ExecutionTimeout": 86_400, "RetentionPeriodInDays": 14}


class AskedFor(dict[str, str]):
    """An environment that has everything, and remembers what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> str:
        self.names.add(name)
        return "1"

    def __getitem__(self, name: str) -> str:
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        return bool(self.get(str(name)))


def asked_for(settings: Any) -> set[str]:
    environment = AskedFor()
    settings.from_environment(environment)
    return {name for name in environment.names if name.startswith("RDBKEEPER_")}  # AWS_REGION is Lambda's own


def variables_of(logical_id: str) -> Mapping[str, Any]:
    variables = RESOURCES[logical_id].properties["Environment"]["Variables"]
    return {name: value for name, value in variables.items() if name.startswith("RDBKEEPER_")}


def test_each_function_is_given_what_its_settings_ask_for_and_nothing_else() -> None:
    # The prototype belongs to no rule; a rule's function is given its rule's name.
    for_everyone = {"RDBKEEPER_STACK", "RDBKEEPER_STACK_ID"}
    assert set(variables_of("RunRuleFunction")) == (asked_for(RunSettings) - {RULE_VARIABLE}) | for_everyone
    assert set(variables_of("CopyLegFunction")) == asked_for(StoreSettings) | for_everyone
    assert set(variables_of("ManageRulesFunction")) == asked_for(ManageSettings)


def test_a_run_knows_how_long_its_invocations_and_those_of_its_workers_may_live() -> None:
    limit = variables_of("RunRuleFunction")["RDBKEEPER_INVOCATION_SECONDS"]
    assert {RESOURCES[name].properties["Timeout"] for name in ("RunRuleFunction", "CopyLegFunction")} == {limit}


def test_a_run_calls_the_workers_that_were_deployed_with_it_also_after_the_next_deploy() -> None:
    worker = RESOURCES["CopyLegFunction"].properties
    assert variables_of("RunRuleFunction")["RDBKEEPER_COPY_LEG_FUNCTION"] == {"Ref": "CopyLegFunction.Version"}
    assert worker["AutoPublishAlias"]
    assert worker["AutoPublishAliasAllProperties"] is True
    assert worker.get("VersionDeletionPolicy", "Retain") == "Retain"
    assert "DurableConfig" not in worker


def test_who_manages_and_who_reconciles_see_the_same_stack() -> None:
    assert variables_of("ManageRulesFunction") == variables_of("ReconcileRulesFunction")
    # By which CloudFormation's events, and places of another stack of this name, are told from our own.
    assert variables_of("ManageRulesFunction")["RDBKEEPER_STACK_ID"] == {"Ref": "AWS::StackId"}


def test_no_allowed_roles_and_several_are_read_as_the_template_gives_them() -> None:
    assert variables_of("ManageRulesFunction")["RDBKEEPER_RULE_ROLE_ARNS"] == {
        "Fn::Join": [",", {"Ref": "AllowedRuleRoleArns"}]
    }
    assert TEMPLATE.parameters["AllowedRuleRoleArns"]["Default"] == ""
    for joined, read in (("", ()), ("a", ("a",)), ("a,b", ("a", "b"))):
        environment = dict.fromkeys(asked_for(ManageSettings), "1") | {"RDBKEEPER_RULE_ROLE_ARNS": joined}
        assert ManageSettings.from_environment(environment).fleet.rule_role_arns == read


def test_the_hooks_that_the_stack_allows_are_read_as_the_template_gives_them() -> None:
    for function in ("ManageRulesFunction", "ReconcileRulesFunction"):
        given = variables_of(function)["RDBKEEPER_HOOK_FUNCTION_ARNS"]
        assert given == {"Fn::Join": [",", {"Ref": "AllowedHookFunctionArns"}]}
    for joined, read in (("", ()), ("a,b", ("a", "b"))):
        environment = dict.fromkeys(asked_for(ManageSettings), "1") | {"RDBKEEPER_HOOK_FUNCTION_ARNS": joined}
        assert ManageSettings.from_environment(environment).fleet.hook_function_arns == read


def test_a_network_is_read_as_the_template_gives_it() -> None:
    given = {"VpcSubnetIds": "RDBKEEPER_VPC_SUBNET_IDS", "VpcSecurityGroupIds": "RDBKEEPER_VPC_SECURITY_GROUP_IDS"}
    for parameter, variable in given.items():
        assert variables_of("ManageRulesFunction")[variable] == {"Fn::Join": [",", {"Ref": parameter}]}
        assert TEMPLATE.parameters[parameter]["Default"] == ""
    ids = {"RDBKEEPER_VPC_SUBNET_IDS": "subnet-2,subnet-1", "RDBKEEPER_VPC_SECURITY_GROUP_IDS": "sg-1"}
    for environment, read in (
        (ids, Network(("subnet-1", "subnet-2"), ("sg-1",))),
        (dict.fromkeys(ids, ""), NO_NETWORK),
    ):
        everything = dict.fromkeys(asked_for(ManageSettings), "1") | environment
        assert ManageSettings.from_environment(everything).fleet.network == read


@pytest.mark.parametrize("function", of_type("AWS::Serverless::Function"), ids=lambda function: function.logical_id)
def test_no_function_of_the_template_is_in_a_network(function: Resource) -> None:
    # Those of rules that reach a server directly are put there, each by itself.
    assert "VpcConfig" not in function.properties


def test_a_rule_s_function_name_fits_beside_the_longest_stack_name() -> None:
    stack = FleetSettings("s" * 27, "p", "r", "g", 90, "t")
    stack.check_function_name("r" * 31)
