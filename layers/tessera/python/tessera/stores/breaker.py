"""A circuit breaker around calls to a part that may fail for long: Powertools', with its state in our table.

    breaker = graph.breaker("payments")
    breaker.admit()                                  # CircuitOpen while it is open: before what leads to a call
    answer = breaker.call(provider.charge, order)    # CircuitOpen, and no call, while the circuit is open

Healthy calls cost one read of the table in `FRESH_SECONDS`, by circuit and container. The state is shared: what
one container found out spares all others. A function with a breaker may get and update the partition `CIRCUIT`.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, override

from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitBreakerOpenError,
    CircuitState,
    CircuitTransition,
    circuit_breaker,  # pyright: ignore[reportUnknownVariableType] - half typed there
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence import (
    CircuitBreakerPersistenceLayer,
    CircuitStateRecord,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence.base import CircuitBreakerExistingLockError

from tessera.errors import CircuitOpen, Contended, Stale, Throttled, Unavailable
from tessera.model.changes import Change, Clause
from tessera.model.clock import SECOND, Clock, Millis
from tessera.stores.keys import circuit_key
from tessera.stores.table import PRESENT, Item, Key, Table

FRESH_SECONDS = 5
"""How old may be what a container knows of a circuit."""

_ATTRIBUTES = {
    "state": "state",
    "failure_count": "failures",
    "opened_at": "openedAt",
    "half_open_owner": "owner",
    "probe_lease_expiry": "leaseUntil",
    "expiry_timestamp": "ttl",
}
"""By field of Powertools' record, the attribute of ours."""

_TIMES = ("opened_at", "probe_lease_expiry")
_scopes = count()


def is_outage(error: Exception) -> bool:
    """Whether an error says that the other side is down: no answer, or a 503. Who asks us to slow down is up."""
    return isinstance(error, Unavailable | OSError) and not isinstance(error, Throttled | Contended)


@dataclass(frozen=True, slots=True)
class Policy:
    """A circuit opens after `failures` in a row. After `seconds` one call tries whether it may close again."""

    failures: int = 5
    seconds: int = 30
    failed: Callable[[Exception], bool] = is_outage


class Circuits(CircuitBreakerPersistenceLayer):
    """The state of circuits in a table; a `MemoryTable` makes it the container's own."""

    def __init__(self, table: Table, clock: Clock) -> None:
        super().__init__()
        self._table, self._clock = table, clock
        self._known: dict[str, tuple[Millis, Item | None]] = {}
        self.scope = f"@{next(_scopes)}"
        """Keeps apart what Powertools counts by name in its module: a process may have several of us."""

    @override
    def _get_record(self, name: str) -> CircuitStateRecord | None:
        at, item = self._known.get(name, (0, None))
        if self._clock() - at >= FRESH_SECONDS * SECOND:
            with suppress(Unavailable):  # then what this container knows must do
                item = self._table.get(self._key(name))
                self._known[name] = self._clock(), item
        return None if item is None else self._record(name, item)

    @override
    def _put_record(
        self, record: CircuitStateRecord, condition: str | None = None, expected_opened_at: int | None = None
    ) -> None:
        if condition is None:
            return self._write(record)
        # One of all containers tries whether the other side is up again. Two may find the circuit open at once:
        # the first leaves its lease, the second fails on that. Who has not yet heard that a try has failed
        # meanwhile fails on the later opening. Who died with the lease is followed when that has passed.
        _, seen = self._known.get(record.name, (0, None))
        opened = Clause(("openedAt",), "is", (seen or {}).get("openedAt"))
        free = Clause(("leaseUntil",), "at most", self._clock() // SECOND)
        try:
            return self._write(record, PRESENT, opened, free)
        except Stale as stale:
            self._known.pop(record.name, None)
            raise CircuitBreakerExistingLockError from stale

    @override
    def _update_record(self, record: CircuitStateRecord) -> None:
        self._write(record)

    def _write(self, record: CircuitStateRecord, *clauses: Clause) -> None:
        item = self._item(record)
        self._known[record.name] = self._clock(), item  # also if the table fails: this container knows it
        change = Change(
            {(name,): value for name, value in item.items() if value is not None},
            frozenset((name,) for name, value in item.items() if value is None),
            clauses,
        )
        self._table.update(self._key(record.name), change)

    def _key(self, name: str) -> Key:
        return circuit_key(name.removesuffix(self.scope))

    def _record(self, name: str, item: Item) -> CircuitStateRecord:
        fields: dict[str, Any] = {field: item.get(attribute) for field, attribute in _ATTRIBUTES.items()}
        for field in _TIMES:
            fields[field] = None if fields[field] is None else fields[field] + self._ahead()
        fields["state"] = CircuitState(item["state"])
        return CircuitStateRecord(name, **fields)

    def _item(self, record: CircuitStateRecord) -> Item:
        item = {attribute: getattr(record, field) for field, attribute in _ATTRIBUTES.items()}
        opened, lease = record.opened_at, record.probe_lease_expiry
        return item | {
            "state": str(record.state),
            "openedAt": None if opened is None else opened - self._ahead(),
            "leaseUntil": 0 if lease is None else lease - self._ahead(),
        }

    def _ahead(self) -> int:
        """Return how far Powertools' clock, which is the system's, is ahead of ours: a test moves ours."""
        return int(time.time()) - self._clock() // SECOND


class _Admitted(Exception):
    """A call may go out."""


def _admit() -> None:
    raise _Admitted


class Breaker:
    """A circuit by its name. `changed` hears of each change of state: the name, and the new state."""

    def __init__(self, name: str, policy: Policy, circuits: Circuits, changed: Callable[[str, str], None]) -> None:
        self.name, self._policy = name, policy

        def tell(transition: CircuitTransition) -> None:
            changed(name, str(transition.to_state))

        def guarded(function: Callable[..., Any], **failures: Any) -> Callable[..., Any]:
            config = CircuitBreakerConfig(
                policy.failures, policy.seconds, success_threshold=1, local_cache_max_age=0, **failures
            )
            guard: Any = circuit_breaker(  # pyright: ignore[reportUnknownVariableType] - half typed there
                name + circuits.scope, circuits, on_transition=tell, config=config
            )
            return guard(function)

        self._guarded = guarded(self._outcome)
        # What is raised here is neither a failure nor a success: the circuit stays as it is, and a try is kept.
        self._admitting = guarded(_admit, ignored_exceptions=_Admitted)

    def admit(self) -> None:
        """Refuse what would lead to a call that is not made; whoever is let through may `call` in this thread.

        Of those who come to a circuit that may be tried, one is let through. If that one does not call, another
        may try after `seconds` of the policy.

        Raises:
            CircuitOpen, Unavailable: as `call` does.

        """
        try:
            with suppress(_Admitted):
                self._admitting()
        except CircuitBreakerOpenError as open_:
            raise CircuitOpen from open_

    def call[**P, T](self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function and return its answer; what it raises comes through.

        Raises:
            CircuitOpen: it was not called.
            Unavailable: same, and who may try next could not be settled in the table.

        """
        try:
            answer, error = self._guarded(function, *args, **kwargs)
        except CircuitBreakerOpenError as open_:
            raise CircuitOpen from open_
        if error is not None:
            raise error
        return answer

    def _outcome(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, Exception | None]:
        """Return the answer or the error that is one, too: a refusal proves that somebody is there to refuse."""
        try:
            return function(*args, **kwargs), None
        except Exception as error:
            if self._policy.failed(error):
                raise
            return None, error
