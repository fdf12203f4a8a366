"""TesseraChatMessageHistory keeps to LangChain's interface, and loses nothing of a message."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory

from tessera_client import AsyncTessera, Problem, Tessera
from tessera_client.langchain import TesseraChatMessageHistory
from tests.client.fakes import BASE, Faulty, LostAnswer, problem

CALL: Any = {"name": "add", "args": {"a": 1.0, "": {"b": [None]}}, "id": "call_1", "type": "tool_call"}
IMAGE: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
MESSAGES: list[BaseMessage] = [
    SystemMessage("Be brief"),
    HumanMessage("Hello"),
    HumanMessage("Hello", name="Ada", id="own-id"),
    HumanMessage([IMAGE, {"type": "text", "text": "What is this?"}]),
    HumanMessage(["several", "texts"]),
    HumanMessage([]),
    HumanMessage(""),
    AIMessage("Hi!", id="lc_run--1", response_metadata={"logprobs": [-0.5], "model": "fake"}),
    AIMessage(
        "",
        id="lc_run--2",
        tool_calls=[CALL],
        invalid_tool_calls=[
            {"name": "add", "args": "{", "id": "call_2", "error": "cut", "type": "invalid_tool_call"}
        ],
        additional_kwargs={"refusal": None, "tool_calls": [{"index": 0}]},
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    ),
    AIMessageChunk(content="part"),
    ToolMessage("3", tool_call_id="call_1", status="error", artifact={"rows": [1.0]}),
    FunctionMessage("3", name="add"),
    ChatMessage("Hear, hear", role="chorus"),
    ChatMessage("Well", role="assistant"),
]


@pytest.fixture
def history(tessera: Tessera, aio: AsyncTessera) -> TesseraChatMessageHistory:
    return TesseraChatMessageHistory("me", tessera, aio=aio)


def test_it_is_a_chat_message_history(history: TesseraChatMessageHistory) -> None:
    assert isinstance(history, BaseChatMessageHistory)
    assert history.messages == []
    assert str(history) == ""


def test_messages_of_every_kind_come_back_as_they_were(history: TesseraChatMessageHistory) -> None:
    history.add_messages(MESSAGES)
    assert history.messages == MESSAGES
    assert [type(message) for message in history.messages] == [type(message) for message in MESSAGES]


def test_asynchronously_too(history: TesseraChatMessageHistory) -> None:
    async def use() -> tuple[list[BaseMessage], list[BaseMessage]]:
        await history.aadd_messages(MESSAGES)
        there = await history.aget_messages()
        await history.aclear()
        return there, await history.aget_messages()

    assert asyncio.run(use()) == (MESSAGES, [])


def test_the_convenient_ways_to_add(history: TesseraChatMessageHistory) -> None:
    history.add_user_message("Hello")
    history.add_ai_message("Hi!")
    history.add_message(HumanMessage("Bye"))
    assert str(history) == "Human: Hello\nAI: Hi!\nHuman: Bye"


def test_clearing_ends_the_conversation(history: TesseraChatMessageHistory) -> None:
    history.add_user_message("Hello")
    history.clear()
    assert history.messages == []
    history.add_user_message("Again")
    assert history.messages == [HumanMessage("Again")]


def test_to_other_readers_texts_are_plain_and_roles_are_ours(
    history: TesseraChatMessageHistory, tessera: Tessera
) -> None:
    history.add_messages(MESSAGES)
    kept = tessera.conversation().read()
    assert [(message["role"], message["content"]) for message in kept] == [
        ("system", "Be brief"),
        ("user", "Hello"),
        ("user", "Hello"),
        ("user", "What is this?"),
        ("user", ""),
        ("user", ""),
        ("user", ""),
        ("assistant", "Hi!"),
        ("assistant", ""),
        ("assistant", "part"),
        ("tool", "3"),
        ("tool", "3"),
        ("user", "Hear, hear"),
        ("assistant", "Well"),
    ]
    assert [place for place, message in enumerate(kept) if "metadata" not in message] == [0, 1, 6]


def test_what_others_wrote_comes_by_its_role(history: TesseraChatMessageHistory, tessera: Tessera) -> None:
    tessera.conversation().append(
        [
            {"role": "user", "content": {"rating": 5}},
            {"role": "assistant", "content": "Hi!", "metadata": {"openai-agents": "{}"}},
            {"role": "system", "content": "Be brief"},
            {"role": "tool", "content": "3", "messageId": "t"},
        ]
    )
    assert history.messages == [
        HumanMessage('{"rating": 5}'),
        AIMessage("Hi!"),
        SystemMessage("Be brief"),
        ToolMessage("3", tool_call_id="t"),
    ]


@pytest.mark.parametrize("own", ["lc_run--1", "x" * 1_000, "", "line\nbreak", "cnv_k3v7q2m5x4n6b7c2d3f4g5h6j7.5"])
def test_a_message_with_an_id_of_its_own_is_kept_once(history: TesseraChatMessageHistory, own: str) -> None:
    history.add_messages([HumanMessage("Hello", id=own)])
    history.add_messages([HumanMessage("Hello", id=own), AIMessage("Hi!")])
    assert history.messages == [HumanMessage("Hello", id=own), AIMessage("Hi!")]


def test_what_failed_and_is_added_again_is_there_once(history: TesseraChatMessageHistory, way: Faulty) -> None:
    way.faults = [LostAnswer, problem(403, "forbidden")]
    with pytest.raises(Problem):
        history.add_user_message("Hello")
    history.add_user_message("Hello")
    history.add_user_message("Hello")
    assert history.messages == [HumanMessage("Hello"), HumanMessage("Hello")]


def test_of_several_writers_none_loses_anything(history: TesseraChatMessageHistory) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: history.add_user_message(str(n)), range(40)))
    assert sorted(int(str(message.content)) for message in history.messages) == [*range(40)]


@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
class TestRunnable:
    """In RunnableWithMessageHistory, as an application has it."""

    def chain(self, history: TesseraChatMessageHistory, *answers: str) -> Any:
        prompt = ChatPromptTemplate([MessagesPlaceholder("history"), ("human", "{said}")])
        chain = prompt | FakeListChatModel(responses=list(answers))
        return RunnableWithMessageHistory(
            chain,
            lambda: history,
            input_messages_key="said",
            history_messages_key="history",
            history_factory_config=[],
        )

    def test_turns_are_remembered(self, history: TesseraChatMessageHistory) -> None:
        chain = self.chain(history, "Hi!", "Bye!")
        assert chain.invoke({"said": "Hello"}).content == "Hi!"
        assert chain.invoke({"said": "Go"}).content == "Bye!"
        assert [message.content for message in history.messages] == ["Hello", "Hi!", "Go", "Bye!"]

    def test_asynchronously_and_in_streams_too(self, history: TesseraChatMessageHistory) -> None:
        chain = self.chain(history, "Hi!", "Bye!")

        async def turns() -> None:
            await chain.ainvoke({"said": "Hello"})
            async for _ in chain.astream({"said": "Go"}):
                pass

        asyncio.run(turns())
        assert [message.content for message in history.messages] == ["Hello", "Hi!", "Go", "Bye!"]


def test_histories_know_nothing_of_each_other(history: TesseraChatMessageHistory, way: Faulty) -> None:
    other = TesseraChatMessageHistory("me", Tessera.create_session(BASE, transport=httpx.MockTransport(way)))
    history.add_user_message("Hello")
    assert other.messages == []
