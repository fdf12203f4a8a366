"""Frames: what a client sends over its socket, and what it is sent. JSON in camelCase, `type` says which."""

import json
from collections.abc import Iterable
from typing import Annotated, Any, Never

from pydantic import AfterValidator, Field, ValidationError

from tessera.errors import ContentTooLarge, Invalid, MalformedJson, Problem
from tessera.model.bodies import Body, Reference
from tessera.model.clock import Millis, rfc3339

MAX_FRAME = 32 * 1024
"""Bytes; API Gateway would cut a longer message into several frames."""

MAX_DATA = 28 * 1024
"""Bytes that the `data` of a message may have as JSON; the rest of a frame is for what stands around it."""

PRIORITIES = 10

_SPARE = 128
"""Bytes that a list leaves free, for its own name and an empty list after it."""

type Frame = dict[str, Any]

MAX_ID = 1_000
"""Characters that an id may have."""


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_ID
    return isinstance(value, int) and not isinstance(value, bool)


def _id(value: Any) -> Any:
    if not _is_id(value):
        raise ValueError(f"must be a text of up to {MAX_ID} characters or an integer")
    return value


FrameId = Annotated[Any, AfterValidator(_id)]
"""What a client calls its request, a text or an integer; the answer repeats it."""


def _small(value: Any) -> Any:
    try:
        length = len(compact(value).encode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if length > MAX_DATA:
        raise ValueError(f"at most {MAX_DATA} bytes of JSON")
    return value


class Since(Body):
    """A place in a topic: everything after it is wanted."""

    epoch: str
    offset: Annotated[int, Field(ge=0, strict=True)]


class Subscribe(Body):
    """Begin to receive a topic."""

    id: FrameId
    topic: str
    since: Since | None = None
    presence: Annotated[bool, Field(strict=True)] = False


class Unsubscribe(Body):
    """Stop receiving a topic."""

    id: FrameId
    topic: str


class Publish(Body):
    """Publish a message. `priority` 10 is urgent."""

    id: FrameId
    topic: str
    message_id: Reference
    data: Annotated[Any, AfterValidator(_small)]
    priority: Annotated[int, Field(ge=0, le=PRIORITIES, strict=True)] = 0


class Ping(Body):
    """Ask for a sign of life."""

    id: FrameId | None = None


type Request = Subscribe | Unsubscribe | Publish | Ping

REQUESTS: dict[str, type[Subscribe] | type[Unsubscribe] | type[Publish] | type[Ping]] = {
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "publish": Publish,
    "ping": Ping,
}


class Refused(Exception):
    """A frame that is none: the problem, and the id that it had, if one could be read."""

    def __init__(self, problem: Problem, frame_id: Any = None) -> None:
        super().__init__(problem)
        self.problem, self.frame_id = problem, frame_id


def read(text: str) -> Request:
    """Read a client's frame; raises Refused."""
    if len(text) > MAX_FRAME or len(text.encode(errors="replace")) > MAX_FRAME:
        raise Refused(ContentTooLarge(limit=MAX_FRAME))
    try:
        sent = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Refused(MalformedJson()) from error
    if not isinstance(sent, dict):
        raise Refused(Invalid.at("", "must be a JSON object"))
    return _request(sent)  # pyright: ignore[reportUnknownArgumentType]


def refuse(text: str) -> str:
    """Answer a frame that came by a route where none is taken: `type` was a name of the gateway's own."""
    try:
        frame_id = read(text).id
    except Refused as refused:
        return compact(error(refused.problem, refused.frame_id))
    return compact(error(_unknown(), frame_id))


def _request(sent: dict[str, Any]) -> Request:
    frame_id = sent.get("id")
    if not _is_id(frame_id):
        frame_id = None  # it is not repeated: the answer must fit a frame, too
    kind = REQUESTS.get(str(sent.pop("type", None)))
    if kind is None:
        raise Refused(_unknown(), frame_id)
    try:
        return kind.model_validate(sent)
    except ValidationError as error:
        places = [{"pointer": _pointer(each["loc"]), "detail": _detail(each)} for each in error.errors()]
        raise Refused(Invalid(errors=places), frame_id) from error


def _unknown() -> Invalid:
    return Invalid.at("/type", f"must be one of {', '.join(REQUESTS)}")


def _pointer(place: tuple[int | str, ...]) -> str:
    """Return an RFC 6901 pointer; what pydantic adds of its own choices begins in lower case and is no place."""
    parts = place[:1] if place[:1] == ("id",) else place
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _detail(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "is unknown"
    return str(error["msg"]).removeprefix("Value error, ")


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")


def compact(value: Any) -> str:
    """Write JSON as frames have it: UTF-8, without blanks. Raises ValueError for what JSON has no number for."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return json.dumps(value, separators=(",", ":"), allow_nan=False)  # lone surrogates are no UTF-8
    return text


class Growing:
    """A frame that grows by lists, each as far as there is room."""

    def __init__(self, start: Frame) -> None:
        self._text = compact(start)[:-1]
        self._room = MAX_FRAME - len(self._text.encode()) - len("}")

    def add(self, name: str, value: str) -> None:
        """Add a member, whose value is JSON as text."""
        member = f',"{name}":{value}'
        self._text += member
        self._room -= len(member.encode())

    def fill[T](self, name: str, values: Iterable[tuple[T, str]], last: T) -> T:
        """Add a list of as many values as fit, in their order; return the mark of the last one, or `last`.

        Each value comes with its mark, as JSON in text.
        """
        told: list[str] = []
        room = self._room - _SPARE
        for mark, text in values:
            room -= len(text.encode()) + len(",")
            if room < 0:
                break
            told.append(text)
            last = mark
        self.add(name, f"[{','.join(told)}]")
        return last

    def text(self) -> str:
        """Return the frame."""
        return self._text + "}"


def error(problem: Problem, frame_id: Any = None) -> Frame:
    """Return the frame that tells of a problem."""
    told = {} if frame_id is None else {"id": frame_id}
    return {"type": "error", **told, "problem": problem.as_json()}


def pong(frame_id: Any = None) -> Frame:
    """Return the answer to a ping."""
    return {"type": "pong"} | ({} if frame_id is None else {"id": frame_id})


def rotate(before: Millis) -> Frame:
    """Ask a client to have another connection up before then."""
    return {"type": "rotate", "before": rfc3339(before)}
