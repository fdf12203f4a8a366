"""The archive's function: the table's stream as DynamoDB sends it, and the schedule that finds what waits."""

import random
from itertools import pairwise
from typing import Any

import pytest

from tessera.archive import objects
from tessera.errors import Contended, Throttled, Unavailable
from tessera.model.changes import Change
from tessera.stores.keys import conversations, range_key
from tessera.stores.table import Item, Key
from tests.functions.conftest import Output
from tests.functions.service import Context, Owner, Service, sample
from tests.functions.talking import (
    DAY,
    MINUTE,
    append,
    archived,
    change,
    chat,
    clear,
    contents,
    heads,
    inserted,
    keys,
    number_of,
    pop,
    read,
    said,
    segments,
    stream,
    sweep,
    taken_by_ttl,
)
from tests.support.fakes import Crash, CrashingStore, FailingStore, FakeClock

HOUR = 3_600


@pytest.fixture
def owner(service: Service) -> Owner:
    return service.create(kind="chat")


class TestStream:
    def test_five_messages_make_an_object(self, service: Service, owner: Owner) -> None:
        chat(service, owner, 4)
        assert stream(service, *inserted(service, owner.id)) == []
        assert keys(service, owner.id) == []
        conversation_id = append(service, owner, said("message 5")).json["conversationId"]
        assert stream(service, *inserted(service, owner.id)) == []
        assert keys(service, owner.id) == ["1-5.jsonl.gz"]
        body = service.archive_bucket.get(objects.key(owner.id, conversation_id, 1, 5))
        assert body is not None
        assert objects.decode(body) == read(service, owner)["messages"]
        (head,) = heads(service, owner.id)
        assert head["archivedSeq"] == 5
        assert "archivingSeq" not in head
        assert service.table.get(range_key(owner.id, conversation_id, 1))

    def test_each_message_is_in_one_object_whatever_comes(self, service: Service, owner: Owner) -> None:
        """Records come again, late, in another order, beside those of others, and while more is appended."""
        other, sent = service.create(), list[dict[str, Any]]()
        dice = random.Random(7)  # noqa: S311 - no secret
        for number in range(60):
            for each in (owner, other):
                append(service, each, *[said(f"{number}.{n}") for n in range(dice.randint(1, 4))])
            if number % 3 == 0:
                sent = inserted(service, owner.id) + inserted(service, other.id, start=500)
                batch = dice.sample(sent, k=min(len(sent), dice.randint(1, 20)))
                assert stream(service, *batch, *batch[:3]) == []
        assert stream(service, *sent) == []
        service.clock.forward(5 * MINUTE)
        sweep(service)
        for each in (owner, other):
            hot = read(service, each, limit=1_000)["messages"]
            assert sorted(archived(service, each.id), key=lambda message: message["seq"]) == hot
            names = sorted(keys(service, each.id), key=lambda name: int(name.partition("-")[0]))
            bounds = [[int(end) for end in name.removesuffix(".jsonl.gz").split("-")] for name in names]
            assert [bounds[0][0], bounds[-1][1]] == [1, len(hot)]
            assert all(left[1] + 1 == right[0] for left, right in pairwise(bounds))

    def test_the_same_records_again_change_nothing(self, service: Service, owner: Owner) -> None:
        chat(service, owner, 7)
        records = inserted(service, owner.id)
        stream(service, *records)
        once, (head,) = archived(service, owner.id), heads(service, owner.id)
        for batch in (records, records[::-1], records[3:]):
            assert stream(service, *batch) == []
        assert archived(service, owner.id) == once
        assert heads(service, owner.id) == [head]

    def test_an_ended_conversation_is_archived_at_once(self, service: Service, owner: Owner) -> None:
        chat(service, owner, 2)
        (old,) = heads(service, owner.id)
        clear(service, owner)
        (new,) = heads(service, owner.id)
        assert stream(service, change(1, new, old)) == []
        assert contents(archived(service, owner.id)) == ["message 1", "message 2"]

    def test_records_of_other_items_are_passed_over(self, service: Service, output: Output) -> None:
        owner = service.create(data={"draft": {}})
        chat(service, owner, 5)
        append(service, owner, said("x", messageId="MSG#"))
        items = [*service.table.query(f"SESSION#{owner.id}"), *service.table.query(conversations(owner.id))]
        others = [item for item in items if not item["sk"].startswith(("MSG#", "HEAD#"))]
        assert {item["sk"][:4] for item in others} == {"CORE", "EXPI", "DATA", "MID#"}
        foreign: list[Item] = [
            {"pk": "RATE#x", "sk": "1"},
            {"pk": "METRICS", "sk": "0"},
            {"pk": "x", "sk": "HEAD"},
        ]
        batch = [change(number, item) for number, item in enumerate([*others, *foreign])]
        assert stream(service, *batch, *[change(90 + n, None, item) for n, item in enumerate(others)]) == []
        assert keys(service, owner.id) == []
        assert {line["level"] for line in output.logs()} == {"INFO"}

    def test_a_message_of_a_session_that_was_purged_meanwhile_is_nobodys(
        self, service: Service, owner: Owner
    ) -> None:
        chat(service, owner, 5)
        records, gone = inserted(service, owner.id), segments(service, owner.id)
        service.call("sessions/delete", "me", token=owner.token, query={"purge": "true"})
        removals = [change(50 + place, None, item) for place, item in enumerate(gone)]
        assert stream(service, *records, *removals) == []
        assert [*service.archive_bucket.keys("")] == []
        assert heads(service, owner.id) == []

    def test_an_empty_batch_is_done(self, service: Service) -> None:
        assert stream(service) == []

    def test_the_sample_speaks_of_a_conversation_that_is_not_there(self, service: Service, output: Output) -> None:
        answer = service.handler("conversations/archive")(sample("conversations/archive"), Context())
        assert answer == {"batchItemFailures": []}
        assert {line["level"] for line in output.logs()} == {"INFO"}


