"""Who may read and publish which topic."""

import pytest

from tessera.errors import Forbidden, NotYours, ScopeMissing
from tessera.model.caller import Caller, Scope
from tessera.model.topics import Topic, check_publish, check_read

ADA = Caller(session_id="ses_ada", epoch=1)
EVERYTHING = Caller(service="shop", scopes=frozenset({Scope.ADMIN}))
OPEN = ("lobby", "room-*")
WRITERS = {
    "customer:c1": Scope.CUSTOMERS_WRITE,
    "agent:receipts": Scope.AGENTS_WRITE,
    "system:metrics": Scope.SYSTEM_WRITE,
}


@pytest.mark.parametrize(
    "name", ["", "session", "app:", "queue:a", "app: a", "app:a\nb", "system:load", "APP:a", f"app:{'x' * 201}"]
)
def test_there_are_no_other_topics(name: str) -> None:
    with pytest.raises(Forbidden):
        Topic.parse(name)


@pytest.mark.parametrize("name", ["app:a b", "customer:käthe:2", "agent:a", "system:metrics", "session:old-1"])
def test_a_topic_is_written_as_it_is_read(name: str) -> None:
    assert str(Topic.parse(name)) == name


@pytest.mark.parametrize(
    "name", ["session:ses_ada", "customer:c1", "agent:receipts", "system:metrics", "app:lobby", "app:room-7"]
)
def test_a_session_reads_its_own_and_what_all_may_read(name: str) -> None:
    check_read(Topic.parse(name), ADA, "c1", OPEN)


@pytest.mark.parametrize(
    ("name", "customer"), [("session:ses_bob", "c1"), ("customer:c2", "c1"), ("customer:c1", None)]
)
def test_what_is_anothers_is_refused(name: str, customer: str | None) -> None:
    with pytest.raises(NotYours):
        check_read(Topic.parse(name), ADA, customer, OPEN)


def test_an_app_topic_may_be_closed() -> None:
    for check in (
        lambda: check_read(Topic.parse("app:x"), ADA, None, OPEN),
        lambda: check_publish(Topic.parse("app:x"), ADA, OPEN),
    ):
        with pytest.raises(Forbidden):
            check()


@pytest.mark.parametrize(("name", "scope"), WRITERS.items())
def test_a_service_publishes_with_the_scope_and_no_session_does(name: str, scope: Scope) -> None:
    topic = Topic.parse(name)
    check_publish(topic, Caller(service="shop", scopes=frozenset({scope})), ())
    check_publish(topic, EVERYTHING, ())
    others = frozenset(Scope) - {scope, Scope.ADMIN}
    for caller in (ADA, Caller(service="shop", scopes=others)):
        with pytest.raises(ScopeMissing):
            check_publish(topic, caller, OPEN)


def test_sessions_publish_in_app_topics_and_nobody_in_a_session() -> None:
    check_publish(Topic.parse("app:lobby"), ADA, OPEN)
    for name, caller in (("app:lobby", EVERYTHING), ("session:ses_ada", ADA), ("session:ses_ada", EVERYTHING)):
        with pytest.raises(Forbidden):
            check_publish(Topic.parse(name), caller, OPEN)


@pytest.mark.parametrize("name", ["session:ses_ada", "app:lobby", "agent:receipts"])
def test_a_service_reads_none(name: str) -> None:
    with pytest.raises(Forbidden):
        check_read(Topic.parse(name), EVERYTHING, None, OPEN)
