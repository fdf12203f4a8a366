"""A LangChain chat whose memory is a conversation of Tessera.

    TESSERA=http://… python langchain_memory.py

The model is LangChain's own stand-in, which gives one answer after the other: nothing but Tessera is asked. Put a
real one in its place.
"""

import os

from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.history import RunnableWithMessageHistory

from tessera_client import Tessera
from tessera_client.langchain import TesseraChatMessageHistory

tessera = Tessera.create_session(os.environ["TESSERA"], kind="chat")

model = FakeListChatModel(responses=["Darjeeling, first flush.", "From India, as I said.", "You're welcome."])
prompt = ChatPromptTemplate([("system", "You sell tea."), MessagesPlaceholder("history"), ("human", "{question}")])


def memory(session_id: str) -> TesseraChatMessageHistory:
    """Return the memory of a session."""
    return TesseraChatMessageHistory(session_id, tessera)


chat = RunnableWithMessageHistory(
    prompt | model, memory, input_messages_key="question", history_messages_key="history"
)
config: RunnableConfig = {"configurable": {"session_id": tessera.session_id}}

for question in ("What do you recommend?", "Where does it grow?", "Thank you."):
    answer = chat.invoke({"question": question}, config)
    print(f"> {question}\n{answer.content}")

# Another process, another day: whoever opens the session has the whole conversation.
history = memory(tessera.session_id)
print(f"\n{len(history.messages)} messages are remembered. The last two:")
for message in history.messages[-2:]:
    print(f"{message.type}: {message.text}")
