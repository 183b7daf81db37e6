"""Builds the adapters; the only module that knows them all. Nothing is built at import."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, cast

import boto3
import botocore.session
from botocore.config import Config
from botocore.utils import parse_timestamp

from rdbkeeper.aws.clock import SystemClock
from rdbkeeper.aws.rule_table import DynamoRuleTable
from rdbkeeper.aws.run_table import DynamoRunTable
from rdbkeeper.domain.errors import VaultNotFound
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.source import NO_ACCESS, SourceAccess
from rdbkeeper.domain.transfer import CopySettings
from rdbkeeper.domain.vault import DEFAULT_VAULT, Capabilities, StoreSum, VaultBinding
from rdbkeeper.entry.settings import ManageSettings, RunSettings, StoreSettings
from rdbkeeper.entry.source_wiring import make_live_source, make_source
from rdbkeeper.flows.runs.context import RunContext
from rdbkeeper.ports import (
    Clock,
    Engine,
    Hooks,
    Journal,
    LiveSource,
    ProbeFindings,
    Record,
    Source,
    Vault,
    VaultTable,
)

if TYPE_CHECKING:  # a rule's function never makes these, and loading them would lengthen each of its starts
    from rdbkeeper.flows.fleet.work import FleetWork
    from rdbkeeper.flows.rules.context import RulesContext
    from rdbkeeper.vaults.connection import Connections, MakeClient

# botocore's standard mode repeats what throttling and lost connections interrupt. Time-outs times attempts stay
# within what a leg holds in reserve. A Complete may take minutes, but S3 sends white space meanwhile to keep the
# connection from timing out ("CompleteMultipartUpload", S3 API reference).
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=5,
    read_timeout=60,
    max_pool_connections=2 * CopySettings().lanes,  # a stream that broke may still be closing as its part is read again
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    # A part's bytes are guarded by TLS and by its CRC64NVME; a SHA-256 for the signature would be the third sum over
    # them.
    s3={"payload_signing_enabled": False},
)

# A probe tells within a minute or two whether a store can be used. One answer of "slow down" must not take a vault
# offline for an hour, so each call has a second attempt.
_PROBING = _CONFIG.merge(
    Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=5, read_timeout=10)
)

# A thousand rules meet the rates of Lambda's and CloudWatch's control planes; botocore then slows down by itself.
_PATIENT = _CONFIG.merge(Config(retries={"mode": "adaptive", "total_max_attempts": 8}))

Client = Callable[[str], Any]

# It tells where it found credentials and endpoints at every start, before a journal can be made.
logging.getLogger("botocore").setLevel(logging.WARNING)


@cache
def _session() -> Any:
    """A session whose clients read times by the standard library, hundreds of times as fast as botocore does.

    Most of what a list of 1,000 keys costs is reading when each was written.
    """
    return boto3.Session(botocore_session=_botocore_session())


@cache
def _botocore_session() -> Any:
    return _reading_times(botocore.session.get_session())


def _reading_times(session: Any) -> Any:
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_read_time)
    return session


def _read_time(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):  # seconds since 1970, or a time as HTTP's headers write it
        return cast("datetime", parse_timestamp(value))


@cache
def client(service: str) -> Any:
    """The client of a service, made when it is first needed and kept while the sandbox lives."""
    return _session().client(service, config=_CONFIG)


@cache
def patient_client(service: str) -> Any:
    """A client for what changes many rules one after the other: it keeps to the pace that the service asks for."""
    return _session().client(service, config=_PATIENT)


def hurried_client(service: str, longest_call_s: float) -> Any:
    """A client whose calls are made once: something stands still meanwhile. Connecting has a third of the time."""
    connect_s = longest_call_s / 3
    once = Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=connect_s,
        read_timeout=longest_call_s - connect_s,
    )
    return _session().client(service, config=_CONFIG.merge(once))


def s3_client(
    *, region: str, endpoint: str = "", addressing: str = "", credentials: Any = None, config: Config = _CONFIG
) -> Any:
    """A client for S3 elsewhere: in another region, at another endpoint, by other credentials than this function's."""
    session = _botocore_session()
    if credentials is not None:
        session = _reading_times(botocore.session.Session())
        # What describes the services is read once.
        session.register_component("data_loader", _botocore_session().get_component("data_loader"))
        session._credentials = credentials  # noqa: SLF001 - botocore has no other way to give it ones that are renewed
    if addressing:
        config = config.merge(Config(s3={**_CONFIG.s3, "addressing_style": addressing}))
    return session.create_client("s3", region_name=region, endpoint_url=endpoint or None, config=config)


