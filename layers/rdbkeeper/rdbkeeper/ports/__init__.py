"""What the flows need of the world.

Each port has one contract suite that the real adapter and a strict in-memory one both pass (tests/contract).

Every method raises the errors of its own family (SourceError, VaultError, TableError, FleetError) or those that its
docstring names, and no other.
"""

from __future__ import annotations

from rdbkeeper.ports.execution import Engine, Executions, Poll
from rdbkeeper.ports.fleet import FleetServices
from rdbkeeper.ports.hooks import Hooks
from rdbkeeper.ports.journal import Clock, Journal
from rdbkeeper.ports.live import LiveSource, LiveStream
from rdbkeeper.ports.records import Record
from rdbkeeper.ports.stores import Adapters, ByteStream, Lock, Part, ProbeFindings, Source, StoredObject, Upload, Vault
from rdbkeeper.ports.tables import RulesPage, RuleTable, RunsPage, RunTable, VaultTable

__all__ = [
    "Adapters",
    "ByteStream",
    "Clock",
    "Engine",
    "Executions",
    "FleetServices",
    "Hooks",
    "Journal",
    "LiveSource",
    "LiveStream",
    "Lock",
    "Part",
    "Poll",
    "ProbeFindings",
    "Record",
    "RuleTable",
    "RulesPage",
    "RunTable",
    "RunsPage",
    "Source",
    "StoredObject",
    "Upload",
    "Vault",
    "VaultTable",
]
