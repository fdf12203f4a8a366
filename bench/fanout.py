"""The fan-out: CPU for each post against boto3, and 2,000 sockets that hear of a message.

CPU: both post to the same HTTP server in a process of its own, without TLS. Delivery: the real `Delivery` and
`SocketPosts` over a table in memory; a stand-in takes the posts as API Gateway does and passes them on to 2,000
real WebSocket connections (websockets), which a third process holds. Stand-in and clients share the machine with
the fan-out, so the latency is theirs too.
"""

import asyncio
import json
import socket
import time
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.queues import Queue
from typing import Any
from urllib.parse import unquote

import boto3
from botocore.credentials import ReadOnlyCredentials
from botocore.httpsession import get_cert_path
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from bench.harness import Outcome, Target, p50, p99
from local import ports
from tessera.model.caller import Caller
from tessera.model.clock import system_clock
from tessera.model.live import LONGEST, Connection
from tessera.model.topics import Topic
from tessera.realtime.delivery import Delivery
from tessera.realtime.posts import SocketPosts
from tessera.stores.connections import Connections
from tessera.stores.memory import MemoryTable
from tessera.stores.topics import Topics, Window

POSTS = 3_000
BY_BOTO3 = 1_000
SOCKETS, MESSAGES = 2_000, 10
REGION = "eu-central-1"
CREDENTIALS = ReadOnlyCredentials("AKID", "secret", None)
TOPIC = Topic.parse("app:bench")
_TARGETS = [Target("cpu_us", at_most=200), Target("ratio", at_most=0.2), Target("lost", at_most=0)]
_SPAWN = get_context("spawn")


def run() -> Outcome:
    """Measure both."""
    figures: dict[str, float] = {}
    with _stand_in() as (http, sockets):
        with ProcessPoolExecutor(1, _SPAWN) as container:
            figures["cpu_us"] = container.submit(_by_us, http).result()
        with ProcessPoolExecutor(1, _SPAWN) as container:
            figures["boto3_cpu_us"] = container.submit(_by_boto3, http).result()
        figures["ratio"] = round(figures["cpu_us"] / figures["boto3_cpu_us"], 3)
        figures |= _delivered(http, sockets)
    return Outcome("fanout", figures, _TARGETS)


def _posts(url: str) -> SocketPosts:
    return SocketPosts(
        url, REGION, lambda: CREDENTIALS, system_clock, per_second=1_000_000, ca_bundle=get_cert_path(verify=True)
    )


def _frame() -> bytes:
    data = {"change": "session", "version": 7, "patch": {"metadata": {"colour": "blue", "text": "x" * 200}}}
    return json.dumps({"type": "message", "topic": str(TOPIC), "epoch": "e", "offset": 1, "data": data}).encode()


def _by_us(url: str) -> float:
    posts, frame = _posts(url), _frame()
    posts.post({f"warm-{number}": [frame] for number in range(200)})
    began = time.process_time()
    posted = posts.post({f"none-{number}": [frame] for number in range(POSTS)})
    taken = time.process_time() - began
    posts.shut()
    if posted.sent != POSTS:
        raise RuntimeError(f"only {posted.sent} of {POSTS} arrived")
    return round(taken / POSTS * 1e6, 1)


def _by_boto3(url: str) -> float:
    client = boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS.access_key,
        aws_secret_access_key=CREDENTIALS.secret_key,
    )
    frame = _frame()
    for number in range(50):
        client.post_to_connection(ConnectionId=f"warm-{number}", Data=frame)
    began = time.process_time()
    for number in range(BY_BOTO3):
        client.post_to_connection(ConnectionId=f"none-{number}", Data=frame)
    return round((time.process_time() - began) / BY_BOTO3 * 1e6, 1)


