"""What many rules cost in calls: pages, whatever the number of rules, and never a call for each."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from tests.bench.figures import PAGE, Shop
from tests.local_cloud.server import LocalCloud

COUNT = 300
FUNCTIONS_OF_THE_STACK = 3


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with LocalCloud() as cloud:
        yield Shop(COUNT, cloud.client("dynamodb"))


def pages(items: float, most: int) -> int:
    return math.ceil(items / most)


def test_the_first_page_of_a_list_takes_three_reads(shop: Shop) -> None:
    listed = shop.list_first_page()
    assert listed.calls == {"dynamodb.Query": 3}  # of rules, of how they are, and of what is frozen
    assert len(listed.answer["rules"]) == PAGE
    assert listed.answer["next_after"] == shop.rules[PAGE - 1].name


def test_a_reconciling_with_nothing_to_do_reads_pages_and_nothing_else(shop: Shop) -> None:
    reconciled = shop.reconcile()
    told = [dict(dimensions)["rule"] for metric, _, dimensions in shop.journal.measures if metric == "HoursOverdue"]
    assert told == [rule.name for rule in shop.rules]
    assert reconciled.answer["line"] == f"{COUNT} rules checked, 0 repairs, 0 reports, 0 failed"
    assert reconciled.writes == ["dynamodb.PutItem"]  # when its one vault was looked at
    calls = reconciled.calls
    assert calls.pop("dynamodb.PutItem") == 1
    of_the_table = calls.pop("dynamodb.Query") + calls.pop("dynamodb.GetItem", 0)
    assert of_the_table <= 6 + 1 + 4  # of rules, of what is frozen, and of vaults
    assert calls == {
        "lambda.GetFunction": 1,
        "lambda.ListFunctions": pages(2 * COUNT + FUNCTIONS_OF_THE_STACK, 50),
        "resourcegroupstaggingapi.GetResources": pages(2 * COUNT, 100),
        "scheduler.ListSchedules": pages(1.25 * COUNT, 100),
        "cloudwatch.DescribeAlarms": pages(COUNT, 100),
        "logs.DescribeLogGroups": pages(COUNT, 50),
        "elasticache.DescribeReplicationGroups": 1,
        "elasticache.DescribeCacheClusters": 1,
    }
