"""TesseraSession keeps to the SDK's protocol: what the SDK expects of its own SQLiteSession, and more."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from copy import deepcopy
from typing import Any

import httpx
import pytest
from agents import Agent, RunConfig, Runner, SQLiteSession, function_tool
from agents.memory import Session, SessionSettings
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera_client import AsyncTessera, Problem, Tessera
from tessera_client.openai_agents import TesseraSession
from tests.client.conftest import Handlers
from tests.client.fakes import BASE, Faulty, LostAnswer, problem
from tests.client.models import ScriptedModel, text, tool_call
from tests.functions.service import Service

ITEMS: list[Any] = [
    {"role": "user", "content": "Hello"},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Typed"}]},
    {
        "role": "user",
        "content": [
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
            {"type": "input_text", "text": "What is this?"},
        ],
    },
    {"role": "developer", "content": "Be brief"},
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Hi!", "annotations": [], "logprobs": None}],
    },
    {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Thinking"}],
        "encrypted_content": "x",
    },
    {"id": "fc_1", "call_id": "call_1", "type": "function_call", "name": "add", "arguments": '{"a": 1.0}'},
    {"call_id": "call_1", "type": "function_call_output", "output": "3"},
    {"call_id": "call_2", "type": "function_call_output", "output": [{"type": "input_text", "text": "3"}]},
    {"type": "item_reference", "id": "x"},
    {
        "type": "mcp_list_tools",
        "tools": [{"input_schema": {"": {"deep": [[[[[[[[[[[[[[[[[[[[1.0]]]]]]]]]]]]]]]]]]]]}}}],
    },
]
"""Items of every kind, with what a store may stumble over: floats, empty keys, deep nesting."""


def user(content: str) -> Any:
    return {"role": "user", "content": content}


def users(*contents: Any) -> list[Any]:
    return [user(str(content)) for content in contents]


@pytest.fixture
def session(tessera: Tessera, aio: AsyncTessera) -> TesseraSession:
    return TesseraSession(tessera.session_id, aio)


@pytest.fixture
def another(way: Faulty) -> TesseraSession:
    """The session of somebody else."""
    tessera = Tessera.create_session(BASE, transport=httpx.MockTransport(way))
    return TesseraSession("me", AsyncTessera.sharing(tessera, httpx.MockTransport(way)))


def test_it_is_a_session_to_the_sdk(session: TesseraSession) -> None:
    assert isinstance(session, Session)
    assert session.session_settings is None


def test_items_of_every_kind_come_back_unchanged(session: TesseraSession) -> None:
    async def roundtrip() -> list[Any]:
        await session.add_items(deepcopy(ITEMS))
        return list(await session.get_items())

    assert asyncio.run(roundtrip()) == ITEMS


def test_to_other_readers_texts_are_plain_and_roles_are_ours(session: TesseraSession, tessera: Tessera) -> None:
    asyncio.run(session.add_items(ITEMS))
    read = [(message["role"], message["content"]) for message in tessera.conversation().read()]
    assert read == [
        ("user", "Hello"),
        ("user", "Typed"),
        ("user", "What is this?"),
        ("system", "Be brief"),
        ("assistant", "Hi!"),
        ("assistant", "Thinking"),
        ("assistant", '{"a": 1.0}'),
        ("tool", "3"),
        ("tool", "3"),
        ("assistant", ""),
        ("assistant", ""),
    ]
    assert "metadata" not in tessera.conversation().read()[0]


def test_what_others_wrote_comes_as_plain_messages(session: TesseraSession, tessera: Tessera) -> None:
    tessera.conversation().append(
        [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": {"rating": 5}},
            {"role": "tool", "content": "3", "metadata": {"langchain": "{}"}},
        ]
    )
    assert asyncio.run(session.get_items()) == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": '{"rating": 5}'},
        {"role": "assistant", "content": "3"},
    ]


def test_the_newest_n_come_in_order(session: TesseraSession) -> None:
    async def read() -> list[list[Any]]:
        await session.add_items(users(1, 2, 3, 4, 5, 6))
        return [list(await session.get_items(limit)) for limit in (2, 4, 6, 10, 0)]

    two, four, six, ten, none = asyncio.run(read())
    assert (two, four, none) == (users(5, 6), users(3, 4, 5, 6), [])
    assert six == ten == users(1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("given_settings", [SessionSettings(limit=2), {"limit": 2}])
def test_the_settings_say_how_many_when_the_caller_does_not(
    tessera: Tessera, aio: AsyncTessera, given_settings: Any
) -> None:
    async def read() -> tuple[Any, Any]:
        session = TesseraSession(tessera.session_id, aio, given_settings)
        await session.add_items(users(1, 2, 3))
        return await session.get_items(), await session.get_items(limit=1)

    assert asyncio.run(read()) == (users(2, 3), users(3))


def test_pop_takes_the_newest_until_there_is_none(session: TesseraSession) -> None:
    async def pop_all() -> list[Any]:
        await session.add_items(users(1, 2, 3))
        return [await session.pop_item() for _ in range(5)]

    assert asyncio.run(pop_all()) == [*users(3, 2, 1), None, None]


def test_a_cleared_session_is_empty_and_goes_on(session: TesseraSession) -> None:
    async def clear() -> tuple[Any, Any, Any]:
        await session.add_items(users(1))
        await session.clear_session()
        after = await session.get_items(), await session.pop_item()
        await session.add_items(users(2))
        return *after, await session.get_items()

    assert asyncio.run(clear()) == ([], None, users(2))


def test_sessions_know_nothing_of_each_other(session: TesseraSession, another: TesseraSession) -> None:
    async def use() -> tuple[Any, Any, Any]:
        await session.add_items(users(1))
        await another.add_items(users(2, 3))
        return await another.pop_item(), await session.get_items(), await another.get_items()

    assert asyncio.run(use()) == (user("3"), users(1), users(2))


@pytest.mark.parametrize(
    "content", ["Übung macht 日本語 🎉", "'; DROP TABLE messages; --", '"\\\n\t\0', "\ud800", ""]
)
def test_any_text_survives(session: TesseraSession, content: str) -> None:
    async def roundtrip() -> list[Any]:
        await session.add_items([user(content)])
        return list(await session.get_items())

    assert asyncio.run(roundtrip()) == [user(content)]


def test_nothing_to_add_is_no_request(session: TesseraSession, way: Faulty) -> None:
    way.requests.clear()
    asyncio.run(session.add_items([]))
    assert way.requests == []


def test_a_long_history_is_read_whole(session: TesseraSession) -> None:
    async def read() -> list[Any]:
        await session.add_items(users(*range(1_234)))
        return list(await session.get_items())

    assert asyncio.run(read()) == users(*range(1_234))


class TestRunner:
    """With the SDK's own runner, in each of its ways to run."""

    @staticmethod
    async def run(how: str, agent: Agent[Any], said: Any, session: Any, **more: Any) -> Any:
        if how == "run_streamed":
            result = Runner.run_streamed(agent, said, session=session, **more)
            async for _ in result.stream_events():
                pass
            return result
        if how == "run_sync":
            return await asyncio.to_thread(_run_sync, agent, said, session=session, **more)
        return await Runner.run(agent, said, session=session, **more)

    @pytest.mark.parametrize("how", ["run", "run_sync", "run_streamed"])
    def test_the_second_turn_hears_the_first(self, session: TesseraSession, how: str) -> None:
        async def turns() -> ScriptedModel:
            model = ScriptedModel(text("San Francisco"), text("California"))
            agent = Agent(name="guide", model=model)
            for said in ("Where is the Golden Gate Bridge?", "In which state?"):
                await self.run(how, agent, said, session, run_config=RunConfig(tracing_disabled=True))
            return model

        first, second = asyncio.run(turns()).asked
        assert [item.get("role") for item in second] == ["user", "assistant", "user"]
        assert second[0] == first[0] == user("Where is the Golden Gate Bridge?")
        assert second[1]["content"][0]["text"] == "San Francisco"

    def test_calls_of_tools_are_remembered(self, session: TesseraSession) -> None:
        @function_tool
        def add(a: int, b: int) -> int:
            """Add."""
            return a + b

        async def turn() -> list[Any]:
            model = ScriptedModel(tool_call("add", '{"a": 1, "b": 2}'), text("3"))
            agent = Agent(name="adder", model=model, tools=[add])
            await Runner.run(agent, "1 + 2?", session=session, run_config=RunConfig(tracing_disabled=True))
            return list(await session.get_items())

        kinds = [item.get("type", item.get("role")) for item in asyncio.run(turn())]
        assert kinds == ["user", "function_call", "function_call_output", "message"]

    def test_a_run_may_ask_for_the_newest_only(self, session: TesseraSession) -> None:
        async def turn() -> Any:
            await session.add_items(users(1, 2, 3))
            model = ScriptedModel(text("4"))
            config = RunConfig(tracing_disabled=True, session_settings=SessionSettings(limit=1))
            await Runner.run(Agent(name="counter", model=model), "next", session=session, run_config=config)
            return model.asked[0]

        assert asyncio.run(turn()) == users(3, "next")


