"""Idempotency-Key (IETF draft 07): the same key and body replay the answer for 24 hours.

Powertools keeps the records and decides the races. They lie in the partition of the session concerned, so that a
deletion or an erasure takes them along, and their answers are sealed, since they carry tokens.
"""

import hashlib
import hmac
from base64 import b32encode
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyPersistenceLayerError,
    IdempotencyValidationError,
)

from tessera.errors import AnswerNotKept, IdempotencyInProgress, IdempotencyKeyReused, Invalid, Unavailable
from tessera.model.clock import DAY_SECONDS
from tessera.model.ids import PREFIX
from tessera.stores.table import MAX_ITEM_BYTES
from tessera.wiring import Graph

PURPOSE = "answer"
MAX_KEY = 255
_ID_CHARACTERS = 26
type Answer = dict[str, Any]


class _NotKept(Exception):
    """Carries an answer past Powertools, which keeps none of a call that raises."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


def check_key(key: str) -> str:
    """Return the key, or raise Invalid."""
    if not 1 <= len(key) <= MAX_KEY or not key.isprintable() or not key.isascii():
        raise Invalid.at("header/Idempotency-Key", f"must have 1 to {MAX_KEY} printable ASCII characters")
    return key


def fingerprint(graph: Graph, *parts: str) -> str:
    """Return the hash that stands for caller, method, path and key: nobody finds a record by guessing."""
    oldest = graph.keys.ring().roots[-1]  # a rotation changes it only when it drops one
    secret = oldest.derive("idempotency")
    return hmac.new(secret, "\0".join(parts).encode(), hashlib.sha256).hexdigest()


def derived_session_id(print_: str) -> str:
    """Return the id that a repeated creation has every time, so that its record can lie in its partition."""
    return PREFIX + b32encode(bytes.fromhex(print_)).decode().lower()[:_ID_CHARACTERS]


def replayed(
    graph: Graph,
    respond: Callable[[], Answer],
    *,
    partition: str,
    print_: str,
    body: str,
    recovers: bool,
    context: Any,
) -> Answer:
    """Answer, or replay the answer that was given before. Only successes are kept: errors changed nothing.

    `recovers`: whether the operation finds by itself what it has done, so that it may be done again.

    Raises:
        AnswerNotKept: it was done before, and the answer was too large to be kept.
        IdempotencyInProgress: the first request is still being answered.
        IdempotencyKeyReused: the key came with another body before.
        Unavailable: the record cannot be read or written; nothing was done.

    """
    seal = graph.seal(PURPOSE)
    first: Answer | None = None

    def once(*, request: dict[str, str]) -> dict[str, str]:  # noqa: ARG001 - Powertools hashes it
        nonlocal first
        first = respond()
        return {"sealed": _kept(first, seal.close(first), recovers=recovers)}

    config = IdempotencyConfig(
        event_key_jmespath="key",
        payload_validation_jmespath="body",
        expires_after_seconds=DAY_SECONDS,
        hash_function="sha256",
        lambda_context=context,
    )
    guarded = idempotent_function(
        once,
        data_keyword_argument="request",
        config=config,
        persistence_store=_store(graph, partition),
        key_prefix="IDEMPOTENCY",
    )
    try:
        kept = guarded(request={"key": print_, "body": body})
    except _NotKept as not_kept:
        return not_kept.answer
    except IdempotencyValidationError as error:
        raise IdempotencyKeyReused from error
    except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError) as error:
        raise IdempotencyInProgress from error
    except IdempotencyPersistenceLayerError as error:
        raise Unavailable from error
    if first is not None:
        return first
    if not kept["sealed"]:
        raise AnswerNotKept
    answer = seal.open(kept["sealed"])
    answer["headers"]["Idempotency-Replayed"] = "true"
    return answer


def _kept(answer: Answer, sealed: str, *, recovers: bool) -> str:
    """Return what is kept of an answer: empty where it is too large, and only that it was given is known."""
    if answer["statusCode"] >= 400:  # noqa: PLR2004 - the first status that is an error
        raise _NotKept(answer)
    if len(sealed) <= MAX_ITEM_BYTES:
        return sealed
    if recovers:
        raise _NotKept(answer)
    return ""


def _store(graph: Graph, partition: str) -> DynamoDBPersistenceLayer:
    return DynamoDBPersistenceLayer(
        table_name=graph.settings.table_name,
        key_attr="pk",
        static_pk_value=partition,
        sort_key_attr="sk",
        expiry_attr="ttl",
        in_progress_expiry_attr="inProgressUntil",
        status_attr="state",
        data_attr="answer",
        validation_key_attr="bodyHash",
        boto3_client=graph.client,
    )
