"""The local cloud keeps and lists log groups as CloudWatch Logs does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.lambda_lab import code_of
from tests.local_cloud.server import LocalCloud


@pytest.fixture(scope="module")
def logs(cloud: LocalCloud) -> Any:
    return cloud.client("logs")


def test_log_groups_are_listed_by_prefix_with_their_retention_in_pages_of_fifty(logs: Any) -> None:
    for number in reversed(range(51)):
        logs.create_log_group(logGroupName=f"/aws/lambda/mine-{number:02d}")
    logs.create_log_group(logGroupName="/aws/lambda/other")
    logs.put_retention_policy(logGroupName="/aws/lambda/mine-50", retentionInDays=90)
    first = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/mine-")
    assert [group["logGroupName"][-2:] for group in first["logGroups"]] == [f"{number:02d}" for number in range(50)]
    assert "retentionInDays" not in first["logGroups"][0]
    rest = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/mine-", nextToken=first["nextToken"])
    assert [(group["logGroupName"], group["retentionInDays"]) for group in rest["logGroups"]] == [
        ("/aws/lambda/mine-50", 90)
    ]
    assert "nextToken" not in rest


@pytest.mark.parametrize(
    "how",
    [{"limit": 51}, {"nextToken": "made up"}, {"logGroupNamePrefix": "not this"}, {"logGroupNamePattern": "mine"}],
    ids=["too many", "a made-up token", "a wrong prefix", "what is not known here"],
)
def test_a_search_that_logs_would_refuse_is_refused(logs: Any, how: dict[str, Any]) -> None:
    assert code_of(lambda: logs.describe_log_groups(**how)) == "InvalidParameterException"


def test_a_log_group_that_logs_would_refuse_is_refused(logs: Any) -> None:
    for wrong in ("aws/mine", "with space", "n" * 513):
        assert code_of(lambda name=wrong: logs.create_log_group(logGroupName=name)) == "InvalidParameterException"
    logs.create_log_group(logGroupName="/mine")
    assert code_of(lambda: logs.create_log_group(logGroupName="/mine")) == "ResourceAlreadyExistsException"
    retention = {"logGroupName": "/mine", "retentionInDays": 91}
    assert code_of(lambda: logs.put_retention_policy(**retention)) == "InvalidParameterException"
    missing = {"logGroupName": "/nobody", "retentionInDays": 90}
    assert code_of(lambda: logs.put_retention_policy(**missing)) == "ResourceNotFoundException"


def test_a_log_group_made_anew_has_no_old_tags(logs: Any) -> None:
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:/tagged"
    logs.create_log_group(logGroupName="/tagged", tags={"old": "tag"})
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"old": "tag"}
    logs.delete_log_group(logGroupName="/tagged")
    logs.create_log_group(logGroupName="/tagged")
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {}