def _run_sync(*arguments: Any, **options: Any) -> Any:
    asyncio.set_event_loop(asyncio.new_event_loop())
    with closing(asyncio.get_event_loop()):
        return Runner.run_sync(*arguments, **options)


class TestAtOnce:
    def test_of_several_who_pop_each_gets_another(self, session: TesseraSession) -> None:
        async def pop() -> list[Any]:
            await session.add_items(users(*range(20)))
            return await asyncio.gather(*(session.pop_item() for _ in range(21)))

        popped = asyncio.run(pop())
        assert popped.count(None) == 1
        assert sorted(int(item["content"]) for item in popped if item) == [*range(20)]

    def test_of_several_who_add_none_is_lost_and_each_stays_together(self, session: TesseraSession) -> None:
        async def add() -> list[Any]:
            await asyncio.gather(*(session.add_items(users(n, n, n)) for n in range(20)))
            return list(await session.get_items())

        said = [int(item["content"]) for item in asyncio.run(add())]
        assert sorted(said) == sorted(3 * [*range(20)])
        assert all(said[at] == said[at + 1] == said[at + 2] for at in range(0, 60, 3))

    def test_the_same_words_of_two_are_two(self, session: TesseraSession) -> None:
        async def add() -> list[Any]:
            await asyncio.gather(session.add_items(users("hi")), session.add_items(users("hi")))
            return list(await session.get_items())

        assert asyncio.run(add()) == users("hi", "hi")


