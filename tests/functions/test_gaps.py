"""Gaps that popped messages leave: they stand on the head of a conversation, which must stay writable."""

from tessera.model.changes import Change
from tessera.stores.attributes import size
from tessera.stores.table import MAX_ITEM_BYTES, Key
from tests.functions.service import Service
from tests.functions.talking import MINUTE, append, archived, clear, heads, inserted, pop, said, stream, sweep
from tests.support.fakes import FakeClock


def test_a_conversation_full_of_gaps_takes_no_more_and_is_archived(service: Service, clock: FakeClock) -> None:
    """The head of a conversation grows by each gap. At 400 KB DynamoDB refuses every write to it, the archive's
    too: one session could stop the archive of all others."""
    owner = service.create(kind="chat")
    append(service, owner, said("one"), said("two"))
    (head,) = heads(service, owner.id)
    gaps = [[number, number] for number in range(10, 14_000, 2)]
    full = service.table.update(Key(head["pk"], head["sk"]), Change({("popped",): gaps}))
    assert size(full) > MAX_ITEM_BYTES
    assert pop(service, owner).problem == (413, "content-too-large")
    stream(service, *inserted(service, owner.id))
    clock.forward(5 * MINUTE)
    assert sweep(service) == {"tended": 1, "lagSeconds": 0}
    assert [message["content"] for message in archived(service, owner.id)] == ["one", "two"]
    clear(service, owner)
    append(service, owner, said("three"))
    assert pop(service, owner).json["message"]["content"] == "three"
