"""Log lines as the console shows them."""

from __future__ import annotations

import io
import json
import logging
from functools import partial

import pytest
from aws_lambda_powertools import Logger

from rdbkeeper.aws.journal import LambdaJournal, make_journal
from rdbkeeper.domain.errors import VaultUnavailable
from rdbkeeper.domain.metrics import HOURS_OVERDUE, NAMESPACE, rule_dimensions, stack_dimensions


def written() -> tuple[LambdaJournal, io.StringIO]:
    stream = io.StringIO()
    # A name of its own: Powertools gives a logger of a known name the stream that it had before.
    return LambdaJournal(Logger(service=f"journal-{id(stream)}", stream=stream, location=None)), stream


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_line_carries_rule_run_and_backup() -> None:
    journal, stream = written()
    journal.info("Early", "Nothing is bound yet.")
    journal.bind(rule="orders", run="r1").bind(backup="b1").warning("Late", "All is bound.", key="k")
    first, second = lines(stream)[-2:]
    assert (first["rule"], first["run"], first["backup"], first["event"]) == ("-", "-", "-", "Early")
    assert (second["rule"], second["run"], second["backup"], second["level"]) == ("orders", "r1", "b1", "WARNING")
    assert (second["message"], second["key"]) == ("All is bound.", "k")


def test_binding_one_backup_does_not_leak_into_the_next_line() -> None:
    journal, stream = written()
    journal.bind(backup="b1").info("One", "one")
    journal.info("Two", "two")
    assert lines(stream)[-1]["backup"] == "-"


def test_what_libraries_log_takes_the_same_form(monkeypatch: pytest.MonkeyPatch, kept_library_loggers: None) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("rdbkeeper.aws.journal.Logger", partial(Logger, service=f"journal-{id(stream)}", stream=stream))
    make_journal(rule="orders", run="r1")
    logging.getLogger("botocore.retries").warning("retrying")
    logging.getLogger("botocore.credentials").info("found credentials")
    step = logging.getLogger("aws_durable_execution_sdk_python.operation.step")
    try:
        raise VaultUnavailable("slow down")
    except VaultUnavailable:
        step.exception("failed step")
    (line,) = lines(stream)
    assert (line["message"], line["rule"], line["run"], line["backup"]) == ("retrying", "orders", "r1", "-")


DIMENSIONS = (
    rule_dimensions("stack", "orders-nightly"),
    stack_dimensions("stack"),
    (("stack", "another"),),
)


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_a_metric_has_exactly_its_dimensions_whatever_the_environment_adds(
    dimensions: tuple[tuple[str, str], ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "somebody")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "elsewhere")
    journal, _ = written()
    journal.bind(rule="orders").measure(HOURS_OVERDUE, 2.5, dimensions)
    (line,) = capsys.readouterr().out.splitlines()
    emitted = json.loads(line)
    (directive,) = emitted.pop("_aws")["CloudWatchMetrics"]
    assert directive["Namespace"] == NAMESPACE
    assert [sorted(names) for names in directive["Dimensions"]] == [[name for name, _ in dimensions]]
    assert [metric["Name"] for metric in directive["Metrics"]] == [HOURS_OVERDUE]
    assert emitted == {**dict(dimensions), HOURS_OVERDUE: [2.5]}


def test_a_thousand_metrics_are_a_thousand_lines_and_none_has_anything_of_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    journal, _ = written()
    for number in range(1000):
        journal.measure(HOURS_OVERDUE, number, rule_dimensions("stack", f"rule-{number}"))
    emitted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["rule"], line[HOURS_OVERDUE]) for line in emitted] == [
        (f"rule-{number}", [float(number)]) for number in range(1000)
    ]


def test_a_defect_is_logged_with_its_stack_trace() -> None:
    journal, stream = written()
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        journal.exception("UnexpectedError", "A defect.")
    line = lines(stream)[-1]
    assert line["level"] == "ERROR"
    assert "Traceback" in str(line["exception"])
