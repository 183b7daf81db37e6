"""The metrics in a function's log, and the state that an alarm on them would be in.

Lines are read strictly by "Specification: Embedded metric format". CloudWatch drops what is malformed and says so
in a metric of its own that nobody looks at; here it is an error.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_LINE_BYTES = 1024 * 1024
MAX_METRICS = 100
MAX_DIMENSIONS = 30
MAX_VALUES = 100
UNITS = frozenset(
    f"{amount}{per}"
    for amount in (
        *("Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes"),
        *("Bits", "Kilobits", "Megabits", "Gigabits", "Terabits", "Count"),
    )
    for per in ("", "/Second")
) | {"Seconds", "Microseconds", "Milliseconds", "Percent", "None"}

_NAMESPACE = re.compile(r"[0-9A-Za-z.\-_/# ][0-9A-Za-z.\-_/#: ]{0,255}")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")


class MalformedMetricsError(ValueError):
    """A log line that says it holds metrics, and does not hold them as the specification says."""


@dataclass(frozen=True)
class Datapoint:
    """One value of one metric."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    value: float
    timestamp_ms: int

    def belongs_to(self, namespace: str, name: str, dimensions: Mapping[str, str]) -> bool:
        """Return whether this is a value of the metric with exactly these dimensions: no more and no fewer."""
        return (self.namespace, self.name, dict(self.dimensions)) == (namespace, name, dict(dimensions))


def read_metrics(lines: Iterable[str]) -> list[Datapoint]:
    """Return every value that these log lines publish; raises MalformedMetricsError. Other lines are passed over."""
    return [datapoint for line in lines for datapoint in _in_line(line)]


def _in_line(line: str) -> Iterator[Datapoint]:
    root = _root(line)
    if root is None:
        return
    if len(line.encode()) > MAX_LINE_BYTES:
        raise MalformedMetricsError(f"{line[:80]}...: more than {MAX_LINE_BYTES:,} bytes.")
    metadata = _member(root, "_aws", dict, "the root")
    timestamp = _member(metadata, "Timestamp", int, "_aws")
    # Seconds instead of milliseconds are the usual slip: they would be a day of January 1970.
    if not 10**12 <= timestamp < 10**13:
        raise MalformedMetricsError(f"Timestamp {timestamp} is no number of milliseconds since 1970 of our days.")
    for directive in _member(metadata, "CloudWatchMetrics", list, "_aws"):
        yield from _directed(root, directive, timestamp)


def _root(line: str) -> dict[str, Any] | None:
    """Return the line's object if it is one with metrics."""
    if '"_aws"' not in line:
        return None
    try:
        root = json.loads(line, parse_constant=_refuse_constant, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise MalformedMetricsError(f"{line[:120]!r} names metrics, but is not JSON alone on its line.") from error
    return root if isinstance(root, dict) and "_aws" in root else None


def _refuse_constant(word: str) -> float:
    raise MalformedMetricsError(f"{word} is no number of JSON.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedMetricsError(f"A member is there twice in {[name for name, _ in pairs]}.")
    return members


def _member(owner: object, name: str, kind: type, where: str) -> Any:
    if not isinstance(owner, dict) or name not in owner:
        raise MalformedMetricsError(f"{where} has no {name}.")
    value = owner[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise MalformedMetricsError(f"{name} of {where} is {value!r}, not a {kind.__name__}.")
    return value


def _directed(root: Mapping[str, Any], directive: object, timestamp_ms: int) -> Iterator[Datapoint]:
    where = "a directive of CloudWatchMetrics"
    namespace = _member(directive, "Namespace", str, where)
    if not _NAMESPACE.fullmatch(namespace) or not namespace.strip():
        raise MalformedMetricsError(f"Namespace {namespace!r} cannot be.")
    sets = [_dimensions(root, keys) for keys in _member(directive, "Dimensions", list, where)]
    if not sets:
        raise MalformedMetricsError(f"Dimensions of {namespace} are empty: nothing would be published.")
    metrics = _member(directive, "Metrics", list, where)
    if not 1 <= len(metrics) <= MAX_METRICS:
        raise MalformedMetricsError(f"{namespace} has {len(metrics)} metrics; 1 to {MAX_METRICS} can be.")
    for metric in metrics:
        name = _metric_name(metric)
        for value in _values(root, name):
            for dimensions in sets:
                yield Datapoint(namespace, name, dimensions, value, timestamp_ms)


def _dimensions(root: Mapping[str, Any], keys: object) -> dict[str, str]:
    if not isinstance(keys, list) or len(keys) > MAX_DIMENSIONS or len({str(key) for key in keys}) != len(keys):
        raise MalformedMetricsError(f"{keys!r} is no list of at most {MAX_DIMENSIONS} dimensions, each once.")
    found = {}
    for key in keys:
        value = _member(root, key, str, "the root") if isinstance(key, str) else None
        if value is None or not 1 <= len(key) <= 250:
            raise MalformedMetricsError(f"{key!r} cannot name a dimension.")
        if not value.strip() or len(value) > 1024 or not _PRINTABLE.fullmatch(value):
            raise MalformedMetricsError(f"The dimension {key} has the value {value!r}, which cannot be.")
        found[key] = value
    return found


def _metric_name(metric: object) -> str:
    name = _member(metric, "Name", str, "a metric")
    assert isinstance(metric, dict)  # _member looked
    if not 1 <= len(name) <= 1024:
        raise MalformedMetricsError(f"A metric's name has {len(name)} characters; 1 to 1,024 can be.")
    if metric.get("Unit", "None") not in UNITS:
        raise MalformedMetricsError(f"The metric {name} has the unit {metric['Unit']!r}, which there is not.")
    if metric.get("StorageResolution", 60) not in (1, 60):
        raise MalformedMetricsError(f"The metric {name} has a StorageResolution that is neither 1 nor 60.")
    return str(name)


def _values(root: Mapping[str, Any], name: str) -> Sequence[float]:
    if name not in root:
        raise MalformedMetricsError(f"The root has no {name}, which is named as a metric.")
    values = root[name] if isinstance(root[name], list) else [root[name]]
    if not 1 <= len(values) <= MAX_VALUES:
        raise MalformedMetricsError(f"The metric {name} has {len(values)} values; 1 to {MAX_VALUES} can be.")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise MalformedMetricsError(f"The metric {name} has the value {value!r}, which is no number.")
    return [float(value) for value in values]
