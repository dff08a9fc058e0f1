"""What step 3 hands to step 4: the manifest, and whether Seedance will take it.

In: a Board and what became of its frames. Out: a manifest dict (schema: `data/storyboard/manifest.schema.json`) and
findings. Seedance's limits are data (`seedance.json`, with source and date). Never in here: time (passed in), files,
uploads, the body of a request to Seedance (`requests`).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from math import ceil
from typing import Any

from seedframe.messages import Message, sentences
from seedframe.storyboard.continuity import Cast, face_visible, identity
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.formats.document import spot_name
from seedframe.storyboard.frames import FrameResult, FrameTask, frames_of
from seedframe.storyboard.names import frame_slot
from seedframe.storyboard.schema import breaches, schema_named
from seedframe.storyboard.types import Board, Role, Shot
from seedframe.storyboard.wording import HAN
from seedframe.studio.types import Trust

MANIFEST_SCHEMA = "seedframe/manifest/1"


@cache
def seedance() -> Mapping[str, Any]:
    """Limits of the video step, with their source and date."""
    content: dict[str, Any] = json.loads(
        (files("seedframe") / "data" / "storyboard" / "seedance.json").read_text(encoding="utf-8")
    )
    return content


def manifest_schema() -> dict[str, Any]:
    """The published JSON Schema (2020-12) of a manifest."""
    return schema_named("manifest")


def trust_of(
    *, model: str | None, backend: str | None, references: int, modified: bool, created_at: datetime | None
) -> Trust:
    """Whether Seedance trusts a realistic face in this picture. `modified`: cropped, re-encoded or edited bytes.

    Rule: Volcengine 82379/2608626 (read 2026-11), see `seedance.json`. `created_at` must know its time zone.
    """
    rule = seedance()["trust"]
    reasons = (
        ("backend", backend not in rule["backends"]),
        ("model", model not in rule["models"]),
        ("references", references > 0),
        ("modified", modified),
        ("undated", created_at is None),
    )
    failed = next((name for name, wrong in reasons if wrong), None)
    if failed or created_at is None:
        return Trust(eligible=False, reason=failed or "undated")
    expires = created_at + timedelta(days=rule["days"])
    return Trust(eligible=True, reason="given", expires_at=expires.isoformat())


def reason_words(reason: str) -> Message | str:
    """The reason of a `Trust` in words; one that `trust_of` did not give stays as it is."""
    key = f"storyboard.trust-{reason}"
    return Message(key) if key in sentences("en") else reason


def build_manifest(board: Board, results: Mapping[str, FrameResult]) -> dict[str, Any]:
    """The manifest, JSON-ready. A frame without a result is `planned`; paths are those of the results."""
    tasks: dict[str, list[FrameTask]] = defaultdict(list)
    for task in frames_of(board):
        tasks[task.shot].append(task)
    cast = Cast.of(board)
    shots = [_shot(board, cast, order, shot, tasks[shot.id], results) for order, shot in enumerate(board.shots, 1)]
    limits = seedance()
    return {
        "schema": MANIFEST_SCHEMA,
        "project": board.project,
        **({"title": dict(board.title)} if board.title else {}),
        "ratio": board.ratio,
        "seedance": {"model": board.seedance, "source": limits["source"], "date": limits["date"]},
        "totals": _totals(shots),
        "shots": shots,
    }


def chosen(slot: str, takes: Iterable[FrameResult]) -> FrameResult | None:
    """The take of a slot to use: the picked one; else the only one that is done; else the first that is done."""
    done = [take for take in takes if take.status == "done" and take.key.startswith(f"{slot}_v")]
    return next((take for take in done if take.picked), done[0] if done else None)


def _shot(
    board: Board, cast: Cast, order: int, shot: Shot, tasks: Sequence[FrameTask], results: Mapping[str, FrameResult]
) -> dict[str, Any]:
    found = [results.get(task.key, FrameResult(task.key)) for task in tasks]
    return {
        "id": shot.id,
        "order": order,
        **({"title": dict(shot.title)} if shot.title else {}),
        "scene": shot.scene,
        "characters": list(shot.characters),
        "prev": shot.prev,
        "ratio": board.ratio,
        "duration": shot.duration,
        "motion": dict(shot.motion or {}),
        "dialogue": shot.dialogue,
        "face_visible": face_visible(cast, shot),
        "realistic": board.realistic_people,
        "continuity": _continuity(shot),
        "frames": [_frame(task, result) for task, result in zip(tasks, found, strict=True)],
        "job": _job(board, cast, shot, found),
    }


def _continuity(shot: Shot) -> dict[str, Any]:
    known = {
        "direction": shot.direction,
        "positions": dict(shot.positions),
        "wardrobe": shot.wardrobe,
        "prop_state": shot.prop_state,
        "light": shot.light,
    }
    return {name: value for name, value in known.items() if value}


def _frame(task: FrameTask, result: FrameResult) -> dict[str, Any]:
    return {
        "key": task.key,
        "role": seedance()["roles"][task.role],
        "take": task.take,
        "picked": result.picked,
        "status": result.status,
        "file": result.path,
        "raw_file": result.raw_path,
        "width": result.width,
        "height": result.height,
        "bytes": result.bytes,
        "mime": result.mime,
        "sha256": result.sha256,
        "prompt": result.prompt,
        "negative": result.negative,
        "model": result.model,
        "backend": result.backend,
        "cost": dict(result.cost) if result.cost else None,
        "trust": asdict(result.trust) if result.trust else None,
        "findings": [dict(finding) for finding in result.findings],
    }


def _job(board: Board, cast: Cast, shot: Shot, results: Sequence[FrameResult]) -> dict[str, Any] | None:
    """The video job, in one of the three modes that exclude each other; frames come before reference pictures."""
    roles: list[Role] = [role for role in shot.frames if role != "ref"] or ["ref"]
    takes = [(role, chosen(frame_slot(shot.id, role), results)) for role in roles]
    names = seedance()["roles"]
    images = [{"role": names[role], "key": take.key, "file": take.path} for role, take in takes if take and take.path]
    if len(images) < len(roles):
        return None
    modes = {"ref": "reference_images", "last": "first_last_frame", "first": "first_frame"}
    ratios = seedance()["models"][board.seedance]["frame_ratios"]
    assets = [] if roles != ["ref"] else _assets(cast, shot)
    return {
        "mode": modes[roles[-1]],
        "images": images,
        **({"assets": assets} if assets else {}),
        "prompt": dict(shot.motion or {}),
        "ratio": board.ratio if board.ratio in ratios else "adaptive",
        "duration": shot.duration,
    }


def _assets(cast: Cast, shot: Shot) -> list[dict[str, Any]]:
    """The registered faces of a shot, which only its reference mode can carry."""
    people = (cast.characters[name] for name in shot.characters)
    return [
        {"character": one.id, "name": dict(one.name or identity(one)), "asset": one.asset}
        for one in people
        if one.asset
    ]


def _totals(shots: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    frames = [frame for shot in shots for frame in shot["frames"]]
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for frame in frames:
        if frame["cost"]:
            spent[frame["cost"]["currency"]] += Decimal(str(frame["cost"]["amount"]))
    return {
        "shots": len(shots),
        "ready": sum(shot["job"] is not None for shot in shots),
        "frames": dict(Counter(frame["status"] for frame in frames)),
        "cost": [{"amount": float(amount), "currency": currency} for currency, amount in sorted(spent.items())],
    }


def check_board(board: Board) -> tuple[BoardFinding, ...]:
    """What Seedance will refuse or spoil, as far as a board shows it before anything is paid."""
    cast, found = Cast.of(board), [*_shape(board)]
    for shot in board.shots:
        found += [*_roles(shot), *_video(shot.id, board.seedance, shot.duration, shot.motion or {})]
        found += _assets_unused(cast, shot)
    if board.realistic_people:
        faces = {shot.id for shot in board.shots if face_visible(cast, shot)}
        found += [_face(task) for task in frames_of(board) if task.shot in faces and task.take == 1 and task.references]
    return tuple(found)


def check_manifest(manifest: Mapping[str, Any], *, now: datetime | None = None) -> list[BoardFinding]:
    """Everything that keeps a manifest from Seedance (errors) or from a good video (warnings), in story order.

    `now` (with time zone) lets expired trust be found.
    """
    wrong = [_breach(spot, problem) for spot, problem, _, _ in breaches("manifest", manifest)]
    if wrong:
        return wrong
    version = manifest["seedance"]["model"]
    if version not in seedance()["models"]:
        message = Message("storyboard.seedance-unknown", got=version, allowed=list(seedance()["models"]))
        return [BoardFinding("SEEDANCE_UNKNOWN", "error", message)]
    return [finding for shot in manifest["shots"] for finding in _check_shot(shot, version, now)]


def _breach(spot: tuple[str | int, ...], problem: Message) -> BoardFinding:
    message = Message("storyboard.manifest-broken", spot=spot_name(spot), problem=problem)
    return BoardFinding("MANIFEST_SCHEMA", "error", message)


def _shape(board: Board) -> Iterator[BoardFinding]:
    """The board's own ratio and size, before any picture has them."""
    width, height = (int(part) for part in board.ratio.split(":"))
    low, high = seedance()["images"]["ratio"]
    if not low <= width / height <= high:
        message = Message("storyboard.ratio-outside", got=round(width / height, 3), low=low, high=high)
        yield BoardFinding("RATIO", "error", message)
    if board.size:
        wide, _, tall = board.size.partition("x")
        if _cropped(int(wide) / int(tall), board.ratio):
            message = Message("storyboard.size-not-ratio", size=board.size, ratio=board.ratio)
            yield BoardFinding("SIZE_RATIO", "warning", message)


