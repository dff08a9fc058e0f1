"""One journey through the emulator that every official SDK walks; prints what it met as one JSON object.

Run by `with_<sdk>.py` inside an environment that has the SDKs and nothing of ours.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

SIZE = "1920x1920"
GROUP = {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 3}}
ERRORS = ("size-too-small", "key-unknown", "access-denied", "model-not-open", "rate-ipm", "internal")
LOST = {"internal": {"name": "internal", "billed": True}, "drop": "drop-before-answer", "hang": "hang"}
TIMEOUT = 1.5

Connect = Callable[[str, int], Any]
Generate = Callable[..., Any]


def admin(base: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{base}/_emulator/{path}", data), timeout=10) as reply:
        return json.load(reply)


def fresh(base: str, *script: Any) -> None:
    admin(base, "reset", {})
    admin(base, "script", list(script))


def plain(value: Any) -> Any:
    """An SDK's value as JSON, extras included."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def picture(generate: Generate, client: Any, base: str) -> dict[str, Any]:
    fresh(base)
    reply = generate(client, prompt="一只猫", size=SIZE, response_format="url", watermark=False)
    with urllib.request.urlopen(reply.data[0].url, timeout=20) as download:
        head = download.read(3)
    inline = generate(client, prompt="一只猫", size=SIZE, response_format="b64_json").data[0].b64_json
    usage = plain(reply)["usage"]
    return {
        "head": head.hex(),
        "inline": base64.b64decode(inline)[:3].hex(),
        "size": plain(reply)["data"][0]["size"],
        "created": isinstance(plain(reply).get("created"), int),
        "usage": {key: usage[key] for key in ("generated_images", "output_tokens", "total_tokens")},
    }


def group(generate: Generate, client: Any, base: str) -> dict[str, Any]:
    fresh(base, {"name": "slot-error", "index": 1})
    data = plain(generate(client, prompt="3张图", size=SIZE, **GROUP))["data"]
    return {"urls": [bool(slot.get("url")) for slot in data], "code": data[1]["error"]["code"]}


def stream(generate: Generate, client: Any, base: str, *script: Any) -> dict[str, Any]:
    fresh(base, *script)
    described: list[Any] = []
    error = None
    try:
        for event in generate(client, prompt="3张图", size=SIZE, stream=True, **GROUP):
            described.append(plain(event))  # noqa: PERF401 - what came before the error must stay
    except Exception as raised:
        error = [type(raised).__name__, getattr(raised, "code", None)]
    kinds = [event.get("type", "").removeprefix("image_generation.") for event in described]
    usage = described[-1].get("usage") if described else None
    return {"kinds": kinds, "images": usage and usage["generated_images"], "error": error}


def errors(generate: Generate, client: Any, base: str) -> dict[str, Any]:
    met = {}
    for name in ERRORS:
        fresh(base, name)
        try:
            generate(client, prompt="x", size=SIZE)
        except Exception as raised:
            met[name] = [type(raised).__name__, getattr(raised, "code", None), getattr(raised, "status_code", None)]
    fresh(base, "error-200")
    met["error-200"] = plain(generate(client, prompt="x", size=SIZE)).get("error", {}).get("code")
    return met


def lost(connect: Connect, generate: Generate, base: str) -> dict[str, Any]:
    """What an SDK's own retry does to the bill: POSTs, billed pictures, distinct client ids."""
    met = {}
    for name, fault in LOST.items():
        fresh(base, fault)
        generate(connect(base, 1), prompt="x", size=SIZE, timeout=TIMEOUT)
        books = admin(base, "ledger")
        ids = {request["client_request_id"] for request in books["requests"]}
        met[name] = {"posts": books["posts"], "billed": books["bills"]["images"], "ids": len(ids)}
    return met


def walk(connect: Connect, generate: Generate) -> None:
    """To the emulator itself; with a second address, to a gateway (the first) in front of it."""
    base = sys.argv[1]
    if len(sys.argv) > 2:
        import gateway_journey

        sys.stdout.write(json.dumps(gateway_journey.walked(connect, generate, base, sys.argv[2])))
        return
    client = connect(base, 0)
    met = {
        "picture": picture(generate, client, base),
        "group": group(generate, client, base),
        "stream": stream(generate, client, base),
        "failed-slot": stream(generate, client, base, {"name": "slot-error", "index": 1}),
        "cut": stream(generate, client, base, "cut-stream 1"),
        "json-to-stream": stream(generate, client, base, "json-to-stream"),
        "errors": errors(generate, client, base),
        "lost": lost(connect, generate, base),
    }
    sys.stdout.write(json.dumps(met))
