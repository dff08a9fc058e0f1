"""Results as Ark's own answers: whole documents, stream events, the list of models.

In: a result's facts, where each picture can be had. Out: JSON-ready dictionaries and frames of bytes, shaped like the
recorded ones. Never in here: HTTP, reading a file, the error of a whole call.
"""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from seedframe.catalog import Offer

PIXELS_PER_TOKEN = 256
DONE = b"data: [DONE]\n\n"
_EVENT = "image_generation."
_DATED = re.compile(r"(.+)-(\d{6})")


def whole_answer(facts: Mapping[str, Any], offer: Offer, places: Mapping[int, Mapping[str, str]]) -> dict[str, Any]:
    """The body of an answer that is not streamed. `places` has `url` or `b64_json` by picture number, from 0."""
    slots = {number_of(picture): _entry(picture, offer, places[number_of(picture)]) for picture in facts["pictures"]}
    slots |= {missing["index"]: {"error": _slot_error(missing)} for missing in failed_slots(facts)}
    answer = {**_head(facts), "data": [slots[index] for index in sorted(slots)], "usage": _usage(facts, offer)}
    if "web_searches" in facts:
        answer["tools"] = [{"type": "web_search"}]
    return answer


def body(answer: Mapping[str, Any]) -> bytes:
    """The bytes of an answer that is not streamed."""
    return f"{_compact(answer)}\n".encode()


def picture_event(facts: Mapping[str, Any], index: int, size: str, place: Mapping[str, str]) -> bytes:
    """The frame of one finished picture."""
    return _frame("partial_succeeded", {**_head(facts), "image_index": index, **place, "size": size})


def failure_event(facts: Mapping[str, Any], missing: Mapping[str, Any]) -> bytes:
    """The frame of one picture that failed."""
    return _frame("partial_failed", {**_head(facts), "image_index": missing["index"], "error": _slot_error(missing)})


def completed_event(facts: Mapping[str, Any], offer: Offer) -> bytes:
    """The frame that ends a stream and alone has the usage."""
    return _frame("completed", {**_head(facts), "usage": _usage(facts, offer)}) + DONE


def error_event(error: Mapping[str, Any]) -> bytes:
    """The frame of a call that failed as a whole after its first picture."""
    return f"event: error\ndata: {_compact(error)}\n\n".encode() + DONE


def failed_slots(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The pictures the service refused; Ark's answers do not mention pictures that it simply did not make."""
    return [missing for missing in facts["missing"] if missing.get("code")]


def number_of(picture: Mapping[str, Any]) -> int:
    """A picture's number in its call, from 0."""
    return int(str(picture["id"]).rpartition("-")[2]) - 1


def size_of(picture: Mapping[str, Any]) -> str:
    """`WxH` of the file that is handed over."""
    return f"{picture['width']}x{picture['height']}"


def listed_model(id: str) -> dict[str, Any]:
    """One entry of `GET /models`, as recorded; everything but `id` may vary."""
    dated = _DATED.fullmatch(id)
    name, version = (dated[1], dated[2]) if dated else (id, "")
    return {
        "id": id,
        "name": name,
        "version": version,
        "object": "model",
        "created": calendar.timegm(time.strptime(version, "%y%m%d")) if version else 0,
        "domain": "ImageGeneration",
        "task_type": ["TextToImage", "ImageToImage"],
        "modalities": {"input_modalities": ["text", "image"], "output_modalities": ["image"]},
    }


def _head(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": facts["model_id"], "created": int(datetime.fromisoformat(facts["created"]).timestamp())}


def _entry(picture: Mapping[str, Any], offer: Offer, place: Mapping[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {**place, "size": size_of(picture)}
    if _is_newer(offer):
        entry["output_format"] = str(picture["mime"]).rpartition("/")[2]
    layer = picture.get("layer")
    if layer:
        entry |= {name: value for name, value in layer.items() if value is not None}
    return entry


def _is_newer(offer: Offer) -> bool:
    """Whether answers of the model name the format and count input pictures: those of models with backgrounds do."""
    return offer.supports("background")


def _slot_error(missing: Mapping[str, Any]) -> dict[str, str]:
    return {"code": missing["code"], "message": missing["message"]}


def _usage(facts: Mapping[str, Any], offer: Offer) -> dict[str, Any]:
    """The billed pictures, and one token for each 256 pixels received."""
    sizes = [_received(picture) for picture in facts["pictures"]]
    tokens = round(sum(width * height for width, height in sizes) / PIXELS_PER_TOKEN)
    usage = {"generated_images": facts["cost"]["pictures"], "output_tokens": tokens, "total_tokens": tokens}
    if _is_newer(offer):
        usage["input_images"] = len(facts.get("references", ()))
    if "web_searches" in facts:
        usage["tool_usage"] = {"web_search": sum(facts["web_searches"])}
    return usage


def _received(picture: Mapping[str, Any]) -> tuple[int, int]:
    width, _, height = str(picture.get("received") or size_of(picture)).partition("x")
    return int(width), int(height)


def _frame(kind: str, value: Mapping[str, Any]) -> bytes:
    name = _EVENT + kind
    return f"event: {name}\ndata: {_compact({'type': name, **value})}\n\n".encode()


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