def _roles(shot: Shot) -> Iterator[BoardFinding]:
    if "last" in shot.frames and "first" not in shot.frames:
        yield BoardFinding("ROLE_LAST_ALONE", "error", Message("storyboard.last-alone"), shot.id)
    if "ref" in shot.frames and len(shot.frames) > 1:
        yield BoardFinding("ROLE_MIXED", "warning", Message("storyboard.ref-unused"), shot.id)


def _video(shot: str, version: str, duration: float | None, prompt: Mapping[str, str]) -> Iterator[BoardFinding]:
    low, high = seedance()["models"][version]["duration"]
    if duration is not None and not low <= duration <= high:
        message = Message("storyboard.duration-outside", got=duration, low=low, high=high, version=version)
        yield BoardFinding("DURATION", "error", message, shot)
    if duration is not None and duration != int(duration):
        message = Message("handoff.duration-whole", got=duration, sent=ceil(duration))
        yield BoardFinding("DURATION_WHOLE", "info", message, shot)
    if not prompt:
        yield BoardFinding("MOTION_MISSING", "info", Message("storyboard.motion-missing"), shot)
    limits = seedance()["prompt"]
    counts = (
        ("han", sum(map(len, HAN.findall(prompt.get("zh", ""))))),
        ("words", len(prompt.get("en", "").split())),
    )
    for unit, count in counts:
        if count > limits[unit]:
            message = Message(f"storyboard.motion-long-{unit}", got=count, allowed=limits[unit])
            yield BoardFinding("MOTION_LONG", "warning", message, shot)


