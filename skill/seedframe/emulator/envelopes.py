"""How the emulated service's answers look: ids, headers, bodies and event-stream frames, as recorded.

In: facts about one call. Out: strings and JSON-ready values. Never in here: a decision, a socket.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from seedframe.emulator.options import ReplyStyle
from seedframe.emulator.refusal import Refusal

JSON_TYPE = "application/json; charset=utf-8"
EVENT_TYPE = "text/event-stream"
HTML = (
    b"<html>\r\n<head><title>upstream</title></head>\r\n<body><center><h1>upstream</h1></center></body>\r\n</html>\r\n"
)
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def request_id(now: float, entropy: random.Random) -> str:
    """Make the server's id: `02`, thirteen digits of milliseconds, 38 hex digits; 53 characters in every recording."""
    return f"02{int(now * 1000):013d}{entropy.getrandbits(152):038x}"


def client_request_id(sent: str | None, now: float, entropy: random.Random) -> str:
    """Echo the client's own id; without one the service makes `unknown-20260330110231-zyccsqst`."""
    if sent:
        return sent
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(now))
    return f"unknown-{stamp}-{''.join(entropy.choices(ALPHABET, k=8))}"


def headers(request_id: str, client_id: str, now: float, took: float) -> dict[str, str]:
    """Name the headers seen on live answers, and `x-emulated`, which no live answer has."""
    return {
        "server": "istio-envoy",
        "date": formatdate(now, usegmt=True),
        "x-request-id": request_id,
        "x-client-request-id": client_id,
        "x-envoy-upstream-service-time": str(max(0, round(took * 1000))),
        "x-emulated": "true",
    }


def body(value: Mapping[str, Any]) -> bytes:
    """Write compact UTF-8 JSON with the newline that ends every recorded body."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def ark_error(refusal: Refusal, request_id: str, style: ReplyStyle) -> dict[str, Any]:
    """Write the envelope's inside: code, message with the request id, param, type (two styles live side by side)."""
    row = refusal.row
    message = suffixed(refusal.message, request_id)
    plain = not row.type or (style == "blank" and row.code == "InvalidParameter")
    if plain and style != "named":
        return {"code": row.code, "message": message, "param": "", "type": ""}
    return {"code": row.code, "message": message, "param": refusal.param, "type": row.type or "BadRequest"}


def gateway_error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """Write an OpenAI-like error. Assumed: the gateway documents none."""
    kind = "invalid_request_error" if refusal.row.status < HTTPStatus.INTERNAL_SERVER_ERROR else "upstream_error"
    message = suffixed(refusal.message, request_id)
    return {"message": message, "type": kind, "param": refusal.param or None, "code": refusal.row.code}


def nested(error: Mapping[str, Any]) -> dict[str, Any]:
    """Wrap the service's JSON as a string inside a reseller's message (recorded with status 451)."""
    inner = json.dumps({"error": error}, ensure_ascii=False, separators=(",", ":"))
    return {"code": "fail_to_fetch_task", "message": inner, "data": None}


def suffixed(message: str, request_id: str) -> str:
    """Add the request id the way every message carries it."""
    return f"{message.removesuffix('.')}. Request id: {request_id}"


def slot_error(refusal: Refusal, request_id: str) -> dict[str, str]:
    """Write what stands in the place of a picture that failed."""
    return {"code": refusal.row.code, "message": suffixed(refusal.message, request_id)}


def tokens(pixels: int) -> int:
    """Count output tokens: one for 256 pixels."""
    return round(pixels / 256)


def frame(event: str, value: Mapping[str, Any]) -> bytes:
    """Write one server-sent event on a single data line (the official SDKs cannot read any other form)."""
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"event: {event}\ndata: {data}\n\n".encode()


DONE = b"data: [DONE]\n\n"
