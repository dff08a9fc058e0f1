"""What a program does with a gateway in place of the service, and what it met.

In: the gateway's address and the emulator's behind it, for its books. Out: a JSON-ready dictionary.
"""

from __future__ import annotations

import base64
import urllib.request
from collections.abc import Callable
from typing import Any

from journey import GROUP, LOST, admin, fresh, plain

DEFAULT = "1024x1024"
ERRORS = ("access-denied", "model-not-open", "internal", "input-text-sensitive")

Connect = Callable[[str, int], Any]
Generate = Callable[..., Any]


def head(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as download:
        return download.read(3).hex()


def pictures(generate: Generate, client: Any, emulated: str) -> dict[str, Any]:
    fresh(emulated)
    reply = generate(client, prompt="一只猫", size=DEFAULT, response_format="url")
    inline = generate(client, prompt="一只狗", size=DEFAULT, response_format="b64_json")
    usage = plain(reply)["usage"]
    return {
        "head": head(reply.data[0].url),
        "inline": base64.b64decode(inline.data[0].b64_json)[:3].hex(),
        "size": plain(reply)["data"][0]["size"],
        "usage": {key: usage[key] for key in ("generated_images", "output_tokens", "total_tokens")},
    }


def stream(generate: Generate, client: Any, emulated: str, *script: Any) -> dict[str, Any]:
    fresh(emulated, *script)
    met: list[Any] = []
    error = None
    try:
        for event in generate(client, prompt=f"3张图 {len(script)}", size=DEFAULT, stream=True, **GROUP):
            met.append(plain(event))  # noqa: PERF401 - what came before the error must stay
    except Exception as raised:
        error = getattr(raised, "code", None)
    kinds = [event.get("type", "").removeprefix("image_generation.") for event in met]
    usage = met[-1].get("usage") if met else None
    return {"kinds": sorted(kinds), "images": usage and usage["generated_images"], "error": error}


def group(generate: Generate, client: Any, emulated: str) -> dict[str, Any]:
    fresh(emulated, {"name": "slot-error", "index": 1})
    data = plain(generate(client, prompt="3张图，一组", size=DEFAULT, **GROUP))["data"]
    return {"urls": [bool(slot.get("url")) for slot in data], "code": data[1]["error"]["code"]}


def errors(connect: Connect, generate: Generate, base: str, emulated: str) -> dict[str, Any]:
    """What the SDK raises, and how often the service was asked although the SDK repeats by itself."""
    met = {}
    for name in ERRORS:
        fresh(emulated, *[name] * 9)
        try:
            generate(connect(base, 2), prompt=f"error {name}", size=DEFAULT)
        except Exception as raised:
            met[name] = [getattr(raised, "code", None), getattr(raised, "status_code", None)]
        met[name].append(admin(emulated, "ledger")["bills"]["images"])
    return met


def lost(connect: Connect, generate: Generate, base: str, emulated: str) -> dict[str, Any]:
    """Answers that get lost while the SDK repeats by itself: POSTs the service saw, pictures it billed."""
    met = {}
    for name, fault in LOST.items():
        fresh(emulated, fault)
        outcome: Any = "picture"
        try:
            generate(connect(base, 2), prompt=f"lost {name}", size=DEFAULT, timeout=4)
        except Exception as raised:
            outcome = getattr(raised, "code", None) or type(raised).__name__
        books = admin(emulated, "ledger")
        met[name] = {"posts": books["posts"], "billed": books["bills"]["images"], "met": outcome}
    return met


def slow(connect: Connect, generate: Generate, base: str, emulated: str) -> dict[str, Any]:
    """An answer that takes longer than the SDK waits at first: its own repetition gets the same picture."""
    fresh(emulated, {"name": "latency", "seconds": 2})
    reply = generate(connect(base, 2), prompt="a slow one", size=DEFAULT, timeout=1.5)
    books = admin(emulated, "ledger")
    return {"head": head(reply.data[0].url), "posts": books["posts"], "billed": books["bills"]["images"]}


def walked(connect: Connect, generate: Generate, base: str, emulated: str) -> dict[str, Any]:
    client = connect(base, 0)
    return {
        "pictures": pictures(generate, client, emulated),
        "group": group(generate, client, emulated),
        "stream": stream(generate, client, emulated),
        "errors": errors(connect, generate, base, emulated),
        "lost": lost(connect, generate, base, emulated),
        "slow": slow(connect, generate, base, emulated),
    }
