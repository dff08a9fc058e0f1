"""A service that says exactly what a test wrote, for answers no emulator gives by itself; its pictures are real."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
from PIL import Image

SIDE = 1920
SIZE = f"{SIDE}x{SIDE}"
URL = "http://emulator.invalid/picture.jpeg?X-Tos-Expires=86400&X-Tos-Signature=5ec2e7"
JSON = "application/json; charset=utf-8"
EVENTS = "text/event-stream"
PICTURE = {"url": URL, "size": SIZE}
MODERATED = {"code": "OutputImageSensitiveContentDetected", "message": "The request failed because of the output."}


@cache
def jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), "teal").save(out, "JPEG")
    return out.getvalue()


@cache
def inline() -> str:
    return base64.b64encode(jpeg()).decode("ascii")


def event(kind: str, **facts: Any) -> bytes:
    name = f"image_generation.{kind}"
    return f"event: {name}\ndata: {json.dumps({'type': name, **facts})}\n\n".encode()


def completed(images: int) -> bytes:
    return event("completed", usage={"generated_images": images}) + b"data: [DONE]\n\n"


Pieces = Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True)
class Answer:
    """One answer to a POST; a `body` that is a function gives pieces, and may break off by raising httpx errors."""

    body: bytes | Pieces = b""
    status: int = 200
    kind: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def says(cls, document: Any, status: int = 200, kind: str = JSON) -> Answer:
        return cls(json.dumps(document).encode(), status, kind)


class Canned(httpx.AsyncBaseTransport):
    """Gives one answer to each POST, the last one for ever; every GET is the picture."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.posts: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, headers={"content-type": "image/jpeg"}, content=jpeg())
        await request.aread()
        self.posts.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        headers = {"content-type": answer.kind, "x-request-id": "02" + "0" * 51, **answer.headers}
        content = answer.body if isinstance(answer.body, bytes) else answer.body()
        return httpx.Response(answer.status, headers=headers, content=content)
