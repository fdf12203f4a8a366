"""Conversations kept by Tessera, for Python.

`Tessera` and `AsyncTessera` speak HTTP and know no framework. `tessera_client.langchain` and
`tessera_client.openai_agents` make a conversation the memory of those two.
"""

from tessera_client.account import Tokens
from tessera_client.asynchronous import AsyncConversation, AsyncTessera
from tessera_client.client import Conversation, Tessera
from tessera_client.errors import Problem, TesseraError, Unreachable
from tessera_client.messages import Memory, Message, NewMessage, Remembered, Role
from tessera_client.retry import Retry

__all__ = [
    "AsyncConversation",
    "AsyncTessera",
    "Conversation",
    "Memory",
    "Message",
    "NewMessage",
    "Problem",
    "Remembered",
    "Retry",
    "Role",
    "Tessera",
    "TesseraError",
    "Tokens",
    "Unreachable",
]