def _assets_unused(cast: Cast, shot: Shot) -> Iterator[BoardFinding]:
    """Seedance takes no reference picture beside a first or last frame."""
    named = [name for name in shot.characters if cast.characters[name].asset]
    if named and shot.frames != ("ref",):
        yield BoardFinding("ASSET_UNUSED", "info", Message("handoff.asset-unused", characters=named), shot.id)


def _face(task: FrameTask) -> BoardFinding:
    return BoardFinding("FACE_TRUST", "warning", Message("storyboard.face-references"), task.shot, task.key)


def _check_shot(shot: Mapping[str, Any], version: str, now: datetime | None) -> Iterator[BoardFinding]:
    job = shot["job"]
    if job is None:
        yield BoardFinding("FRAME_MISSING", "error", Message("storyboard.frame-missing"), shot["id"])
        return
    frames = {frame["key"]: frame for frame in shot["frames"]}
    used = [frames[image["key"]] for image in job["images"] if image["key"] in frames]
    if len(used) < len(job["images"]):
        yield BoardFinding("FRAME_MISSING", "error", Message("storyboard.frame-not-listed"), shot["id"])
    yield from _job_roles(shot["id"], job, version)
    yield from _video(shot["id"], version, job["duration"], job["prompt"])
    if job["ratio"] not in seedance()["models"][version]["frame_ratios"]:
        allowed = seedance()["models"][version]["frame_ratios"]
        message = Message("storyboard.ratio-not-taken", got=job["ratio"], version=version, allowed=allowed)
        yield BoardFinding("RATIO_NOT_TAKEN", "error", message, shot["id"])
    for frame in used:
        yield from _check_frame(shot, frame, job["ratio"])
        yield from _check_face(shot, frame, now)
    yield from _together(shot["id"], used)