class TestFailures:
    def test_the_records_of_the_failing_conversation_come_again_and_no_others(
        self, service: Service, output: Output
    ) -> None:
        owners = [service.create() for _ in range(4)]
        for each in owners:
            chat(service, each, 5)
        batches = [inserted(service, each.id, start=100 * place) for place, each in enumerate(owners)]
        bad = owners[2].id
        broken = Service(service.clock, service.secret, service.table, archive_bucket=_Refusing(service, bad))
        mixed = [record for records in zip(*batches, strict=True) for record in records]
        output.lines()
        assert sorted(stream(broken, *mixed)) == [number_of(record) for record in batches[2]]
        assert [len(archived(service, each.id)) for each in owners] == [5, 5, 0, 5]
        lines = output.lines()
        told = [line for line in lines if line.get("message") == "not archived yet"]
        assert [(line["level"], line["reason"]) for line in told] == [("WARNING", "Unavailable")]
        assert next(line["ArchiveFailures"] for line in lines if "ArchiveFailures" in line) == [1]
        assert bad not in repr(lines)
        assert stream(service, *batches[2]) == []
        assert len(archived(service, bad)) == 5

    @pytest.mark.parametrize("error", [Unavailable, Throttled, Contended])
    def test_whatever_keeps_it_from_the_bucket_it_is_tried_again(
        self, service: Service, owner: Owner, error: type[Exception]
    ) -> None:
        chat(service, owner, 5)
        records = inserted(service, owner.id)
        bucket = _Refusing(service, owner.id, error)
        broken = Service(service.clock, service.secret, service.table, archive_bucket=bucket)
        assert stream(broken, *records) == [number_of(record) for record in records]
        chat(service, owner, 3)
        assert stream(service, *records) == []
        service.clock.forward(5 * MINUTE)
        sweep(service)
        assert [message["seq"] for message in archived(service, owner.id)] == [*range(1, 9)]

    def test_a_failing_table_sends_the_whole_batch_again(self, service: Service, owner: Owner) -> None:
        chat(service, owner, 5)
        records = inserted(service, owner.id)
        table = FailingStore(service.table)
        broken = Service(service.clock, service.secret, table, archive_bucket=service.archive_bucket)
        table.down = True
        assert stream(broken, *records) == [number_of(record) for record in records]
        assert archived(service, owner.id) == []

    @pytest.mark.parametrize("after", [False, True])
    def test_a_crash_anywhere_is_made_good_by_the_next_run(
        self, clock: FakeClock, output: Output, after: bool
    ) -> None:
        at = 0
        while True:
            service = Service(clock)
            owner = service.create()
            append(service, owner, *[said(n) for n in range(1, 7)])
            records = inserted(service, owner.id)
            table = CrashingStore(service.table, at, after=after)
            bucket: Any = table.beside(service.archive_bucket)
            dying = Service(clock, service.secret, table, archive_bucket=bucket)
            try:
                stream(dying, *records)
            except Crash:
                at += 1
            else:
                break
            append(service, owner, *[said(n) for n in range(7, 14)])
            assert stream(service, *inserted(service, owner.id)) == []
            assert contents(sorted(archived(service, owner.id), key=lambda message: message["seq"])) == [
                *range(1, 14)
            ]
        assert at > 3
        assert output.logs()