class Stuck(httpx.AsyncBaseTransport):
    """A way on which one request is done, and its answer never comes."""

    def __init__(self, service: Callable[[httpx.Request], httpx.Response]) -> None:
        self.service = service
        self.stuck = False
        self.arrived = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        answer = self.service(request)
        if self.stuck:
            self.stuck = False
            self.arrived.set()
            await asyncio.Event().wait()
        return answer


class TestRepetition:
    """Whoever is cancelled does not know whether it was done."""

    @staticmethod
    def run(tessera: Tessera, way: Faulty, use: Callable[[TesseraSession, Stuck], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            stuck = Stuck(way)
            return await use(TesseraSession(tessera.session_id, AsyncTessera.sharing(tessera, stuck)), stuck)

        return asyncio.run(run())

    @staticmethod
    async def cancelled(doing: Awaitable[Any], stuck: Stuck) -> None:
        stuck.stuck = True
        task = asyncio.ensure_future(doing)
        await stuck.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        stuck.arrived.clear()

    def test_what_was_cancelled_and_is_added_again_is_there_once(self, tessera: Tessera, way: Faulty) -> None:
        async def use(session: TesseraSession, stuck: Stuck) -> Any:
            await self.cancelled(session.add_items(users(1, 2)), stuck)
            await session.add_items(users(1, 2))
            return await session.get_items()

        assert self.run(tessera, way, use) == users(1, 2)

    def test_cancelled_again_and_again_it_is_there_once(self, tessera: Tessera, way: Faulty) -> None:
        async def use(session: TesseraSession, stuck: Stuck) -> Any:
            for _ in range(3):
                await self.cancelled(session.add_items(users(1)), stuck)
            await session.add_items(users(1))
            return await session.get_items()

        assert self.run(tessera, way, use) == users(1)

    def test_half_of_many_that_was_kept_is_not_kept_again(self, tessera: Tessera, way: Faulty) -> None:
        async def use(session: TesseraSession, stuck: Stuck) -> Any:
            await self.cancelled(session.add_items(users(*range(150))), stuck)
            await session.add_items(users(*range(150)))
            return await session.get_items()

        assert self.run(tessera, way, use) == users(*range(150))

    def test_said_again_after_it_went_well_it_is_said_twice(self, tessera: Tessera, way: Faulty) -> None:
        async def use(session: TesseraSession, _: Stuck) -> Any:
            await session.add_items(users("hi"))
            await session.add_items(users("hi"))
            return await session.get_items()

        assert self.run(tessera, way, use) == users("hi", "hi")

    def test_said_again_after_something_else_it_is_new(self, tessera: Tessera, way: Faulty) -> None:
        async def use(session: TesseraSession, stuck: Stuck) -> Any:
            await self.cancelled(session.add_items(users("hi")), stuck)
            await session.add_items(users("else"))
            await session.add_items(users("hi"))
            return await session.get_items()

        assert self.run(tessera, way, use) == users("hi", "else", "hi")

    def test_a_pop_that_was_cancelled_gives_its_item_to_the_next(self, tessera: Tessera, way: Faulty) -> None:
        async def use(session: TesseraSession, stuck: Stuck) -> Any:
            await session.add_items(users(1, 2))
            await self.cancelled(session.pop_item(), stuck)
            return await session.pop_item(), await session.get_items(), await session.pop_item()

        assert self.run(tessera, way, use) == (user("2"), users(1), user("1"))

    def test_what_failed_and_is_added_again_is_there_once(self, session: TesseraSession, way: Faulty) -> None:
        async def use() -> Any:
            way.faults = [LostAnswer, problem(403, "forbidden")]
            with pytest.raises(Problem):
                await session.add_items(users(1))
            await session.add_items(users(1))
            return await session.get_items()

        assert asyncio.run(use()) == users(1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
SOME_ITEM = st.sampled_from(ITEMS) | st.dictionaries(
    st.sampled_from(["role", "type", "content", "output", "summary", "arguments", ""]), JSON
)
OPERATION = st.one_of(
    st.tuples(st.just("add_items"), st.lists(SOME_ITEM, max_size=4)),
    st.tuples(st.just("get_items"), st.none() | st.integers(-2, 6)),
    st.tuples(st.just("pop_item")),
    st.tuples(st.just("clear_session")),
)


@settings(max_examples=50)
@given(operations=st.lists(OPERATION, max_size=12))
def test_it_does_what_sqlite_session_does(service: Service, operations: list[tuple[Any, ...]]) -> None:
    """Whatever is done in whatever order, nobody can tell our session from the SDK's own."""
    handlers = httpx.MockTransport(Handlers(service))
    tessera = Tessera.create_session(BASE, transport=handlers)
    ours = TesseraSession("me", AsyncTessera.sharing(tessera, handlers))

    async def done(session: Any) -> list[Any]:
        all_of_them = [*deepcopy(operations), ("get_items", None)]
        return [await getattr(session, name)(*arguments) for name, *arguments in all_of_them]

    with closing(SQLiteSession("theirs")) as theirs:
        assert asyncio.run(done(ours)) == asyncio.run(done(theirs))
