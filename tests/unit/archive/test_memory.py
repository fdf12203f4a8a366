"""The memory's bounds."""

from tessera.archive.memory import Memory
from tessera.stores.bucket import MemoryBucket
from tessera.stores.memory import MemoryTable
from tests.support.chats import House, said
from tests.support.fakes import FakeClock


def test_a_search_ends_before_its_index_fills_the_disk() -> None:
    """A function has 512 MB. A customer with more than that is answered from the newest of it, and told."""
    house = House(MemoryTable(), MemoryBucket(), FakeClock())
    session_id = house.begin(customer={"customerId": "ada"})
    for number in range(20):
        house.say(session_id, said(f"tea {number} " + "x" * 500))
    small = Memory(house.table, house.history, house.clock, most_bytes=5_000)
    found, complete = small.search("ada", "tea", 100, in_time=lambda: True)
    assert not complete
    assert {message["seq"] for message in found} == set(range(15, 21))
    assert house.memory.search("ada", "tea", 100, in_time=lambda: True)[1]
