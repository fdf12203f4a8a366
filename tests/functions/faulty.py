"""What the state machines under faults share: two containers, one under faults, one that tells the truth.

A machine asks the first one for an operation while calls fail by a schedule, and looks through the second one at
what is stored: the state is the one before or the one after, nothing between; after if the answer said so, before
unless a call that failed had been done all the same.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tessera.stores.bucket import MemoryBucket
from tessera.stores.facts import MemoryFacts
from tessera.stores.memory import MemoryTable
from tests.functions.service import Answer, Owner, Service
from tests.support.fakes import FakeClock
from tests.support.faults import Fault, Faults, FaultyStore

REFUSALS = {"unavailable", "throttled", "contended", "circuit-open"}
CACHED = "configurator"
"""The kind that L1 may answer for."""

schedules = st.lists(st.sampled_from([None, None, *Fault]), max_size=6)


class FaultMachine(RuleBasedStateMachine):
    """One session; one container under faults, another one that tells the truth."""

    clock: FakeClock
    faults: Faults
    service: Service
    truth: Service
    numbers = count(1)
    kind: str
    owner: Owner
    state: Any

    def empty(self) -> None:
        """Give both containers empty stores, and no faults."""
        self.faults.come()
        self.table, self.bucket, self.facts = MemoryTable(), MemoryBucket(), MemoryFacts()
        for service in (self.service, self.truth):
            service.table.store, service.archive_bucket.store = self.table, self.bucket
            service.facts.store = self.facts

    def seen(self) -> Any:
        """Return what is stored, as the other container reads it."""
        raise NotImplementedError

    def ask(
        self,
        schedule: list[Fault | None],
        name: str,
        *,
        named: bool = True,
        by_service: bool = True,
        token: str | None = None,
        **how: Any,
    ) -> Answer:
        """Call an operation on the session under faults."""
        token = token or (self.token if by_service else None)
        self.service.authorize(authorization=f"Bearer {token}")  # reads no table, and so none fails
        self.faults.come(*schedule)
        answer = self.service.call(name, self.owner.id if named else None, token=token, **how)
        return self.judged(name, answer)

    def judged(self, name: str, answer: Answer) -> Answer:
        """Each answer names its tier, a refusal says when to come again, and only L1 answers degraded."""
        assert answer.status != 500, answer.text
        if name != "activity/collect":  # of a service it asks the delivery stream alone
            assert "L2;" in answer.headers["Server-Timing"] or "L1;" in answer.headers["Server-Timing"]
        if answer.status == 503:
            assert answer.slug in REFUSALS
            assert int(answer.headers["Retry-After"]) > 0
        body = json.loads(answer.text or "{}")
        if "degraded" in body:
            assert (body["degraded"], name, self.kind, answer.status) == (True, "sessions/get", CACHED, 200)
            assert answer.headers["Server-Timing"].rpartition(", ")[2].startswith("L1;")
        return answer

    def settle(self, answer: Answer, after: Any, unless: set[int] = frozenset()) -> None:
        """Compare what is stored with what it was and what it should become."""
        before, took_effect = self.state, self.faults.took_effect
        self.faults.come()
        now = self.seen()
        if answer.status < 300:
            assert now == after, answer.text
        else:
            assert answer.status == 503 or (answer.status in unless and took_effect), answer.text
            assert now == before or (took_effect and now == after)
        self.state = now

    def check(self, expected: Any) -> None:
        assert self.seen() == expected

    @property
    def token(self) -> str:
        """A service's token of now; they last for a quarter of an hour."""
        return self.truth.service_token()


def run(
    machine: type[FaultMachine], *, steps: int, kinds: Mapping[str, Any], client: Any = None, **environment: str
) -> None:
    """Run a machine; `kinds` are those of the container under faults alone, what else is set is so for both.

    An Idempotency-Key needs a `client` of a real table: Powertools keeps its records there, and no call fails.
    """
    clock, faults = FakeClock(), Faults()

    def service(faults: Faults, kinds: Mapping[str, Any]) -> Service:
        return Service(
            clock,
            table=FaultyStore(MemoryTable(), faults),
            client=client,
            archive_bucket=FaultyStore(MemoryBucket(), faults),
            facts=FaultyStore(MemoryFacts(), faults),
            environment={"CLEANUP_SHARDS": "1", "KINDS": json.dumps(kinds), **environment},
        )

    faulty = service(faults, kinds)
    truth = replace(service(Faults(), {}), secret=faulty.secret)
    bound = {"clock": clock, "faults": faults, "service": faulty, "truth": truth}
    run_state_machine_as_test(
        type(machine.__name__, (machine,), bound),
        settings=settings(max_examples=20, stateful_step_count=steps, deadline=None),
    )
