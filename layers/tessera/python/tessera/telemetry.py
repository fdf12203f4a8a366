"""What the service tells of itself: logs, traces, EMF metrics, and the aggregates behind GET /metrics.

EMF is the truth (CloudWatch reads it from the log); the aggregates in the table are a copy for Prometheus, added
up in the container and written at most every `flush_seconds`.
"""

import hashlib
from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext
from json import JSONEncoder
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from tessera.errors import TesseraError
from tessera.model.clock import SECOND, Clock
from tessera.stores.counters import Counters
from tessera.stores.tiers import Tiers

if TYPE_CHECKING:
    from aws_lambda_powertools import Tracer

CREATED = "SessionsCreated"
COMPLETED = "SessionsCompleted"
EXPIRED = "SessionsExpired"
ERRORS = "Errors"
REQUESTS = "Requests"
EVENTS = "EventsAccepted"
FACTS = "FactsRecorded"
CLEANUP_LAG = "CleanupLagSeconds"
MESSAGES = "MessagesAppended"
ARCHIVED = "MessagesArchived"
ARCHIVE_FAILURES = "ArchiveFailures"
ARCHIVE_LAG = "ArchiveLagSeconds"
COMPACTED = "MessagesCompacted"
COMPACTION_LAG = "CompactionLagSeconds"
CIRCUITS_OPENED = "CircuitsOpened"
SOCKETS = "SocketsOpened"
FRAMES = "FramesAnswered"
POSTS = "FramesPosted"
CHECKOUTS_FAILED = "CheckoutsFailed"
PAYMENTS_RECONCILED = "PaymentsReconciled"
PAYMENTS_FLAGGED = "PaymentsFlagged"
PAYMENT_LAG = "PaymentLagSeconds"
ORDERS = "OrdersPublished"
DEALS = "DealsMade"
DEAL_FAILURES = "DealFailures"
CRM_LAG = "CrmLagSeconds"

SERIES = {
    CREATED: "tessera_sessions_created_total",
    COMPLETED: "tessera_sessions_completed_total",
    EXPIRED: "tessera_sessions_expired_total",
    ERRORS: "tessera_errors_total",
    REQUESTS: "tessera_requests_total",
    EVENTS: "tessera_events_accepted_total",
    FACTS: "tessera_facts_recorded_total",
    MESSAGES: "tessera_messages_appended_total",
    ARCHIVED: "tessera_messages_archived_total",
    ARCHIVE_FAILURES: "tessera_archive_failures_total",
    COMPACTED: "tessera_messages_compacted_total",
    CIRCUITS_OPENED: "tessera_circuits_opened_total",
    SOCKETS: "tessera_sockets_opened_total",
    FRAMES: "tessera_frames_answered_total",
    POSTS: "tessera_frames_posted_total",
    CHECKOUTS_FAILED: "tessera_checkouts_failed_total",
    PAYMENTS_RECONCILED: "tessera_payments_reconciled_total",
    PAYMENTS_FLAGGED: "tessera_payments_flagged_total",
    ORDERS: "tessera_orders_published_total",
    DEALS: "tessera_deals_made_total",
    DEAL_FAILURES: "tessera_deal_failures_total",
}
"""The Prometheus name of each counter; a tier's latency has `tessera_tier_milliseconds_{sum,count}`."""


_ENCODER = JSONEncoder(default=str, separators=(",", ":"), ensure_ascii=False)


class Telemetry:
    """Logs and counts for one container. Any thread may log; one alone counts, for no lock guards the sums."""

    def __init__(
        self, counters: Counters, clock: Clock, *, salt: str, flush_seconds: int, tracing: bool = False
    ) -> None:
        # Messages are names, never JSON to take apart; one encoder serves all lines.
        self.log = Logger(json_deserializer=str, json_serializer=_ENCODER.encode, use_rfc3339=True)
        self._emf = AmazonCloudWatchEMFProvider()
        self._counters, self._clock = counters, clock
        self._salt, self._every = salt.encode(), flush_seconds * SECOND
        self._pending: defaultdict[str, float] = defaultdict(float)
        self._flushed_at = 0
        self._tracer = _tracer() if tracing else None

    def traced(self, operation: str) -> AbstractContextManager[Any]:
        """Put the block into an X-Ray subsegment of its own, if the SDK's tracing is on."""
        if self._tracer is None:
            return nullcontext()
        provider: Any = self._tracer.provider  # half typed there
        return provider.in_subsegment(f"## {operation}")

    def pseudonym(self, identifier: str) -> str:
        """Return the salted hash that stands for an id in logs: it tells ids apart and cannot be used."""
        return hashlib.blake2b(identifier.encode(), key=self._salt[:64], digest_size=8).hexdigest()

    def count(self, metric: str, amount: int = 1, labels: str = "") -> None:
        """Count an event. `labels` are of the Prometheus series, e.g. `slug="session-expired"`."""
        self._emf.add_metric(metric, "Count", amount)
        self._pending[SERIES[metric] + (f"{{{labels}}}" if labels else "")] += amount

    def gauge(self, metric: str, value: float, unit: str = "Seconds") -> None:
        """Report a measurement to CloudWatch."""
        self._emf.add_metric(metric, unit, value)

    def circuit_changed(self, circuit: str, state: str) -> None:
        """Tell that a circuit breaker has opened, tries, or has closed; each opening counts, a failed try too."""
        self.log.warning("circuit", circuit=circuit, state=state)
        if state == "OPEN":
            self.count(CIRCUITS_OPENED, labels=f'circuit="{circuit}"')

    def observe(self, tiers: Tiers) -> None:
        """Count the latency of each tier that answered."""
        for tier, spent in tiers.spent.items():
            self._emf.add_metric(f"{tier}Latency", "Milliseconds", round(spent, 3))
            self._pending[f'tessera_tier_milliseconds_sum{{tier="{tier}"}}'] += round(spent, 3)
            self._pending[f'tessera_tier_milliseconds_count{{tier="{tier}"}}'] += 1

    def flush(self, *, to_table: bool = True) -> None:
        """Write the EMF record, and the aggregates when it is time; a failing table only delays these."""
        if self._emf.metric_set:
            self._emf.flush_metrics()
        now = self._clock()
        if to_table and self._pending and now - self._flushed_at >= self._every:
            try:
                self._counters.add(self._pending)
            except TesseraError as error:
                self.log.warning("metrics kept for later", reason=type(error).__name__)
            else:
                self._pending.clear()
            self._flushed_at = now


def _tracer() -> "Tracer":
    """Make Powertools' tracer, which also traces every call of botocore."""
    from aws_lambda_powertools import Tracer  # noqa: PLC0415 - the X-Ray SDK costs a cold start

    return Tracer(patch_modules=["botocore"])