def _delivered(http: str, sockets: str) -> dict[str, float]:
    """Publish to 2,000 sockets; return when each of them heard of it, and what none has heard."""
    table = MemoryTable()
    connections, topics = Connections(table, system_clock), Topics(table, system_clock, Window(1_000, 86_400))
    now = system_clock()
    for number in range(SOCKETS):
        name = f"c{number:05}"
        connection = Connection(name, name, Caller(session_id=name, epoch=1), now, now, now + LONGEST)
        connections.open(connection)
        connections.subscribe(connection, TOPIC, presence=False)
    heard: Queue[Any] = _SPAWN.Queue()
    listener = _SPAWN.Process(target=_listen, args=(sockets, heard))
    listener.start()
    heard.get(timeout=120)  # all of them are open
    posts = _posts(http)
    delivery = Delivery(connections, topics, table, posts, system_clock, page=SOCKETS)
    delivery.deliver(TOPIC, [topics.publish(TOPIC, "bench", "warm", "0")[0]])
    began = time.process_time()
    for number in range(MESSAGES):
        message, _ = topics.publish(TOPIC, "bench", f"m-{number}", json.dumps({"at": time.time()}))
        delivery.deliver(TOPIC, [message])
    cpu = time.process_time() - began
    posts.shut()
    latencies: list[float] = heard.get(timeout=120)
    listener.join(30)
    return {
        "sockets": SOCKETS,
        "delivery_p50_ms": p50(latencies),
        "delivery_p99_ms": p99(latencies),
        "delivery_cpu_us": round(cpu / SOCKETS / MESSAGES * 1e6, 1),
        "lost": SOCKETS * MESSAGES - len(latencies),
    }


def _listen(url: str, heard: "Queue[Any]") -> None:
    heard.put(asyncio.run(_hear(url, heard)))


async def _hear(url: str, heard: "Queue[Any]") -> list[float]:
    latencies: list[float] = []
    sockets = [
        await connect(f"{url}/c{number:05}", ping_interval=None, compression=None) for number in range(SOCKETS)
    ]
    heard.put("ready")

    async def hear(each: Any) -> None:
        for _ in range(MESSAGES + 1):
            try:
                text = await asyncio.wait_for(each.recv(), 30)
            except TimeoutError:
                return
            now, data = time.time(), json.loads(text)["data"]
            if data:
                latencies.append((now - data["at"]) * 1_000)

    await asyncio.gather(*map(hear, sockets))
    for each in sockets:
        each.transport.abort()
    return latencies


@contextmanager
def _stand_in() -> Generator[tuple[str, str]]:
    """Run what stands for API Gateway; give the addresses for posts and for sockets."""
    http, sockets = ports.free(), ports.free()
    process = _SPAWN.Process(target=_serve, args=(http, sockets))
    process.start()
    try:
        for _ in range(200):
            if all(map(_listens, (http, sockets))):
                break
            time.sleep(0.05)
        yield f"http://{ports.HOST}:{http}/v1", f"ws://{ports.HOST}:{sockets}"
    finally:
        process.terminate()
        process.join()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((ports.HOST, port)) == 0


def _serve(http: int, sockets: int) -> None:
    asyncio.run(_stand(http, sockets))


async def _stand(http: int, sockets: int) -> None:
    open_sockets: dict[str, ServerConnection] = {}

    async def hold(connection: ServerConnection) -> None:
        name = connection.request.path.strip("/") if connection.request else ""
        open_sockets[name] = connection
        await connection.wait_closed()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            length = next((int(line.split(b":")[1]) for line in head if line.startswith(b"content-length:")), 0)
            body = await reader.readexactly(length)
            name = unquote(head[0].split()[1].decode()).rpartition("/")[2]
            if name in open_sockets:
                await open_sockets[name].send(body.decode())
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
        writer.close()

    posts = await asyncio.start_server(take, ports.HOST, http)
    async with posts, serve(hold, ports.HOST, sockets, ping_interval=None, compression=None):
        await asyncio.Event().wait()


async def _head(reader: asyncio.StreamReader) -> list[bytes]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return []
    first, *rest = head.split(b"\r\n")
    return [first, *map(bytes.lower, rest)]
