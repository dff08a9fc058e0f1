"""Seedance's task endpoint as far as its rules: a request is checked and given an id, and no video is ever made.

In: the body of `POST /contents/generations/tasks`. Out: a `VideoTask`, or `Refusal` for the first thing wrong; what a
GET says of a task. Limits are data (`data/storyboard/seedance.json`); wordings of refusals are assumed, since none was
recorded. Never in here: HTTP, a bill, a video.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import random
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from PIL import Image

from seedframe.emulator.input_images import REMOTE, UNREADABLE
from seedframe.emulator.refusal import Refusal, invalid

TASKS = "/contents/generations/tasks"
NO_VIDEO = "the emulator checks video requests and makes no video"
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
DATA_URI = re.compile(r"data:(image/[a-z0-9.+-]+);base64,(.*)", re.DOTALL)
BOOLEANS = ("generate_audio", "watermark", "return_last_frame")
ROLES = ("first_frame", "last_frame", "reference_image")
KEYS = ("model", "content", "resolution", "ratio", "duration", *BOOLEANS)
"""Parameters whose rules are checked. The SDK's further ones (seed, priority …) are taken as they come."""

AUTOMATIC = -1
FORMATS = {"MPO": "image/jpeg", "HEIF": "image/heic"}
MOST_TASKS = 10_000


@dataclass(frozen=True, slots=True)
class VideoTask:
    """One accepted request. `echoed` are the parameters a GET repeats."""

    id: str
    model: str
    created: int
    echoed: Mapping[str, Any]

    def described(self) -> dict[str, Any]:
        """What GET answers: a task that failed, with the reason."""
        error = {"code": "EmulatedTask", "message": f"{NO_VIDEO[0].upper()}{NO_VIDEO[1:]}."}
        moments = {"created_at": self.created, "updated_at": self.created}
        return {"id": self.id, "model": self.model, "status": "failed", "error": error, **moments, **self.echoed}


class VideoTasks:
    """The tasks of one emulated account. `columns`: whose model ids it knows (`ark`, `byteplus`)."""

    def __init__(self, columns: Sequence[str], entropy: random.Random) -> None:
        self._models: dict[str, Mapping[str, Any]] = {
            model["ids"][column]: model
            for model in _data()["models"].values()
            for column in columns
            if column in model["ids"]
        }
        self._entropy = entropy
        self._tasks: dict[str, VideoTask] = {}

    @property
    def offered(self) -> bool:
        """Whether this backend sells videos at all."""
        return bool(self._models)

    def clear(self) -> None:
        """Forget every task."""
        self._tasks.clear()

    def create(self, body: Mapping[str, Any], now: float) -> VideoTask:
        """Check a body and give it an id. `Refusal` for the first thing wrong."""
        body = {key: value for key, value in body.items() if value is not None}
        limits = self._model(body.get("model"))
        frames = _content(body.get("content"), limits)
        _parameters(body, limits, frames=frames)
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(now))
        id = f"cgt-{stamp}-{''.join(self._entropy.choices(ALPHABET, k=5))}"
        if len(self._tasks) >= MOST_TASKS:
            del self._tasks[next(iter(self._tasks))]
        echoed = {key: body[key] for key in KEYS if key in body and key not in {"model", "content"}}
        self._tasks[id] = VideoTask(id, body["model"], int(now), echoed)
        return self._tasks[id]

    def get(self, id: str) -> VideoTask | None:
        """The task of that id."""
        return self._tasks.get(id)

    def _model(self, name: object) -> Mapping[str, Any]:
        if name is None or name == "":
            raise Refusal("missing-parameter", param="model")
        if not isinstance(name, str) or name not in self._models:
            raise Refusal("model-not-found", model=name)
        return self._models[name]


def _content(content: object, limits: Mapping[str, Any]) -> bool:
    """Check texts, roles and pictures; return whether frames, not references, are given."""
    if content is None:
        raise Refusal("missing-parameter", param="content")
    if not isinstance(content, list) or not content:
        raise invalid("content", "content must be a list with at least one part")
    roles: Counter[str] = Counter()
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            if not isinstance(part.get("text"), str) or not part["text"].strip():
                raise invalid("content", "text must not be empty")
        elif kind == "image_url":
            roles[_role(part)] += 1
            _picture(part)
        else:
            raise invalid("content", f"type {kind!r} is not one of: text, image_url")
    _check_roles(roles, limits)
    return bool(roles["first_frame"])


