"""An agent of the OpenAI Agents SDK whose session is a conversation of Tessera.

    TESSERA=http://… python openai_agents_memory.py

The model is a stand-in that calls the tool for what it is asked and then says what the tool said: nothing but
Tessera is asked. Put a real one in its place.
"""

import asyncio
import os
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage, function_tool
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from tessera_client import AsyncTessera
from tessera_client.openai_agents import TesseraSession


@function_tool
def stock(tea: str) -> str:
    """Return how much there is of a tea."""
    return f"{len(tea)} kg of {tea}"


class StandIn(Model):
    """Answers from what it is given, as a model does, and always the same."""

    async def get_response(self, system_instructions: str | None, input: Any, *_: Any, **__: Any) -> ModelResponse:
        """Ask the tool about the last word that was said; say what it answered."""
        last = input[-1]
        if last.get("type") == "function_call_output":
            asked = sum(item.get("role") == "user" for item in input)
            said = f"We have {last['output']}. You have asked {asked} times."
            text = ResponseOutputText(type="output_text", text=said, annotations=[])
            answer: Any = ResponseOutputMessage(
                id="msg", type="message", role="assistant", status="completed", content=[text]
            )
        else:
            tea = last["content"].rstrip("?").rpartition(" ")[2]
            answer = ResponseFunctionToolCall(
                call_id=f"call-{len(input)}", type="function_call", name="stock", arguments=f'{{"tea": "{tea}"}}'
            )
        return ModelResponse(output=[answer], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        """Not used here."""
        raise NotImplementedError


async def main() -> None:
    """Talk, take the last turn back, and talk on."""
    async with await AsyncTessera.create_session(os.environ["TESSERA"], kind="chat") as tessera:
        session = TesseraSession(tessera.session_id, tessera)
        agent = Agent(name="Tea seller", model=StandIn(), tools=[stock])
        offline = RunConfig(tracing_disabled=True)

        for question in ("How much is there of Assam?", "And of Darjeeling?"):
            result = await Runner.run(agent, question, session=session, run_config=offline)
            print(f"> {question}\n{result.final_output}")

        # The user corrects the question: the last turn is taken back, item by item.
        for _ in range(4):
            await session.pop_item()
        result = await Runner.run(agent, "And of Ceylon?", session=session, run_config=offline)
        print(f"> And of Ceylon?\n{result.final_output}")

        items = await session.get_items()
        print(f"\n{len(items)} items are remembered:", *(item.get("type", item.get("role")) for item in items))


asyncio.run(main())