def vault_table(store: StoreSettings, client: Client) -> VaultTable:
    """The registered vaults, the stack's own among them."""
    from rdbkeeper.aws.vault_table import DynamoVaultTable

    default = VaultBinding(DEFAULT_VAULT, store.vault_bucket, datetime.min.replace(tzinfo=UTC), region=store.region)
    return DynamoVaultTable(client("dynamodb"), store.table, default)


# What is taken for granted of a bucket that no probe has seen: of Amazon's all, and that it may hold locked objects,
# which a removal would hide; of other stores nothing.
_UNSEEN_AMAZON = Capabilities(locks=True)
_UNSEEN = Capabilities(
    sum=StoreSum.NONE,
    conditional_create=False,
    conditional_complete=False,
    conditional_delete=False,
    conditional_read=False,
    locks=True,
    keeps_versions=False,
)


class AwsAdapters:
    """Sources and vaults by name; lives for one invocation, and so do its connections to vaults.

    `longest_stream_s` is how long an invocation can read from a server.
    """

    def __init__(self, settings: StoreSettings, client: Client, longest_stream_s: float = math.inf) -> None:
        self._settings = settings
        self._client = client
        self._longest_stream_s = longest_stream_s
        self.vaults = vault_table(settings, client)
        self._made: dict[str, Vault] = {}
        self._sources: dict[tuple[str, SourceAccess, float | None], Source] = {}
        self._live_sources: dict[SourceAccess, LiveSource] = {}

    def source(self, provider: str, access: SourceAccess = NO_ACCESS, longest_call_s: float | None = None) -> Source:
        # Kept, since one of TencentDB keeps the links that it was given, and its connections.
        key = (provider, access, longest_call_s)
        if key not in self._sources:
            client = self._client
            if longest_call_s is not None:
                client = cache(partial(hurried_client, longest_call_s=longest_call_s))
            self._sources[key] = make_source(provider, access, self._settings, client, longest_call_s)
        return self._sources[key]

    def live_source(self, access: SourceAccess) -> LiveSource:
        # Kept, so that a secret that changes while a server is read is asked for once.
        if access not in self._live_sources:
            self._live_sources[access] = make_live_source(access, self._client, self._longest_stream_s)
        return self._live_sources[access]

    def vault(self, name: str) -> Vault:
        if name not in self._made:
            self._made[name] = self._find_and_open(name)
        return self._made[name]

    def _find_and_open(self, name: str) -> Vault:
        binding = self.vaults.find_vault(name)
        if binding is None:
            raise VaultNotFound(f"There is no vault {name}.", field="vault", hint="The action `vaults` shows them.")
        report = self.vaults.find_probe(name)
        seen = report.capabilities if report else None
        return self.open_vault(binding, seen or (_UNSEEN_AMAZON if binding.is_amazon else _UNSEEN))

    def open_vault(self, binding: VaultBinding, capabilities: Capabilities) -> Vault:
        from rdbkeeper.vaults.s3 import S3Vault

        return S3Vault(
            lambda: self._connections.client(binding),
            binding.bucket,
            capabilities=capabilities,
            options=binding.options,
            owner=self._connections.owner(binding),
        )

    def probe_vault(self, binding: VaultBinding, *, closely: bool) -> ProbeFindings:
        from rdbkeeper.vaults.probe import probe

        return probe(self._probing, binding, datetime.now(UTC), closely=closely)

    @cached_property
    def hooks(self) -> Hooks:
        from rdbkeeper.aws.hooks import LambdaHooks

        # One attempt: what a hook did whose answer was lost nobody knows.
        return LambdaHooks(
            lambda longest_s: _session().client(
                "lambda", config=_CONFIG.merge(Config(retries={"total_max_attempts": 1}, read_timeout=longest_s))
            )
        )

    @cached_property
    def _connections(self) -> Connections:
        return self._connect(s3_client)

    @cached_property
    def _probing(self) -> Connections:
        return self._connect(partial(s3_client, config=_PROBING))

    def _connect(self, make_client: MakeClient) -> Connections:
        from rdbkeeper.aws.secrets import read_key_pair
        from rdbkeeper.vaults.connection import Connections

        return Connections(
            lambda: self._client("s3"),
            make_client,
            lambda name: read_key_pair(self._client("secretsmanager"), name),
            _botocore_session,
            region=self._settings.region,
            account=self._settings.account,
            allows_private_endpoints=self._settings.allows_private_endpoints,
        )