def _role(part: Mapping[str, Any]) -> str:
    role = part.get("role", "first_frame")
    if role not in ROLES:
        raise invalid("content", f"role must be one of: {', '.join(ROLES)}")
    return str(role)


def _check_roles(roles: Counter[str], limits: Mapping[str, Any]) -> None:
    if roles["first_frame"] > 1 or roles["last_frame"] > 1:
        raise invalid("content", "first_frame and last_frame can each be given once")
    if roles["last_frame"] and not roles["first_frame"]:
        raise invalid("content", "last_frame requires first_frame")
    if roles["reference_image"] and roles["first_frame"]:
        raise invalid("content", "reference_image cannot be mixed with first_frame or last_frame")
    most = limits["references"][1]
    if roles["reference_image"] > most:
        raise invalid("content", f"number of reference images cannot exceed {most}")


def _picture(part: Mapping[str, Any]) -> None:
    """A web address and an asset id are taken on trust; a data URI is decoded and measured."""
    given = part.get("image_url")
    url = given.get("url") if isinstance(given, dict) else None
    if not isinstance(url, str) or not url:
        raise invalid("content", "image_url.url is missing")
    if REMOTE.fullmatch(url) or re.fullmatch(_data()["requests"]["asset"], url):
        return
    match = DATA_URI.fullmatch(url)
    if match is None:
        raise Refusal("reference-url-invalid", param="content", detail="invalid url specified")
    try:
        content = base64.b64decode(match[2], validate=True)
        with Image.open(io.BytesIO(content)) as picture:
            found = FORMATS.get(picture.format or "", Image.MIME.get(picture.format or "", ""))
            size = picture.size
    except (*UNREADABLE, binascii.Error):
        raise invalid("content", "the image cannot be decoded") from None
    _check_picture(size, len(content), match[1], found)


def _check_picture(size: tuple[int, int], length: int, declared: str, found: str) -> None:
    images, (width, height) = _data()["images"], size
    low, high = images["side"]
    if declared != found or found not in images["mime"]:
        raise invalid("content", f"unsupported image format: {declared}")
    if length >= images["bytes_below"]:
        raise invalid("content", f"image must be smaller than {images['bytes_below']} bytes")
    if not (low <= width <= high and low <= height <= high):
        raise invalid("content", f"image sides must be between {low} and {high} pixels")
    if not images["ratio"][0] <= width / height <= images["ratio"][1]:
        raise invalid("content", f"image aspect ratio must be between {images['ratio'][0]} and {images['ratio'][1]}")


def _parameters(body: Mapping[str, Any], limits: Mapping[str, Any], *, frames: bool) -> None:
    _one_of(body, "resolution", limits["resolutions"])
    every = _data()["models"].values()
    ratios = limits["frame_ratios"] if frames else sorted({ratio for model in every for ratio in model["frame_ratios"]})
    _one_of(body, "ratio", ratios)
    low, high = limits["duration"]
    duration = body.get("duration", AUTOMATIC)
    if type(duration) is not int or (duration != AUTOMATIC and not low <= duration <= high):
        raise invalid("duration", f"must be an integer between {low} and {high}, or {AUTOMATIC}")
    for key in BOOLEANS:
        if not isinstance(body.get(key, False), bool):
            raise invalid(key)


def _one_of(body: Mapping[str, Any], key: str, allowed: Sequence[str]) -> None:
    if key in body and body[key] not in allowed:
        raise invalid(key, f"must be one of: {', '.join(allowed)}")


def too_large(length: int) -> Refusal | None:
    """The refusal of a body that is longer than the service takes; None for a shorter one."""
    most = _data()["images"]["request_bytes"]
    return invalid("body", f"request must be at most {most} bytes") if length > most else None


@cache
def _data() -> dict[str, Any]:
    file = files("seedframe") / "data" / "storyboard" / "seedance.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content