class TestTtl:
    def test_what_ttl_takes_before_the_archive_came_to_it_is_rescued(self, service: Service, owner: Owner) -> None:
        chat(service, owner, 3)
        hot = read(service, owner)["messages"]
        records = taken_by_ttl(service, owner.id)
        assert records[0]["userIdentity"]["principalId"] == "dynamodb.amazonaws.com"
        assert stream(service, *records) == []
        service.clock.forward(5 * MINUTE)
        sweep(service)
        assert archived(service, owner.id) == hot
        assert read(service, owner)["messages"] == hot

    @pytest.mark.parametrize("seed", range(5))
    def test_in_any_order_and_beside_what_is_still_there(self, service: Service, owner: Owner, seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311 - no secret
        append(service, owner, *[said(n) for n in range(1, 6)])
        stream(service, *inserted(service, owner.id))
        for n in range(6, 12):
            append(service, owner, said(n))
        pop(service, owner)
        records = taken_by_ttl(service, owner.id)
        append(service, owner, said(12), said(13))
        batch = records + inserted(service, owner.id)
        dice.shuffle(batch)
        while batch:
            size = dice.randint(1, 3)
            assert stream(service, *batch[:size]) == []
            batch = batch[size:]
        service.clock.forward(10 * MINUTE)
        sweep(service)
        sweep(service)
        assert sorted(message["seq"] for message in archived(service, owner.id)) == [*range(1, 11), 12, 13]
        assert contents(read(service, owner)["messages"]) == [*range(1, 11), 12, 13]

    def test_what_is_archived_already_is_not_archived_again(self, service: Service, owner: Owner) -> None:
        chat(service, owner, 6)
        stream(service, *inserted(service, owner.id))
        once = archived(service, owner.id)
        assert stream(service, *taken_by_ttl(service, owner.id)) == []
        assert archived(service, owner.id) == once
        assert segments(service, owner.id) == []

    def test_a_deletion_takes_the_messages_for_good(self, service: Service, owner: Owner) -> None:
        """Its records look like those of TTL, but for who did it."""
        chat(service, owner, 6)
        gone = segments(service, owner.id)
        service.call("sessions/delete", "me", token=owner.token, query={})
        assert len(archived(service, owner.id)) == 6
        assert stream(service, *[change(place, None, item) for place, item in enumerate(gone)]) == []
        assert len(archived(service, owner.id)) == 6
        assert [*service.table.query(f"SESSION#{owner.id}")] == []


class TestPoisoned:
    @pytest.mark.parametrize(
        "record",
        [
            {},
            {"eventName": "INSERT"},
            {"eventName": "INSERT", "dynamodb": None},
            {"eventName": "INSERT", "dynamodb": {}},
            {"eventName": "INSERT", "dynamodb": {"Keys": {}, "SequenceNumber": "1"}},
            {"eventName": "INSERT", "dynamodb": {"Keys": {"pk": {"S": "x"}}, "SequenceNumber": "1"}},
            {"eventName": "INSERT", "dynamodb": {"Keys": {"pk": {"S": "x"}, "sk": {"N": "1"}}}},
            {"eventName": "INSERT", "dynamodb": {"Keys": {"pk": {"S": "SESSION#x"}, "sk": {"S": "MSG#c#1"}}}},
            {
                "eventName": "REMOVE",
                "dynamodb": {"Keys": {"pk": {"S": "SESSION#x"}, "sk": {"S": "MSG#c#1"}}, "SequenceNumber": "1"},
            },
        ],
        ids=repr,
    )
    def test_a_record_that_cannot_be_read_holds_up_no_other(
        self, service: Service, owner: Owner, output: Output, record: dict[str, Any]
    ) -> None:
        """It would be the same the next time: it is told, counted and passed over."""
        chat(service, owner, 5)
        output.lines()
        first, *rest = inserted(service, owner.id)
        assert stream(service, first, record, *rest) == []
        assert len(archived(service, owner.id)) == 5
        lines = output.lines()
        told = [line for line in lines if line.get("message") == "poisoned record"]
        assert [line["level"] for line in told] == ["ERROR"]
        assert next(line["Errors"] for line in lines if "Errors" in line) == [1]

    @pytest.mark.parametrize(
        "old",
        [
            {},
            {"messages": "nonsense"},
            {"messages": {"x": {}}, "at": 1},
            {"messages": {}, "at": 1},
            {"at": "late"},
        ],
        ids=repr,
    )
    def test_an_old_image_that_cannot_be_read_harms_nothing(
        self, service: Service, owner: Owner, old: dict[str, Any]
    ) -> None:
        """What is in the table is archived, now or in an hour."""
        other = service.create()
        for each in (owner, other):
            chat(service, each, 5)
        key = {name: segments(service, owner.id)[-1][name] for name in ("pk", "sk")}
        record = change(77, None, key | {"sk": key["sk"][:-1] + "9"} | old)
        assert stream(service, *inserted(service, owner.id), record, *inserted(service, other.id)) == []
        assert len(archived(service, other.id)) == 5
        service.clock.forward(HOUR)
        sweep(service)
        assert len(archived(service, owner.id)) == 5

    @pytest.mark.parametrize(
        ("name", "value"),
        [("archivedSeq", "many"), ("archivedSeq", None), ("retentionSeconds", "long"), ("sessionId", None)],
    )
    def test_a_head_that_cannot_be_read_is_tried_again_in_an_hour(
        self, service: Service, owner: Owner, output: Output, name: str, value: Any
    ) -> None:
        other = service.create()
        for each in (owner, other):
            chat(service, each, 5)
            clear(service, each)
        (head,) = heads(service, owner.id)
        key = Key(head["pk"], head["sk"])
        service.table.update(key, Change({(name,): value}))
        output.lines()
        records = [*inserted(service, owner.id), *inserted(service, other.id, start=50)]
        assert stream(service, *records) == []
        assert len(archived(service, other.id)) == 5
        lines = output.lines()
        told = [line for line in lines if line.get("message") == "poisoned record"]
        assert {line["session"] for line in told} <= {service.graph.telemetry.pseudonym(owner.id)}
        assert owner.id not in repr(lines)
        service.table.update(key, Change({(name,): head[name]}))
        service.clock.forward(HOUR)
        sweep(service)
        assert len(archived(service, owner.id)) == 5

    def test_a_segment_that_cannot_be_read_keeps_no_session_from_its_end(
        self, service: Service, clock: FakeClock, output: Output
    ) -> None:
        """The clean-up and a deletion leave it where it is, tell of it and go on."""
        poisoned, deleted = (service.create(ttlSeconds=60) for _ in range(2))
        others = [service.create(ttlSeconds=60) for _ in range(3)]
        for each in (poisoned, deleted, *others):
            chat(service, each, 2)
        for each in (poisoned, deleted):
            item = segments(service, each.id)[0]
            service.table.update(Key(item["pk"], item["sk"]), Change({("messages",): "nonsense"}))
        assert service.call("sessions/delete", "me", token=deleted.token, query={}).status == 204
        clock.forward(60)
        output.lines()
        run = service.handler("lifecycle/cleanup")({}, Context(300_000))
        assert (run["done"], run["expired"], run["poisoned"]) == (True, 4, 2)
        assert len(segments(service, poisoned.id)) == len(segments(service, deleted.id)) == 2
        for each in others:
            assert segments(service, each.id) == []
            assert len(archived(service, each.id)) == 2
        token = service.service_token()
        assert service.call("sessions/get", deleted.id, token=token).problem == (404, "session-not-found")
        again = service.handler("lifecycle/cleanup")({}, Context(300_000))
        assert (again["done"], again["poisoned"]) == (True, 0)
        assert "nonsense" not in repr(output.lines())


class TestSchedule:
    def test_a_few_messages_wait_for_five_minutes(self, service: Service, clock: FakeClock, owner: Owner) -> None:
        chat(service, owner, 3)
        assert stream(service, *inserted(service, owner.id)) == []
        clock.forward(4 * MINUTE)
        append(service, owner, said("message 4"))
        stream(service, *inserted(service, owner.id))
        assert sweep(service) == {"tended": 0, "lagSeconds": 0}
        assert keys(service, owner.id) == []
        clock.forward(1 * MINUTE)
        assert sweep(service)["tended"] == 1
        assert keys(service, owner.id) == ["1-4.jsonl.gz"]
        assert sweep(service) == {"tended": 0, "lagSeconds": 0}

    def test_it_finds_what_the_stream_has_given_up(self, service: Service, clock: FakeClock, owner: Owner) -> None:
        """The first record made the head due; of all later ones nobody was told."""
        chat(service, owner, 1)
        stream(service, *inserted(service, owner.id))
        for number in range(30):
            append(service, owner, said(number))
        clock.forward(5 * MINUTE)
        sweep(service)
        assert len(archived(service, owner.id)) == 31

    def test_a_failing_bucket_is_counted_and_the_lag_told(
        self, service: Service, clock: FakeClock, output: Output
    ) -> None:
        owners = [service.create(kind="chat") for _ in range(3)]
        for each in owners:
            chat(service, each, 2)
            stream(service, *inserted(service, each.id))
        clock.forward(12 * MINUTE)
        bucket = FailingStore(service.archive_bucket)
        bucket.down = True
        broken = Service(clock, service.secret, service.table, archive_bucket=bucket)
        output.lines()
        assert sweep(broken) == {"tended": 3, "lagSeconds": 7 * MINUTE}
        metrics = output.metrics()
        assert metrics["ArchiveFailures"] == [1, 1, 1]
        assert metrics["ArchiveLagSeconds"] == [7 * MINUTE]
        clock.forward(5 * MINUTE)  # what has failed waits as long as what is new
        assert sweep(service) == {"tended": 3, "lagSeconds": 0}
        metrics = output.metrics()
        assert "ArchiveFailures" not in metrics
        assert (sum(metrics["MessagesArchived"]), metrics["ArchiveLagSeconds"]) == (6, [0])

    def test_one_that_fails_keeps_the_others_from_nothing(self, service: Service, clock: FakeClock) -> None:
        one = service.another(CLEANUP_SHARDS="1")
        owners = [one.create(kind="chat") for _ in range(5)]
        for each in owners:
            chat(one, each, 1)
            stream(one, *inserted(one, each.id))
        clock.forward(5 * MINUTE)
        broken = one.another()
        broken.archive_bucket = _Refusing(one, owners[2].id)
        assert sweep(broken) == {"tended": 5, "lagSeconds": 0}
        assert [len(archived(one, each.id)) for each in owners] == [1, 1, 0, 1, 1]

    def test_it_stops_before_its_time_limit_and_the_next_one_goes_on(
        self, service: Service, clock: FakeClock
    ) -> None:
        owners = [service.create(kind="chat") for _ in range(12)]
        for each in owners:
            chat(service, each, 1)
            stream(service, *inserted(service, each.id))
        clock.forward(5 * MINUTE)
        assert sweep(service, 10_000)["tended"] == 0
        done = sweep(service, 11_000)["tended"]
        assert done == 12
        assert all(archived(service, each.id) for each in owners)

    def test_more_than_a_page_of_them(self, service: Service, clock: FakeClock) -> None:
        one = service.another(CLEANUP_SHARDS="1")
        owners = [one.create(kind="chat") for _ in range(130)]
        for each in owners:
            append(one, each, said("x"))
            stream(one, *inserted(one, each.id))
        clock.forward(5 * MINUTE)
        assert sweep(one)["tended"] == 130
        assert all(len(archived(one, each.id)) == 1 for each in owners)
        assert sweep(one)["tended"] == 0

    def test_an_ended_conversation_goes_when_its_retention_is_over(
        self, service: Service, clock: FakeClock
    ) -> None:
        owner = service.create()
        for _ in range(2):
            chat(service, owner, 7)
            clear(service, owner)
        stream(service, *inserted(service, owner.id))
        chat(service, owner, 1)
        assert len(archived(service, owner.id)) == 14
        clock.forward(30 * DAY - 1)
        sweep(service)
        assert len(archived(service, owner.id)) == 14
        clock.forward(1)
        sweep(service)
        assert archived(service, owner.id) == []
        rest = [item["sk"][:5] for item in service.table.query(conversations(owner.id))]
        assert rest == ["HEAD#"], "the open one alone is left"

    def test_an_open_one_stays_however_old_it_is(self, service: Service, clock: FakeClock) -> None:
        owner = service.create(kind="chat")
        chat(service, owner, 5)
        stream(service, *inserted(service, owner.id))
        clock.forward(29 * DAY)
        for _ in range(3):
            service.call("sessions/extend", owner.id, token=service.service_token(), body={})
            clock.forward(29 * DAY)
            sweep(service)
        assert len(archived(service, owner.id)) == 5

    def test_a_purge_that_was_cut_short_is_brought_to_its_end(self, service: Service, clock: FakeClock) -> None:
        owner = service.create()
        chat(service, owner, 6)
        stream(service, *inserted(service, owner.id))
        append(service, owner, said("x" * 600_000))
        bucket = FailingStore(service.archive_bucket)
        bucket.down = True
        broken = Service(clock, service.secret, service.table, archive_bucket=bucket)
        answer = broken.call("sessions/delete", "me", token=owner.token, query={"purge": "true"})
        assert answer.problem == (503, "unavailable")
        sweep(service)
        assert [*service.archive_bucket.keys("")] == []
        assert [*service.table.query(conversations(owner.id))] == []

    def test_a_table_that_fails_stops_the_run_for_lambda_to_repeat(self, service: Service) -> None:
        table = FailingStore(service.table)
        table.down = True
        with pytest.raises(Unavailable):
            sweep(Service(service.clock, service.secret, table))

    def test_the_event_of_eventbridge_is_a_run_too(self, service: Service) -> None:
        event = {"version": "0", "detail-type": "Scheduled Event", "source": "aws.scheduler", "detail": "{}"}
        assert service.handler("conversations/archive")(event, Context(60_000)) == {"tended": 0, "lagSeconds": 0}


def test_large_contents_come_into_the_archive_whole(service: Service, owner: Owner) -> None:
    text = "ж" * 160_000
    append(service, owner, said(text, metadata={"n": 1}), said("small"))
    clear(service, owner)
    stream(service, *inserted(service, owner.id))
    assert [(message["content"], message.get("metadata")) for message in archived(service, owner.id)] == [
        (text, {"n": 1}),
        ("small", None),
    ]


def test_an_object_is_never_too_large_to_be_read_into_memory(service: Service, owner: Owner) -> None:
    for number in range(40):
        append(service, owner, said(f"{number}" + "x" * 250_000))
    stream(service, *inserted(service, owner.id))
    bodies = [service.archive_bucket.get(key) or b"" for key in service.archive_bucket.keys("archive/")]
    assert len(bodies) >= 3
    assert all(sum(len(m["content"]) for m in objects.decode(body)) <= 4_000_000 for body in bodies)
    assert len(archived(service, owner.id)) == 40


class _Refusing:
    """A bucket that takes no new object of one session."""

    def __init__(self, service: Service, session_id: str, error: type[Exception] = Unavailable) -> None:
        self._bucket, self._prefix, self._error = service.archive_bucket, objects.prefix(session_id), error

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._bucket, verb)

    def put_new(self, key: str, body: bytes) -> bool:
        if key.startswith(self._prefix):
            raise self._error
        return self._bucket.put_new(key, body)