def _job_roles(shot: str, job: Mapping[str, Any], version: str) -> Iterator[BoardFinding]:
    roles = Counter(image["role"] for image in job["images"])
    roles["reference_image"] += len(job.get("assets", ()))
    roles += Counter()  # without what is counted nought times
    low, high = seedance()["models"][version]["references"]
    if roles["last_frame"] and not roles["first_frame"]:
        yield BoardFinding("ROLE_LAST_ALONE", "error", Message("storyboard.last-alone"), shot)
    if roles["reference_image"] and len(roles) > 1:
        yield BoardFinding("ROLE_MIXED", "error", Message("storyboard.roles-mixed"), shot)
    if roles["first_frame"] > 1 or roles["last_frame"] > 1:
        yield BoardFinding("ROLE_TWICE", "error", Message("storyboard.role-twice"), shot)
    if roles["reference_image"] and not low <= roles["reference_image"] <= high:
        message = Message("storyboard.references-many", got=roles["reference_image"], allowed=high, version=version)
        yield BoardFinding("REFERENCES_MANY", "error", message, shot)


def _check_frame(shot: Mapping[str, Any], frame: Mapping[str, Any], ratio: str) -> Iterator[BoardFinding]:
    limits = seedance()["images"]
    where = (shot["id"], frame["key"])
    width, height = frame["width"], frame["height"]
    if frame["status"] != "done" or not (width and height and frame["bytes"] and frame["mime"]):
        yield BoardFinding("FRAME_UNMEASURED", "error", Message("storyboard.frame-unmeasured"), *where)
        return
    if frame["mime"] not in limits["mime"]:
        message = Message("storyboard.mime-not-taken", got=frame["mime"], allowed=limits["mime"])
        yield BoardFinding("MIME", "error", message, *where)
    if frame["bytes"] >= limits["bytes_below"]:
        message = Message("storyboard.bytes-many", got=frame["bytes"], allowed=limits["bytes_below"])
        yield BoardFinding("BYTES", "error", message, *where)
    low, high = limits["side"]
    if not (low <= width <= high and low <= height <= high):
        message = Message("storyboard.side-outside", width=width, height=height, low=low, high=high)
        yield BoardFinding("SIDE", "error", message, *where)
    thin, wide = limits["ratio"]
    if not thin <= width / height <= wide:
        message = Message("storyboard.ratio-outside", got=round(width / height, 3), low=thin, high=wide)
        yield BoardFinding("RATIO", "error", message, *where)
    if _cropped(width / height, shot["ratio"] if ratio == "adaptive" else ratio):
        message = Message("storyboard.ratio-cropped", width=width, height=height, ratio=shot["ratio"])
        yield BoardFinding("RATIO_CROP", "warning", message, *where)


def _cropped(got: float, ratio: str) -> bool:
    width, _, height = ratio.partition(":")
    tolerance: float = seedance()["ratio_tolerance"]
    return abs(got - int(width) / int(height)) > tolerance


def _check_face(shot: Mapping[str, Any], frame: Mapping[str, Any], now: datetime | None) -> Iterator[BoardFinding]:
    if not (shot["face_visible"] and shot["realistic"]):
        return
    trust = frame["trust"] or {"eligible": False, "reason": "unsaid", "expires_at": None}
    if not trust["eligible"]:
        message = Message("storyboard.face-untrusted", reason=reason_words(trust["reason"]))
        yield BoardFinding("FACE_TRUST", "warning", message, shot["id"], frame["key"])
    elif now and trust["expires_at"] and datetime.fromisoformat(trust["expires_at"]) <= now:
        message = Message("storyboard.face-expired", expired=trust["expires_at"])
        yield BoardFinding("FACE_TRUST", "warning", message, shot["id"], frame["key"])


def _together(shot: str, frames: Sequence[Mapping[str, Any]]) -> Iterator[BoardFinding]:
    sizes = {(frame["width"], frame["height"]) for frame in frames if frame["role"] != "reference_image"}
    if len(sizes) > 1:
        yield BoardFinding("SIZES_DIFFER", "warning", Message("storyboard.sizes-differ"), shot)
    total, allowed = sum(frame["bytes"] or 0 for frame in frames), seedance()["images"]["request_bytes"]
    if total * 4 / 3 > allowed:
        message = Message("storyboard.request-large", got=total, allowed=allowed)
        yield BoardFinding("REQUEST_BYTES", "warning", message, shot)
