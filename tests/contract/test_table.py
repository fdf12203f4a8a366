"""The contract of a table, on every engine: each verb is atomic and decided by its conditions."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.errors import Cancelled, Misconfigured, Stale
from tessera.model.changes import Change, Clause, Operator
from tessera.stores.dynamodb import DynamoTable
from tessera.stores.memory import MemoryTable
from tessera.stores.table import (
    ABSENT,
    BY_CUSTOMER,
    BY_EXPIRY,
    PRESENT,
    Delete,
    Index,
    Item,
    Key,
    Put,
    Table,
    Update,
    Write,
)
from tessera.stores.tiers import Tiers
from tests.support.strategies import json_objects, json_values, same_json
from tests.support.tables import new_table

KEY = Key("SESSION#x", "CORE")
ITEM = {**KEY._asdict(), "n": 1, "m": {"a": 1, "b": {"c": 2}}, "s": "x", "yes": True, "nothing": None, "l": [1]}

same_table = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def put(table: Table, *items: Item) -> None:
    table.transact([Put(item) for item in items])


def child(number: int, **attributes: Any) -> Item:
    return {"pk": "SESSION#x", "sk": f"DATA#{number:04d}", **attributes}


# --- reading -----------------------------------------------------------------------------------------


def test_there_is_nothing_at_first(table: Table) -> None:
    assert table.get(KEY) is None
    assert table.get_many([KEY]) == []
    assert table.get_many([]) == []
    assert list(table.query("SESSION#x")) == []
    assert table.query_index(BY_CUSTOMER, "c-1", limit=5).items == []


def test_what_was_written_is_read(table: Table) -> None:
    put(table, ITEM)
    assert table.get(KEY) == ITEM
    assert table.get_many([KEY, Key("SESSION#x", "EXPIRY"), Key("SESSION#y", "CORE")]) == [ITEM]
    assert list(table.query("SESSION#x")) == [ITEM]


def test_many_are_read_in_part(table: Table) -> None:
    """The key comes along, and of an item that has none of the attributes it is all that comes."""
    put(table, ITEM, child(1, n=2), child(2, s="x"))
    keys = [KEY, *(Key("SESSION#x", f"DATA#{number:04d}") for number in (1, 2, 3))]
    found = table.get_many(keys, only=["n", "m", "sk", "missing"])
    assert sorted(found, key=lambda item: item["sk"]) == [
        {**KEY._asdict(), "n": 1, "m": ITEM["m"]},
        child(1, n=2),
        child(2),
    ]


@same_table
@given(json_values)
def test_any_json_value_comes_back_as_it_was(table: Table, value: Any) -> None:
    """True stays apart from 1, null in lists stays, empty texts, lists and objects too."""
    put(table, {**KEY._asdict(), "value": value})
    found = table.get(KEY)
    assert found is not None
    assert same_json(found["value"], value)


@same_table
@given(json_objects)
def test_any_names_may_be_written_as_a_delta(table: Table, value: dict[str, Any]) -> None:
    put(table, {**KEY._asdict(), "m": {}})
    change = Change({("m", name): inner for name, inner in value.items()}, clauses=(Clause(("m",), "object"),))
    assert same_json(table.update(KEY, change)["m"], value)


@pytest.mark.parametrize("number", [1e23, 1e38, 1e100, -1e100, 9.9e125, 1e-130, 0.1 + 0.2, 1e16, 10**37, -0.0])
def test_numbers_keep_their_value_and_can_be_stored_again(table: Table, number: float) -> None:
    for _ in range(2):
        put(table, {**KEY._asdict(), "n": number})
        found = table.get(KEY)
        assert found is not None
        assert float(found["n"]) == float(number)
        number = found["n"]


def test_a_partition_is_read_in_the_order_of_its_sort_key(table: Table) -> None:
    put(table, *(child(number, x="y" * 10) for number in (3, 1, 2)), ITEM)
    assert [item["sk"] for item in table.query("SESSION#x")] == ["CORE", "DATA#0001", "DATA#0002", "DATA#0003"]
    assert [item["sk"] for item in table.query("SESSION#x", "DATA#")] == ["DATA#0001", "DATA#0002", "DATA#0003"]
    assert list(table.query("SESSION#x", "DATA#0002", keys_only=True)) == [{"pk": "SESSION#x", "sk": "DATA#0002"}]


def test_a_partition_of_more_than_a_page_is_read_to_its_end(table: Table) -> None:
    """DynamoDB reads 1 MB at a time."""
    for number in range(12):
        put(table, child(number, text="x" * 200_000))
    assert [item["sk"] for item in table.query("SESSION#x")] == [f"DATA#{number:04d}" for number in range(12)]


BETWEEN = [
    ("DATA#0002", "DATA#0004", [2, 3, 4]),
    ("DATA#0002", "DATA#0002", [2]),
    ("DATA#", "DATA#~", [0, 1, 2, 3, 4, 5]),
    ("DATA#0004", "X", [4, 5]),
    ("A", "DATA#0001", [0, 1]),
    ("DATA#00015", "DATA#00025", [2]),
    ("DATA#0006", "DATA#0009", []),
    ("DATA#0004", "DATA#0002", []),
]


@pytest.mark.parametrize(("first", "last", "expected"), BETWEEN)
def test_a_range_of_a_partition_has_both_its_ends(
    table: Table, first: str, last: str, expected: list[int]
) -> None:
    put(table, *(child(number) for number in (3, 1, 0, 2, 5, 4)), {"pk": "SESSION#y", "sk": "DATA#0003"})
    assert list(table.query_between("SESSION#x", first, last)) == [child(number) for number in expected]
    backwards = table.query_between("SESSION#x", first, last, newest_first=True)
    assert list(backwards) == [child(number) for number in reversed(expected)]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [0, 1, 5, 8, 10, 11, None])
def test_a_limit_counts_all_that_comes_over_several_pages(
    table: Table, newest_first: bool, limit: int | None
) -> None:
    """DynamoDB reads 1 MB at a time, here 3 items."""
    for number in range(12):
        put(table, child(number, text="x" * 300_000))
    found = table.query_between("SESSION#x", "DATA#0001", "DATA#0010", newest_first=newest_first, limit=limit)
    expected = range(10, 0, -1) if newest_first else range(1, 11)
    assert [item["sk"] for item in found] == [f"DATA#{number:04d}" for number in expected[:limit]]


def test_what_is_read_can_be_changed_without_changing_what_is_stored(table: Table) -> None:
    put(table, ITEM)
    found = table.get(KEY)
    assert found is not None
    found["m"]["a"] = "changed"
    assert table.get(KEY) == ITEM


# --- updating ----------------------------------------------------------------------------------------


def test_a_change_assigns_removes_and_adds_in_one_step(table: Table) -> None:
    put(table, ITEM)
    change = Change(
        {("m", "b", "c"): 3, ("new",): [None]}, frozenset({("s",), ("m", "a")}), add={("n",): 5, ("k",): 2}
    )
    after = table.update(KEY, change)
    assert after == {
        **{name: value for name, value in ITEM.items() if name != "s"},
        "m": {"b": {"c": 3}},
        "new": [None],
        "n": 6,
        "k": 2,
    }
    assert table.get(KEY) == after


def test_removing_what_is_not_there_does_nothing(table: Table) -> None:
    put(table, ITEM)
    assert table.update(KEY, Change(remove=frozenset({("x",), ("m", "x"), ("m", "b", "x")}))) == ITEM


def test_a_missing_item_is_made_unless_it_must_be_present(table: Table) -> None:
    with pytest.raises(Stale) as stale:
        table.update(KEY, Change({("a",): 1}, clauses=(PRESENT,)))
    assert stale.value.found is None
    assert table.update(KEY, Change({("a",): 1}, clauses=(ABSENT,))) == {**KEY._asdict(), "a": 1}


def test_a_change_under_a_broken_condition_changes_nothing_and_brings_the_evidence(table: Table) -> None:
    put(table, ITEM)
    change = Change({("a",): 1}, add={("n",): 1}, clauses=(PRESENT, Clause(("n",), "is", 2)))
    with pytest.raises(Stale) as stale:
        table.update(KEY, change)
    assert stale.value.found == ITEM == table.get(KEY)


HOLDS: list[tuple[tuple[str, ...], Operator, Any, bool]] = [
    (("n",), "is", 1, True),
    (("n",), "is", 1.0, True),
    (("n",), "is", 2, False),
    (("n",), "is", True, False),
    (("n",), "is", "1", False),
    (("yes",), "is", True, True),
    (("yes",), "is", False, False),
    (("yes",), "is", 1, False),
    (("l",), "is", [1], True),
    (("l",), "is", [True], False),
    (("m",), "is", {"b": {"c": 2}, "a": 1}, True),
    (("m",), "is", {"b": {"c": 2}, "a": True}, False),
    (("m",), "is", {"b": {"c": 2}}, False),
    (("m", "b", "c"), "is", 2, True),
    (("nothing",), "is", None, True),
    (("missing",), "is", None, False),
    (("missing",), "is", 1, False),
    (("m", "missing", "c"), "is", 2, False),
    (("s", "a"), "is", 2, False),
    (("n",), "is not", 1, False),
    (("n",), "is not", True, True),
    (("n",), "is not", 2, True),
    (("missing",), "is not", 1, True),
    (("n",), "present", None, True),
    (("nothing",), "present", None, True),
    (("missing",), "present", None, False),
    (("m", "b", "c"), "present", None, True),
    (("m", "b", "x"), "present", None, False),
    (("missing",), "absent", None, True),
    (("nothing",), "absent", None, False),
    (("s", "x"), "absent", None, True),
    (("m",), "object", None, True),
    (("m", "b"), "object", None, True),
    (("l",), "object", None, False),
    (("s",), "object", None, False),
    (("nothing",), "object", None, False),
    (("missing",), "object", None, False),
    (("n",), "at most", 1, True),
    (("n",), "at most", 0, False),
    (("missing",), "at most", 1, False),
    (("n",), "after", 0, True),
    (("n",), "after", 0.5, True),
    (("n",), "after", 1, False),
    (("missing",), "after", 0, False),
    (("s",), "after", 0, False),
    (("s",), "at most", 10**9, False),
]


def test_each_condition_holds_where_it_should(table: Table) -> None:
    put(table, ITEM)
    for path, operator, value, holds in HOLDS:
        case = f"{'.'.join(path)} {operator} {value!r}"
        try:
            table.update(KEY, Change(clauses=(Clause(path, operator, value),), add={("hits",): 1}))
        except Stale:
            assert not holds, case
        else:
            assert holds, case


def test_all_conditions_must_hold(table: Table) -> None:
    put(table, ITEM)
    clauses = (Clause(("n",), "is", 1), Clause(("s",), "is not", "x"), Clause(("yes",), "is", True))
    with pytest.raises(Stale):
        table.update(KEY, Change({("a",): 1}, clauses=clauses))


def test_a_counter_begins_at_nothing_and_counts_also_down_and_in_fractions(table: Table) -> None:
    amounts = [1, 2.5, -4, 0.25]
    for amount in amounts:
        found = table.update(KEY, Change(add={("count",): amount}))
    assert found["count"] == sum(amounts)


# --- transactions ------------------------------------------------------------------------------------


def test_a_transaction_writes_all(table: Table) -> None:
    table.transact([Put(child(number), (ABSENT,)) for number in range(100)])
    assert len(list(table.query("SESSION#x"))) == 100


def test_or_nothing_and_says_where_it_failed(table: Table) -> None:
    put(table, child(1, old=True), child(3, old=True))
    with pytest.raises(Cancelled) as cancelled:
        table.transact([Put(child(number), (ABSENT,)) for number in range(5)])
    assert cancelled.value.failed == {1, 3}
    assert cancelled.value.found == {1: child(1, old=True), 3: child(3, old=True)}
    assert list(table.query("SESSION#x")) == [child(1, old=True), child(3, old=True)]


def test_a_put_replaces_the_whole_item_if_its_clauses_hold(table: Table) -> None:
    put(table, ITEM)
    replaced = {**KEY._asdict(), "only": 1}
    with pytest.raises(Cancelled):
        table.transact([Put(replaced, (Clause(("n",), "is", 2),))])
    assert table.get(KEY) == ITEM
    table.transact([Put(replaced, (Clause(("n",), "is", 1), Clause(("status",), "is not", "expired")))])
    assert table.get(KEY) == replaced


def mixed(*, version: int, other: int = 7) -> list[Write]:
    """Return puts and updates: of what is there, of what is not, with and without conditions."""
    here, new = Key("SESSION#x", "DATA#0001"), Key("SESSION#x", "DATA#0002")
    change = Change({("m", "a"): 5}, frozenset({("s",)}), (PRESENT, Clause(("n",), "is", version)), {("n",): 1})
    return [
        Update(KEY, change),
        Put(child(3, text="new"), (ABSENT,)),
        Update(new, Change({("a",): [None]}, add={("count",): 2})),
        Update(here, Change({("l",): [1]}, clauses=(Clause(("other",), "is", other),))),
        Put(child(4)),
    ]


def test_a_transaction_deletes(table: Table) -> None:
    """Under conditions on what goes; without PRESENT what is not there does not matter."""
    put(table, ITEM, child(1))
    key, missing = Key(ITEM["pk"], child(1)["sk"]), Key("SESSION#x", "nothing")
    for stale in (Delete(key, (Clause(("n",), "is", 99),)), Delete(missing, (PRESENT,))):
        with pytest.raises(Cancelled) as refused:
            table.transact([Update(KEY, Change({("n",): 2})), stale])
        assert refused.value.found == {1: None if stale.key == missing else table.get(key)}
    assert table.get(KEY) == ITEM
    table.transact([Update(KEY, Change({("n",): 2})), Delete(key, (PRESENT,)), Delete(missing)])
    assert table.get(key) is None
    assert (table.get(KEY) or {})["n"] == 2


def test_a_transaction_puts_and_updates_at_once(table: Table) -> None:
    put(table, ITEM, child(1, other=7), child(4, old=True))
    table.transact(mixed(version=1))
    assert list(table.query("SESSION#x")) == [
        {name: value for name, value in ITEM.items() if name != "s"} | {"n": 2, "m": {"a": 5, "b": {"c": 2}}},
        child(1, other=7, l=[1]),
        child(2, a=[None], count=2),
        child(3, text="new"),
        child(4),
    ]


def test_one_condition_stops_all_and_each_brings_its_evidence(table: Table) -> None:
    """Of an item that must be there and is not, the evidence is None; where nothing failed there is none."""
    before = [ITEM, child(1, other=7), child(4, old=True)]
    put(table, *before)
    with pytest.raises(Cancelled) as cancelled:
        table.transact(mixed(version=2, other=8))
    assert cancelled.value.failed == {0, 3}
    assert cancelled.value.found == {0: ITEM, 3: child(1, other=7)}
    missing = Update(Key("SESSION#x", "DATA#0009"), Change({("a",): 1}, clauses=(PRESENT,)))
    with pytest.raises(Cancelled) as cancelled:
        table.transact([missing, *mixed(version=1)])
    assert (cancelled.value.failed, cancelled.value.found) == ({0}, {0: None})
    assert list(table.query("SESSION#x")) == before


def test_a_transaction_deletes_with_the_rest_or_not_at_all(table: Table) -> None:
    """What is not there may be deleted too, unless a condition wants it to be there."""
    put(table, ITEM, child(1, other=7))
    there, gone = Key("SESSION#x", "DATA#0001"), Key("SESSION#x", "DATA#0009")
    with pytest.raises(Cancelled) as cancelled:
        table.transact([Delete(there, (Clause(("other",), "is", 8),)), Delete(gone, (PRESENT,)), Put(child(2))])
    assert cancelled.value.failed == {0, 1}
    assert cancelled.value.found == {0: child(1, other=7), 1: None}
    assert list(table.query("SESSION#x")) == [ITEM, child(1, other=7)]
    table.transact([Delete(there, (Clause(("other",), "is", 7),)), Delete(gone), Put(child(2))])
    assert list(table.query("SESSION#x")) == [ITEM, child(2)]


def test_evidence_can_be_changed_without_changing_what_is_stored(table: Table) -> None:
    put(table, ITEM)
    with pytest.raises(Cancelled) as cancelled:
        table.transact([Put(ITEM, (ABSENT,))])
    found = cancelled.value.found[0]
    assert found is not None
    found["m"]["a"] = "changed"
    assert table.get(KEY) == ITEM


REFUSED: dict[str, list[Write]] = {
    "empty": [],
    "one item twice": [Put(ITEM), Update(KEY, Change({("a",): 1}))],
    "over 100": [Put(child(number)) for number in range(101)],
    "one item changed and deleted": [Update(KEY, Change({("a",): 1})), Delete(KEY)],
    "nothing to change": [Update(KEY, Change(clauses=(ABSENT,)))],
}


@pytest.mark.parametrize("writes", REFUSED.values(), ids=REFUSED)
def test_what_is_no_transaction_is_refused(fast_table: Table, writes: list[Write]) -> None:
    """MiniStack takes them; AWS does not."""
    with pytest.raises(Misconfigured):
        fast_table.transact(writes)
    assert list(fast_table.query("SESSION#x")) == []


# --- indexes -----------------------------------------------------------------------------------------


def test_an_index_has_keys_only_and_only_of_items_that_have_both(table: Table) -> None:
    put(
        table,
        {**KEY._asdict(), "customerId": "c-1", "createdAt": 5, "secret": "x"},
        child(1, customerId="c-1"),
        child(2, createdAt=5),
        child(3, customerId="c-2", createdAt=5),
    )
    page = table.query_index(BY_CUSTOMER, "c-1", limit=10)
    assert list(page.items) == [{**KEY._asdict(), "customerId": "c-1", "createdAt": 5}]


@pytest.mark.parametrize("index", [BY_CUSTOMER, BY_EXPIRY], ids=lambda index: index.name)
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
def test_paging_gives_each_item_once_in_order(table: Table, index: Index, newest_first: bool, limit: int) -> None:
    """Also where several have the same sort key; their order among themselves is open."""
    values = [1, 2, 2, 2, 3, 5, 8, 8]
    put(table, *(child(n, **{index.pk: "x", index.sk: value}) for n, value in enumerate(values)))
    found, start = list[Item](), None
    while True:
        page = table.query_index(index, "x", newest_first=newest_first, limit=limit, start=start)
        assert len(page.items) <= limit
        found += page.items
        if page.last is None:
            break
        start = page.last
    assert [item[index.sk] for item in found] == sorted(values, reverse=newest_first)
    assert len({item["sk"] for item in found}) == len(values)


def test_an_index_is_bounded_by_its_sort_key(table: Table) -> None:
    put(table, *(child(n, expiryBucket="x", expiresAt=n) for n in range(10)))
    page = table.query_index(BY_EXPIRY, "x", up_to=4, limit=50)
    assert [item["expiresAt"] for item in page.items] == [0, 1, 2, 3, 4]


@given(st.integers(0, 9), st.integers(1, 4))
@same_table
def test_the_bound_holds_on_every_page(table: Table, up_to: int, limit: int) -> None:
    put(table, *(child(n, expiryBucket="x", expiresAt=n) for n in range(10)))
    first = table.query_index(BY_EXPIRY, "x", up_to=up_to, limit=limit)
    then = table.query_index(BY_EXPIRY, "x", up_to=up_to, limit=50, start=first.last).items if first.last else []
    assert [item["expiresAt"] for item in [*first.items, *then]] == list(range(up_to + 1))


def test_a_moved_item_is_found_where_it_is_now(table: Table) -> None:
    put(table, child(1, expiryBucket="x", expiresAt=1))
    table.update(Key("SESSION#x", "DATA#0001"), Change({("expiryBucket",): "y", ("expiresAt",): 9}))
    assert table.query_index(BY_EXPIRY, "x", limit=5).items == []
    assert [item["expiresAt"] for item in table.query_index(BY_EXPIRY, "y", limit=5).items] == [9]


# --- deleting ----------------------------------------------------------------------------------------


def test_a_deletion_says_whether_there_was_something(table: Table) -> None:
    put(table, ITEM)
    assert table.delete(KEY)
    assert not table.delete(KEY)
    assert table.get(KEY) is None


def test_a_deletion_under_a_broken_condition_deletes_nothing_and_brings_the_evidence(table: Table) -> None:
    put(table, ITEM)
    with pytest.raises(Stale) as stale:
        table.delete(KEY, [Clause(("s",), "is", "x"), Clause(("n",), "is", 2)])
    assert stale.value.found == ITEM == table.get(KEY)
    assert table.delete(KEY, [Clause(("s",), "is", "x"), Clause(("n",), "is", 1)])
    assert table.get(KEY) is None


def test_what_is_not_there_cannot_be_deleted_under_any_condition(table: Table) -> None:
    assert not table.delete(KEY, [Clause(("n",), "is", 1)])
    assert not table.delete(KEY, [Clause(("n",), "absent")])


def test_many_are_deleted_whether_they_are_there_or_not(table: Table) -> None:
    put(table, *(child(number) for number in range(60)), ITEM)
    table.delete_many([Key("SESSION#x", f"DATA#{number:04d}") for number in range(90)])
    assert list(table.query("SESSION#x")) == [ITEM]
    table.delete_many([])


# --- the same on DynamoDB and in memory --------------------------------------------------------------

_sort_keys = st.text("AB#0é~\U0001f600", min_size=1, max_size=3)


def test_ranges_are_the_same_in_memory(dynoxide_client: Any) -> None:
    """Whatever the keys, bounds and limits."""
    with new_table(dynoxide_client) as name:
        tables: list[Table] = [MemoryTable(), DynamoTable(dynoxide_client, name, Tiers())]

        @settings(max_examples=150)
        @given(
            st.sets(_sort_keys, max_size=12), _sort_keys, _sort_keys, st.booleans(), st.none() | st.integers(0, 9)
        )
        def same(keys: set[str], first: str, last: str, newest_first: bool, limit: int | None) -> None:
            found = list[list[Item]]()
            for table in tables:
                for key in keys:
                    table.update(Key("x", key), Change({("n",): key}))
                found.append([*table.query_between("x", first, last, newest_first=newest_first, limit=limit)])
                table.delete_many([Key("x", key) for key in keys])
            assert found[0] == found[1]

        same()
