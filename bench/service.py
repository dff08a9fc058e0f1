"""A provider that costs nothing: finished bodies over loopback, from processes of its own.

`python -m bench.service DIR PORT` is one of them; port 0 lets the system choose, and the port is printed.
In: a folder of picture files; how to answer stands in the path: `/<picture>/<url|b64>/<pictures>/<milliseconds>`.
Out: replies in the service's shape. Never in here: a picture decoded, a check of what was asked, TLS.

Taking 113 MB out of a socket costs this stand-in as much as sending them costs the sender. So that several large
requests at once do not queue for one thread here, which no real service has, two processes share the port where the
system can; each connection stays with one of them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
_READ = 1 << 20
_SHARED = hasattr(socket, "SO_REUSEPORT")
_PROCESSES = 2 if _SHARED else 1


@dataclass(frozen=True, slots=True)
class Scene:
    """What the provider delivers: which file, by url or inline, how often in one reply, after how many milliseconds."""

    picture: str
    how: str = "url"
    count: int = 1
    wait: int = 0

    @property
    def path(self) -> str:
        """The part of the address behind the host."""
        return f"/{self.picture}/{self.how}/{self.count}/{self.wait}"


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run a provider for the pictures of `folder`; lends its address."""
    with ExitStack() as running:
        port = running.enter_context(_process(folder, "0"))
        for _ in range(_PROCESSES - 1):
            running.enter_context(_process(folder, port))
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _process(folder: Path, port: str) -> Iterator[str]:
    """One process of the provider; lends its port."""
    command = [sys.executable, "-m", "bench.service", str(folder), port]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class _Provider:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bytes = cache(self._read)
        self._inline = cache(self._encode)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                await _drain(reader, _length(head))
                await self._answer(head.split(" ", 2)[1], head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, path: str, head: str, writer: asyncio.StreamWriter) -> None:
        _, picture, *how = path.split("/")
        if not how:
            kind = "image/png" if picture.endswith("png") else "image/jpeg"
            return await _send(writer, kind, [self._bytes(picture)])
        mode, count, wait = how[0], int(how[1]), int(how[2])
        await asyncio.sleep(wait / 1000)
        host = next(line[6:] for line in head.split("\r\n") if line.lower().startswith("host: "))
        item = self._inline(picture) if mode == "b64" else f'{{"url":"http://{host}/{picture}"}}'.encode()
        usage = json.dumps({"generated_images": count, "output_tokens": 1, "total_tokens": 1})
        pieces = [b'{"model":"bench","created":1,"data":[', *([item, b","] * count)[:-1]]
        return await _send(writer, "application/json", [*pieces, f'],"usage":{usage}}}'.encode()])

    def _read(self, picture: str) -> bytes:
        return (self._folder / picture).read_bytes()

    def _encode(self, picture: str) -> bytes:
        return b'{"b64_json":"' + base64.b64encode(self._read(picture)) + b'"}'


async def _send(writer: asyncio.StreamWriter, kind: str, pieces: list[bytes]) -> None:
    writer.write(_HEAD.format(kind=kind, length=sum(map(len, pieces))).encode())
    for piece in pieces:
        writer.write(piece)
        await writer.drain()


async def _drain(reader: asyncio.StreamReader, length: int) -> None:
    """Take a request's body and forget it."""
    while length:
        length -= len(await reader.read(min(length, _READ)))


def _length(head: str) -> int:
    return next(
        (int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")),
        0,
    )


async def _main(folder: Path, port: int) -> None:
    shared = _SHARED or None
    server = await asyncio.start_server(_Provider(folder), "127.0.0.1", port, limit=_READ, reuse_port=shared)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2])))
    except KeyboardInterrupt:
        sys.exit(0)