def journal(**keys: str) -> Journal:
    """A journal that writes to this function's log group."""
    from rdbkeeper.aws.journal import make_journal

    return make_journal(**keys)


def clock() -> Clock:
    """The machine's clock."""
    return SystemClock()


def engine(context: Any, journal: Journal, settings: RunSettings) -> Engine:
    """The engine over a durable execution's context."""
    from rdbkeeper.aws.engine import DurableEngine

    return DurableEngine(context, journal, settings.worker)


def run_context(
    settings: RunSettings, execution: str, journal: Journal, request: RunRequest, client: Client = client
) -> RunContext:
    """One run, over AWS."""
    from rdbkeeper.flows.runs.live import STREAM_RESERVE_S

    longest_stream_s = settings.longest_invocation.total_seconds() - STREAM_RESERVE_S
    context = leg_context(settings.store, settings.rule, execution, journal, client)
    return replace(
        context,
        adapters=AwsAdapters(settings.store, client, longest_stream_s),
        export_timeout=settings.export_timeout,
        request=request,
        copying=settings.copying,
        longest_invocation=settings.longest_invocation,
        stack_name=settings.stack_name,
        stack_id=settings.stack_id,
    )


def leg_context(
    store: StoreSettings, rule_name: str, execution: str, journal: Journal, client: Client = client
) -> RunContext:
    """The run that a worker helps, as far as copying goes: a worker asks for no export and starts nothing."""
    from rdbkeeper.aws.executions import DurableExecutions

    clock = SystemClock()
    return RunContext(
        rule_name=rule_name,
        execution=execution,
        rules=DynamoRuleTable(client("dynamodb"), store.table, clock),
        runs=DynamoRunTable(client("dynamodb"), store.table, clock),
        adapters=AwsAdapters(store, client),
        executions=DurableExecutions(client),
        journal=journal,
        clock=clock,
        export_timeout=timedelta(0),
    )


def rules(settings: ManageSettings, journal: Journal, client: Client = patient_client) -> RulesContext:
    """What a person does with rules, over AWS."""
    from rdbkeeper.flows.rules.context import RulesContext

    return RulesContext(fleet_work(settings, journal, client), staging_bucket=settings.store.staging_bucket)


def fleet_work(settings: ManageSettings, journal: Journal, client: Client = patient_client) -> FleetWork:
    """What makes the fleet follow the rules, over AWS."""
    from rdbkeeper.aws.fleet import AwsFleet
    from rdbkeeper.flows.fleet.work import FleetWork

    clock = SystemClock()
    return FleetWork(
        stack=settings.fleet,
        rules=DynamoRuleTable(client("dynamodb"), settings.store.table, clock),
        runs=DynamoRunTable(client("dynamodb"), settings.store.table, clock),
        vaults=vault_table(settings.store, client),
        services=AwsFleet(client, settings.fleet),
        adapters=AwsAdapters(settings.store, client),
        journal=journal,
        clock=clock,
    )


def send_stack_answer(url: str, answer: Record, client: Client = client) -> None:
    """Tell CloudFormation how its request ended."""
    from rdbkeeper.aws.stack_answer import send

    send(url, answer, client("lambda").meta.endpoint_url)
