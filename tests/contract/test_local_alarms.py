"""The local cloud keeps and refuses alarms as CloudWatch does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.lambda_lab import code_of
from tests.local_cloud.server import LocalCloud


@pytest.fixture
def cloudwatch(cloud: LocalCloud) -> Any:
    client = cloud.client("cloudwatch")
    while names := [one["AlarmName"] for one in client.describe_alarms()["MetricAlarms"]]:
        client.delete_alarms(AlarmNames=names)
    return client


def an_alarm(name: str = "overdue", **changes: Any) -> dict[str, Any]:
    alarm = {
        "AlarmName": name,
        "Namespace": "rdbkeeper",
        "MetricName": "Overdue",
        "Dimensions": [{"Name": "stack", "Value": "mine"}],
        "Statistic": "Maximum",
        "Period": 3600,
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 2,
        "Threshold": 0.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "breaching",
    }
    return alarm | changes


def arn_of(name: str) -> str:
    return f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{name}"


def test_an_alarm_is_kept_as_sent_and_begins_without_data(cloudwatch: Any) -> None:
    tags = [{"Key": "rdbkeeper:stack", "Value": "mine"}]
    cloudwatch.put_metric_alarm(**an_alarm(AlarmDescription="says it", Tags=tags))
    (kept,) = cloudwatch.describe_alarms(AlarmNames=["overdue"])["MetricAlarms"]
    sent = an_alarm(AlarmDescription="says it")
    assert {field: kept[field] for field in sent} == sent
    assert (kept["StateValue"], kept["AlarmArn"]) == ("INSUFFICIENT_DATA", arn_of("overdue"))
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn_of("overdue"))["Tags"] == tags


def test_an_update_replaces_all_but_the_state_and_the_tags(cloudwatch: Any) -> None:
    tags = [{"Key": "rdbkeeper:stack", "Value": "mine"}]
    cloudwatch.put_metric_alarm(**an_alarm(AlarmDescription="says it", Tags=tags))
    cloudwatch.set_alarm_state(AlarmName="overdue", StateValue="ALARM", StateReason="because")
    cloudwatch.put_metric_alarm(**an_alarm(Period=7200, Tags=[{"Key": "other", "Value": "tag"}]))
    (kept,) = cloudwatch.describe_alarms()["MetricAlarms"]
    assert (kept["Period"], kept["StateValue"], kept["StateReason"]) == (7200, "ALARM", "because")
    assert "AlarmDescription" not in kept
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn_of("overdue"))["Tags"] == tags


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("a period that is no minutes", {"Period": 90}),
    ("more than a day of short periods", {"Period": 300, "EvaluationPeriods": 289}),
    ("more than a week", {"Period": 86_400, "EvaluationPeriods": 8}),
    ("more points to alarm than periods", {"DatapointsToAlarm": 4}),
    ("an unknown treatment of missing data", {"TreatMissingData": "Breaching"}),
    ("a namespace that begins with a colon", {"Namespace": ":mine"}),
    ("a name that is too long", {"AlarmName": "n" * 256}),
    ("a name with a line feed", {"AlarmName": "two\nlines"}),
    ("a dimension twice", {"Dimensions": [{"Name": "stack", "Value": "a"}, {"Name": "stack", "Value": "b"}]}),
    ("too long a dimension", {"Dimensions": [{"Name": "stack", "Value": "v" * 1025}]}),
    ("too many dimensions", {"Dimensions": [{"Name": str(number), "Value": "v"} for number in range(31)]}),
    ("too long a description", {"AlarmDescription": "d" * 1025}),
    ("an action that is no topic", {"AlarmActions": ["mail@example.com"]}),
    ("a topic that does not exist", {"AlarmActions": ["arn:aws:sns:us-east-1:000000000000:nobody"]}),
    ("a tag of AWS's own", {"Tags": [{"Key": "aws:mine", "Value": "x"}]}),
    ("a setting that is not kept here", {"EvaluateLowSampleCountPercentile": "ignore"}),
]


@pytest.mark.parametrize("change", [change for _, change in REFUSED], ids=[what for what, _ in REFUSED])
def test_an_alarm_that_cloudwatch_would_refuse_is_refused(cloudwatch: Any, change: dict[str, Any]) -> None:
    assert code_of(lambda: cloudwatch.put_metric_alarm(**an_alarm() | change)) == "ValidationError"
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


@pytest.mark.parametrize("missing", ["MetricName", "Namespace", "Period", "Threshold"])
def test_an_alarm_says_what_it_watches(cloudwatch: Any, missing: str) -> None:
    alarm = an_alarm()
    del alarm[missing]
    assert code_of(lambda: cloudwatch.put_metric_alarm(**alarm)) == "ValidationError"


def test_an_alarm_has_one_statistic(cloudwatch: Any) -> None:
    alarm = an_alarm()
    del alarm["Statistic"]
    assert code_of(lambda: cloudwatch.put_metric_alarm(**alarm)) == "InvalidParameterCombination"


def test_an_alarm_tells_the_topic_that_it_names(cloud: LocalCloud, cloudwatch: Any) -> None:
    topic = cloud.client("sns").create_topic(Name="told")["TopicArn"]
    cloudwatch.put_metric_alarm(**an_alarm(AlarmActions=[topic], OKActions=[topic]))
    (found,) = cloudwatch.describe_alarms(ActionPrefix=topic)["MetricAlarms"]
    assert found["AlarmActions"] == [topic]


def test_alarms_are_found_by_prefix_in_pages(cloudwatch: Any) -> None:
    for number in range(101):
        cloudwatch.put_metric_alarm(**an_alarm(f"mine-{number:03d}"))
    cloudwatch.put_metric_alarm(**an_alarm("other"))
    first = cloudwatch.describe_alarms(AlarmNamePrefix="mine-", MaxRecords=100)
    assert len(first["MetricAlarms"]) == 100
    rest = cloudwatch.describe_alarms(AlarmNamePrefix="mine-", MaxRecords=100, NextToken=first["NextToken"])
    assert [one["AlarmName"] for one in rest["MetricAlarms"]] == ["mine-100"]
    assert "NextToken" not in rest
    assert len(cloudwatch.describe_alarms()["MetricAlarms"]) == 50
    names = {"AlarmNames": ["mine-001", "nobody", "other"]}
    assert [one["AlarmName"] for one in cloudwatch.describe_alarms(**names)["MetricAlarms"]] == ["mine-001", "other"]


def test_a_search_for_alarms_that_cannot_be_is_refused(cloudwatch: Any) -> None:
    both = {"AlarmNames": ["a"], "AlarmNamePrefix": "a"}
    assert code_of(lambda: cloudwatch.describe_alarms(**both)) == "InvalidParameterCombination"
    assert code_of(lambda: cloudwatch.describe_alarms(MaxRecords=101)) == "ValidationError"
    assert code_of(lambda: cloudwatch.describe_alarms(AlarmNames=["a"] * 101)) == "ValidationError"
    assert code_of(lambda: cloudwatch.describe_alarms(NextToken="made up")) == "InvalidNextToken"


def test_deleting_removes_what_exists_and_names_what_does_not(cloudwatch: Any) -> None:
    cloudwatch.put_metric_alarm(**an_alarm("here"))
    assert code_of(lambda: cloudwatch.delete_alarms(AlarmNames=["gone", "here"])) == "ResourceNotFound"
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


def test_an_alarm_made_anew_has_no_old_tags(cloudwatch: Any) -> None:
    cloudwatch.put_metric_alarm(**an_alarm(Tags=[{"Key": "old", "Value": "tag"}]))
    cloudwatch.delete_alarms(AlarmNames=["overdue"])
    cloudwatch.put_metric_alarm(**an_alarm())
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn_of("overdue"))["Tags"] == []


def test_tags_are_added_and_taken_from_alarms_that_exist(cloudwatch: Any) -> None:
    cloudwatch.put_metric_alarm(**an_alarm())
    added = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    cloudwatch.tag_resource(ResourceARN=arn_of("overdue"), Tags=added)
    cloudwatch.untag_resource(ResourceARN=arn_of("overdue"), TagKeys=["a"])
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn_of("overdue"))["Tags"] == [{"Key": "b", "Value": "2"}]
    many = [{"Key": str(number), "Value": ""} for number in range(50)]
    assert code_of(lambda: cloudwatch.tag_resource(ResourceARN=arn_of("overdue"), Tags=many)) == "ValidationError"
    nobody = {"ResourceARN": arn_of("nobody")}
    assert code_of(lambda: cloudwatch.list_tags_for_resource(**nobody)) == "ResourceNotFoundException"
    assert code_of(lambda: cloudwatch.tag_resource(**nobody, Tags=many[:1])) == "ResourceNotFoundException"
