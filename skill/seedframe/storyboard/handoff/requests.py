"""The bodies that create Seedance's video tasks, one for each shot of a manifest.

In: a manifest, where its pictures are to be found, choices. Out: `VideoRequest`s whose body is what
`POST /contents/generations/tasks` takes (and, as keywords, `content_generation.tasks.create` of the official SDK), and
findings for shots that cannot be sent. Facts about Seedance are data (`seedance.json`).
Never in here: reading a file (see `picture_addresses`), sending anything, time (passed in).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from seedframe.errors import InvalidRequest
from seedframe.messages import Message
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.handoff.manifest import check_manifest, seedance
from seedframe.storyboard.handoff.picture_addresses import Addresses, NoAddress
from seedframe.storyboard.handoff.video_prompt import video_prompt

FACE = "FACE_TRUST"


@dataclass(frozen=True, slots=True)
class RequestChoices:
    """What a person chooses for all shots. `model`: an id of Seedance or an endpoint (`ep-…`); None: the manifest's.

    `backend` decides the spelling of the id. `audio` off: silent videos, and no dialogue in the prompt.
    """

    backend: str
    model: str | None = None
    resolution: str | None = None
    audio: bool = True
    watermark: bool = False


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """One shot. `body` is JSON-ready; None where `findings` hold an error that keeps it from being sent."""

    shot: str
    body: Mapping[str, Any] | None
    findings: tuple[BoardFinding, ...] = ()


def model_id(version: str, choices: RequestChoices) -> str:
    """Seedance's id on a backend. InvalidRequest where the backend sells no videos and no id was given."""
    ids = seedance()["models"][version]["ids"]
    known = choices.model or ids.get(choices.backend)
    if known is None:
        raise InvalidRequest(
            Message("handoff.no-video", backend=choices.backend, allowed=sorted(ids)),
            field="backend",
            got=choices.backend,
            allowed=sorted(ids),
        )
    return str(known)


def resolution_of(version: str, choices: RequestChoices) -> str:
    """The resolution to ask for. InvalidRequest for one that the version does not make."""
    allowed = seedance()["models"][version]["resolutions"]
    chosen = choices.resolution or seedance()["requests"]["resolution"]
    if chosen not in allowed:
        raise InvalidRequest(
            Message("handoff.resolution", got=chosen, version=version, allowed=allowed),
            field="resolution",
            got=chosen,
            allowed=allowed,
        )
    return str(chosen)


def build_requests(
    manifest: Mapping[str, Any], addresses: Addresses, choices: RequestChoices, *, now: datetime
) -> Iterator[VideoRequest]:
    """One request for each shot, in story order. InvalidRequest for a manifest that breaks its schema.

    Bodies may be large (pictures inside), so they come one by one. `now` lets expired trust be found.
    """
    found = check_manifest(manifest, now=now)
    broken = next((one for one in found if one.shot is None), None)
    if broken is not None:
        raise InvalidRequest(broken.message, field="manifest", got=broken.code, allowed="seedframe/manifest/1")
    version = manifest["seedance"]["model"]
    shared = {"model": model_id(version, choices), "resolution": resolution_of(version, choices)}
    followed = {shot.get("prev") for shot in manifest["shots"]}
    for shot in manifest["shots"]:
        findings = tuple(one for one in found if one.shot == shot["id"])
        if any(one.severity == "error" for one in findings):
            yield VideoRequest(shot["id"], None, findings)
        else:
            chained = {"return_last_frame": True} if shot["id"] in followed else {}
            yield _request(shot, addresses, choices, {**shared, **chained}, findings)


def _request(
    shot: Mapping[str, Any],
    addresses: Addresses,
    choices: RequestChoices,
    shared: Mapping[str, Any],
    findings: tuple[BoardFinding, ...],
) -> VideoRequest:
    job = shot["job"]
    try:
        content = list(_content(shot, addresses, spoken=choices.audio))
    except NoAddress as error:
        gone = BoardFinding("FRAME_GONE", "error", error.message, shot["id"])
        return VideoRequest(shot["id"], None, (*findings, gone))
    body = {
        **shared,
        "content": content,
        "ratio": job["ratio"],
        "duration": _seconds(job["duration"]),
        "generate_audio": choices.audio,
        "watermark": choices.watermark,
    }
    if all(part["image_url"]["url"].startswith("asset://") for part in content if part["type"] == "image_url"):
        findings = tuple(one for one in findings if one.code != FACE)  # a registered face passes
    size, allowed = len(json.dumps(body, ensure_ascii=False).encode()), seedance()["images"]["request_bytes"]
    if size > allowed:
        large = BoardFinding("REQUEST_BYTES", "error", Message("handoff.body-large", got=size, allowed=allowed))
        return VideoRequest(shot["id"], None, (*findings, large))
    return VideoRequest(shot["id"], body, findings)


def _content(shot: Mapping[str, Any], addresses: Addresses, *, spoken: bool) -> Iterator[dict[str, Any]]:
    """Text first, then the frames in their roles, then registered faces."""
    frames = {frame["key"]: frame for frame in shot["frames"]}
    words = video_prompt(shot, spoken=spoken)
    if words:
        yield {"type": "text", "text": words}
    for image in shot["job"]["images"]:
        yield _picture(addresses(frames[image["key"]]), image["role"])
    for asset in shot["job"].get("assets", ()):
        yield _picture(asset["asset"], seedance()["roles"]["ref"])


def _picture(url: str, role: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, "role": role}


def _seconds(duration: float | None) -> int:
    """Whole seconds: the service's types know no others, and a second too many can be cut off."""
    return int(seedance()["requests"]["duration"]) if duration is None else ceil(duration)
