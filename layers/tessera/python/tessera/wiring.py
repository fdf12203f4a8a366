"""The object graph: what handlers need. `container` builds one on Lambda; tests build their own from fakes."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tessera.clients import client_of
from tessera.errors import Misconfigured, NoPaymentProvider
from tessera.model.clock import Clock, system_clock
from tessera.model.kinds import Flow, Kind, kinds
from tessera.model.record import Record
from tessera.settings import Settings
from tessera.stores.bucket import Bucket
from tessera.stores.cache import CachedSessions
from tessera.stores.counters import Counters
from tessera.stores.expiry import Expiry
from tessera.stores.session_store import SessionStore
from tessera.stores.sessions import Sessions
from tessera.stores.table import Table
from tessera.stores.tiers import Tiers
from tessera.telemetry import Telemetry

if TYPE_CHECKING:
    from tessera.archive.archiver import Archiver
    from tessera.archive.compaction import Compaction
    from tessera.archive.history import History
    from tessera.archive.memory import Memory
    from tessera.insights.insights import Insights
    from tessera.insights.results import QueryEngine
    from tessera.integrations.bitrix24 import Bitrix24
    from tessera.integrations.delivery import OrderDelivery
    from tessera.integrations.events import Events
    from tessera.integrations.letters import Letters
    from tessera.model.experiments import Experiment
    from tessera.model.ulids import Ulids
    from tessera.payments.payments import Payments
    from tessera.payments.provider import PaymentProvider
    from tessera.realtime.delivery import Delivery, Posts
    from tessera.realtime.devices import Devices
    from tessera.realtime.pushes import Pushes, PushService
    from tessera.realtime.sockets import Sockets
    from tessera.realtime.sweep import Sweep
    from tessera.stores.activity import Activities
    from tessera.stores.breaker import Breaker, Circuits, Policy
    from tessera.stores.charges import Charges
    from tessera.stores.connections import Connections
    from tessera.stores.conversations import Conversations
    from tessera.stores.data import Data
    from tessera.stores.drafts import Drafts
    from tessera.stores.exposures import Exposures
    from tessera.stores.facts import Facts
    from tessera.stores.outbox import Outbox
    from tessera.stores.topics import Topics
    from tessera.tokens.access import AccessTokens
    from tessera.tokens.keyring import Keys
    from tessera.tokens.sealed import Seal

ATHENA_SECONDS = 5
"""How long a call to Athena may take, which plans a query before it answers."""


def _no_bucket(name: str) -> Bucket:
    raise Misconfigured(f"nothing here opens the bucket {name}")


def _no_table(name: str) -> Table:
    raise Misconfigured(f"nothing here opens the table {name}")


def no_webhook(_fresh: bool) -> str:
    """Return what the secret of a webhook holds before there is one."""
    return "{}"


@dataclass
class Graph:
    """What handlers get at everything by. What only some of them need is built when first asked for."""

    settings: Settings
    table: Table
    tiers: Tiers
    fetch_keys: Callable[[bool], str]
    clock: Clock = system_clock
    client: Any = None
    open_bucket: Callable[[str], Bucket] = _no_bucket
    open_table: Callable[[str], Table] = _no_table
    fetch_webhook: Callable[[bool], str] = no_webhook
    sleep: Callable[[float], None] = time.sleep
    fetch_push_keys: Callable[[], str] = str
    push_service: "PushService | None" = None

    @cached_property
    def kinds(self) -> Mapping[str, Kind]:
        """The kinds of sessions, with the company's own."""
        return kinds(self.settings.kinds)

    def flow_of(self, record: Record) -> Flow | None:
        """Return the flow of a session, as its kind has it now."""
        kind = self.kinds.get(record.session.kind)
        return kind and kind.flow

    @cached_property
    def sessions(self) -> SessionStore:
        """The session store, behind L1 if any kind wants that."""
        shards = self.settings.cleanup_shards
        sessions = Sessions(self.table, self.clock, shards, lambda: self.archiver, lambda: self.archive_bucket)
        if not any(kind.cache_seconds for kind in self.kinds.values()):
            return sessions
        return CachedSessions(sessions, self.kinds, self.clock, self.tiers)

    @cached_property
    def data(self) -> "Data":
        """The buckets of sessions."""
        from tessera.stores.data import Data  # noqa: PLC0415 - few functions have buckets

        return Data(self.table, lambda: self.archive_bucket, self.clock)

    @cached_property
    def activity(self) -> "Activities":
        """What lies beside sessions of their activity."""
        from tessera.stores.activity import Activities  # noqa: PLC0415 - its models cost a cold start

        return Activities(self.table)

    @cached_property
    def experiments(self) -> "Mapping[str, Experiment]":
        """The experiments that the company has declared."""
        from tessera.model.experiments import experiments  # noqa: PLC0415 - one function assigns

        return experiments(self.settings.experiments)

    @cached_property
    def exposures(self) -> "Exposures":
        """What sessions see of experiments."""
        from tessera.stores.exposures import Exposures  # noqa: PLC0415 - same

        return Exposures(self.table)

    @cached_property
    def outbox(self) -> "Outbox":
        """Completed orders of which a CRM has still to be told."""
        from tessera.stores.outbox import Outbox  # noqa: PLC0415 - few functions complete orders

        return Outbox(self.table, on=self.settings.bitrix24 == "on")

    @cached_property
    def events(self) -> "Events":
        """Where events go; tests put another one here."""
        from tessera.integrations.events import EventBridge  # noqa: PLC0415 - one function tells any

        settings = self.settings
        make = partial(client_of, "events", settings.store_timeout_seconds)
        return EventBridge(make, settings.events_source)

    @cached_property
    def letters(self) -> "Letters":
        """Where dead letters go; tests put another one here."""
        from tessera.integrations.letters import QueuedLetters  # noqa: PLC0415 - one function writes any

        settings = self.settings
        make = partial(client_of, "sqs", settings.store_timeout_seconds)
        return QueuedLetters(make, settings.dead_letters_url)

    @cached_property
    def bitrix24(self) -> "Bitrix24":
        """The portal behind the webhook."""
        from tessera.integrations.bitrix24 import Bitrix24, webhook_in  # noqa: PLC0415 - one function calls it

        return Bitrix24(lambda fresh: webhook_in(self.fetch_webhook(fresh)))

    @cached_property
    def order_delivery(self) -> "OrderDelivery":
        """The delivery of orders to that portal, at the pace that it allows and behind its circuit breaker."""
        from tessera.integrations import bitrix24, deals, delivery  # noqa: PLC0415 - one function delivers
        from tessera.stores.breaker import Policy  # noqa: PLC0415 - same
        from tessera.stores.pace import Pace  # noqa: PLC0415 - same

        settings, clock = self.settings, self.clock
        pace = Pace(self.table, clock, "bitrix24", per_second=bitrix24.PER_SECOND, burst=bitrix24.BURST)
        gate = delivery.Gate(pace, self.breaker("bitrix24", Policy(failed=delivery.is_down)), clock, self.sleep)
        crm = deals.Deals(
            self.bitrix24, stage=settings.bitrix_deal_stage_id, assigned_by=settings.bitrix_assigned_by_id
        )
        return delivery.OrderDelivery(self.outbox, crm, gate, self.letters, clock)

    @cached_property
    def new_ulid(self) -> "Ulids":
        """The source of ids that sort by time."""
        from tessera.model.ulids import Ulids  # noqa: PLC0415 - few functions make any

        return Ulids(self.clock)

    @cached_property
    def facts(self) -> "Facts":
        """Where facts go for analysis; tests put another one here."""
        from tessera.stores.firehose import FirehoseFacts  # noqa: PLC0415 - few functions tell any

        settings = self.settings
        make = partial(client_of, "firehose", settings.store_timeout_seconds)
        return FirehoseFacts(make, settings.facts_stream, self.tiers)

    @cached_property
    def archive_bucket(self) -> Bucket:
        """The archive of conversations, and what of them is too large for the table."""
        return self.open_bucket(self.settings.archive_bucket)

    @cached_property
    def analytics_bucket(self) -> Bucket:
        """Messages and facts as analysts read them."""
        return self.open_bucket(self.settings.analytics_bucket)

    @cached_property
    def expiry(self) -> Expiry:
        """The clean-up's view of the table."""
        shards = self.settings.cleanup_shards
        return Expiry(self.table, shards, lambda: self.archiver, lambda: self.archive_bucket)

    @cached_property
    def conversations(self) -> "Conversations":
        """The open conversations of sessions."""
        from tessera.stores.conversations import Conversations  # noqa: PLC0415 - few functions have conversations

        return Conversations(self.table, lambda: self.archive_bucket, self.kinds, self.settings.cleanup_shards)

    @cached_property
    def history(self) -> "History":
        """The messages of conversations, from the table and the archive."""
        from tessera.archive.history import History  # noqa: PLC0415 - same

        return History(self.table, lambda: self.archive_bucket)

    @cached_property
    def memory(self) -> "Memory":
        """The messages of customers, over all their conversations."""
        from tessera.archive.memory import Memory  # noqa: PLC0415 - same

        return Memory(self.table, self.history, self.clock)

    @cached_property
    def archiver(self) -> "Archiver":
        """What writes the archive."""
        from tessera.archive.archiver import Archiver  # noqa: PLC0415 - same

        return Archiver(self.table, self.archive_bucket, self.clock, self.settings.cleanup_shards)

    @cached_property
    def compaction(self) -> "Compaction":
        """What turns the archive into tables. Only the function that carries pyarrow may ask for it."""
        from tessera.archive.compaction import Compaction  # noqa: PLC0415 - see above
        from tessera.archive.rows import Rows  # noqa: PLC0415 - same
        from tessera.insights.questions import key  # noqa: PLC0415 - same, for the stemmer

        return Compaction(
            self.table,
            self.archive_bucket,
            self.analytics_bucket,
            self.clock,
            self.settings.cleanup_shards,
            rows=Rows(pseudonym=self.telemetry.pseudonym, question=key),
        )

    @cached_property
    def realtime_table(self) -> Table:
        """Connections and topics, apart from the sessions."""
        return self.open_table(self.settings.realtime_table)

    @cached_property
    def connections(self) -> "Connections":
        """The live connections."""
        from tessera.stores.connections import Connections  # noqa: PLC0415 - few functions have sockets

        return Connections(self.realtime_table, self.clock)

    @cached_property
    def topics(self) -> "Topics":
        """The topics that they subscribe to."""
        from tessera.stores.topics import Topics, Window  # noqa: PLC0415 - same

        window = Window(self.settings.history_messages, self.settings.history_seconds)
        return Topics(self.realtime_table, self.clock, window)

    @cached_property
    def sockets(self) -> "Sockets":
        """What answers frames."""
        from tessera.realtime.sockets import Sockets  # noqa: PLC0415 - few functions have sockets
        from tessera.stores.limits import RateLimiter, batched  # noqa: PLC0415 - same

        settings = self.settings
        limiter = RateLimiter(batched("frames", settings.frames_per_minute), self.counters, self.clock)
        return Sockets(
            self.connections,
            self.topics,
            self.realtime_table,
            self.sessions,
            self.clock,
            apps=settings.app_topics,
            limiter=limiter if settings.rate_limits == "on" else None,
        )

    @cached_property
    def posts(self) -> "Posts":
        """What posts to connections; tests put another one here. Only functions that carry libcurl may ask."""
        from botocore.httpsession import get_cert_path  # noqa: PLC0415 - tests build graphs without it
        from botocore.session import get_session  # noqa: PLC0415 - same

        from tessera.realtime.posts import SocketPosts  # noqa: PLC0415 - see above

        session = get_session()
        found: Any = session.get_credentials()
        region = str(session.get_config_variable("region"))
        settings = self.settings
        return SocketPosts(
            settings.callback_url,
            region,
            found.get_frozen_credentials,
            self.clock,
            settings.posts_per_second,
            ca_bundle=str(session.get_config_variable("ca_bundle") or get_cert_path(True)),
        )

    @cached_property
    def delivery(self) -> "Delivery":
        """What brings messages to subscribers."""
        from tessera.realtime.delivery import Delivery  # noqa: PLC0415 - few functions deliver

        return Delivery(self.connections, self.topics, self.realtime_table, self.posts, self.clock)

    @cached_property
    def pushes(self) -> "Pushes":
        """The browsers that are told while no socket is open."""
        from tessera.realtime.pushes import HttpPushService, Pushes  # noqa: PLC0415 - same
        from tessera.realtime.webpush import Vapid  # noqa: PLC0415 - same

        vapid = Vapid(self.fetch_push_keys(), self.settings.push_contact)
        return Pushes(self.table, vapid, self.push_service or HttpPushService(), self.clock)

    @cached_property
    def devices(self) -> "Devices":
        """What tells sessions' connections of changes."""
        from tessera.realtime.devices import Devices  # noqa: PLC0415 - same

        return Devices(
            self.connections,
            self.topics,
            self.delivery,
            self.sessions,
            table=self.table,
            clock=self.clock,
            pushes=lambda: self.pushes,
        )

    @cached_property
    def sweep(self) -> "Sweep":
        """What does what is due about connections."""
        from tessera.realtime.sweep import Sweep  # noqa: PLC0415 - same

        return Sweep(self.connections, self.delivery, self.sessions, self.clock)

    @cached_property
    def query_engine(self) -> "QueryEngine":
        """Where SQL over messages and facts runs; tests put another one here."""
        from tessera.insights.athena import Athena  # noqa: PLC0415 - one function asks

        client = client_of("athena", ATHENA_SECONDS)
        settings = self.settings
        return Athena(client, settings.athena_workgroup, settings.glue_database, self.tiers, self.clock)

    @cached_property
    def insights(self) -> "Insights":
        """Answers out of messages and facts of many days."""
        from tessera.insights.insights import Insights  # noqa: PLC0415 - same

        return Insights(self.query_engine)

    @cached_property
    def drafts(self) -> "Drafts":
        """The buckets that become the result of a flow."""
        from tessera.stores.drafts import Drafts  # noqa: PLC0415 - one function finishes flows

        return Drafts(self.table)

    @cached_property
    def charges(self) -> "Charges":
        """The charges that are not settled."""
        from tessera.stores.charges import Charges  # noqa: PLC0415 - the functions of flows alone take payments

        return Charges(self.table, self.settings.cleanup_shards)

    @cached_property
    def payment_provider(self) -> "PaymentProvider":
        """Who takes payments: the sandbox, or what the factory of a company's own module makes of this graph."""
        name = self.settings.payment_provider
        if not name:
            raise NoPaymentProvider
        if name == "sandbox":
            from tessera.payments.sandbox import Sandbox  # noqa: PLC0415 - same

            return Sandbox(self.table, self.clock)
        module, _, factory = name.partition(":")
        try:
            return getattr(import_module(module), factory)(self)
        except (ImportError, AttributeError) as error:
            raise Misconfigured(f"PAYMENT_PROVIDER: there is no {name}") from error

    @cached_property
    def payments(self) -> "Payments":
        """How what is paid comes into sessions."""
        from tessera.payments.payments import PURPOSE, Payments  # noqa: PLC0415 - same

        return Payments(
            self.sessions,
            self.charges,
            lambda: self.payment_provider,
            lambda: self.seal(PURPOSE),
            self.breaker,
            flow_of=self.flow_of,
            clock=self.clock,
            new_ulid=self.new_ulid,
            telemetry=self.telemetry,
            outboxed=self.outbox.completed,
        )

    @cached_property
    def counters(self) -> Counters:
        """Aggregates and windows."""
        return Counters(self.table)

    @cached_property
    def telemetry(self) -> Telemetry:
        """Logs and metrics."""
        return Telemetry(
            self.counters,
            self.clock,
            salt=self.settings.log_salt,
            flush_seconds=self.settings.metrics_flush_seconds,
            tracing=self.settings.tracing == "on",
        )

    @cached_property
    def keys(self) -> "Keys":
        """The key ring; a function that needs it does not start without."""
        from tessera.tokens.keyring import Keys  # noqa: PLC0415 - only functions with keys pay for it

        return Keys(self.fetch_keys, self.clock)

    @cached_property
    def access_tokens(self) -> "AccessTokens":
        """The mint of the access tokens."""
        from tessera.tokens.access import AccessTokens  # noqa: PLC0415 - same

        return AccessTokens(self.keys, self.settings.issuer, self.settings.audience, self.clock)

    def breaker(self, name: str, policy: "Policy | None" = None) -> "Breaker":
        """Return the circuit breaker around calls to what has this name; its state is that of all containers."""
        from tessera.stores.breaker import Breaker, Policy  # noqa: PLC0415 - it brings boto3, few call anybody

        return Breaker(name, policy or Policy(), self._circuits, self.telemetry.circuit_changed)

    @cached_property
    def _circuits(self) -> "Circuits":
        from tessera.stores.breaker import Circuits  # noqa: PLC0415 - same

        return Circuits(self.table, self.clock)

    def seal(self, purpose: str) -> "Seal":
        """Return the seal of a purpose."""
        from tessera.tokens.sealed import Seal  # noqa: PLC0415 - same

        return Seal(self.keys, purpose, self.clock)
