"""Which frames of a board are done, as the files of its folder prove it: no record of a run is needed for that.

In: a board's tasks, its folder, settings (they decide what a task asks for). Out: `Proof` for each frame whose picture
lies there with the SHA-256 that its sidecar says, and whose sidecar says the same task on the same backend.
Never in here: a path outside the folder, a symbolic link that is followed, money.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import Any

from seedframe.catalog import catalog
from seedframe.errors import SeedreamError
from seedframe.redaction import redact
from seedframe.service.request import ImageRequest, check
from seedframe.settings import Settings
from seedframe.storyboard.board_plan import arguments_of
from seedframe.storyboard.frames import FrameTask
from seedframe.storyboard.names import KEY

SIDECAR = ".json"
LARGEST_SIDECAR = 1024 * 1024
LARGEST_PICTURE = 512 * 1024 * 1024
_FRAME_FILE = re.compile(rf"(?:.*_)?({KEY.pattern})_\d+x\d+(?:-\d+)?\.(?:jpe?g|png|webp)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Proof:
    """A picture of a frame that is there: its file and, where it was cut, the service's own bytes.

    `made` is the file as it is (`{sha256, bytes, mtime_ns}`), `made_for` the task it proves, as it is recorded.
    """

    path: Path
    raw_path: Path | None = None
    made: Mapping[str, Any] = field(default_factory=dict)
    made_for: str | None = None


def proven(tasks: Sequence[FrameTask], out: Path, settings: Settings, backend: str) -> dict[str, Proof]:
    """The proof of every task that has one. Reads each of those pictures once, to hash it."""
    found = _sidecars(out)
    settings = replace(settings, backend=backend, output_dir=out)
    proofs: dict[str, Proof] = {}
    for task in tasks:
        for picture in found.get(task.key, ()):
            described = _read(picture.with_name(picture.name + SIDECAR)) or {}
            asked = _asked(task, described.get("model"), settings)
            if asked and _is_same(described, asked, task, backend) and _is_intact(picture, described["picture"]):
                proofs[task.key] = _proof(picture, described["picture"], task, out)
                break
    return proofs


def _proof(picture: Path, described: Mapping[str, Any], task: FrameTask, out: Path) -> Proof:
    made = {"sha256": described["sha256"], "bytes": described["bytes"], "mtime_ns": picture.stat().st_mtime_ns}
    return Proof(picture, _original(described, out), made, json.dumps(asdict(task), ensure_ascii=False))


def _sidecars(out: Path) -> dict[str, list[Path]]:
    """Pictures with a sidecar, by the frame key in their name; the newest name first."""
    found: dict[str, list[Path]] = {}
    try:
        names = sorted((path.name for path in out.iterdir()), key=lambda name: (len(name), name), reverse=True)
    except OSError:
        return {}
    there = set(names)
    for name in names:
        match = _FRAME_FILE.fullmatch(name)
        if match and name + SIDECAR in there:
            found.setdefault(match[1], []).append(out / name)
    return found


def _asked(task: FrameTask, model: Any, settings: Settings) -> ImageRequest | None:
    """What the task asks for; None where that would be refused. `model` made it: any may where the board names none."""
    tool, arguments = arguments_of(task, made={key: Path(key) for key in task.depends_on})
    if task.model is None and isinstance(model, str):
        arguments["model"] = model
    try:
        return check(tool, arguments, catalog=catalog(), settings=settings)
    except SeedreamError:
        return None


def _is_same(described: Mapping[str, Any], asked: ImageRequest, task: FrameTask, backend: str) -> bool:
    """Whether the sidecar is of this task: same tool, words, model, frame, seed, references, backend."""
    try:
        return bool(
            described["tool"] == asked.tool
            and described["backend"] == backend
            and described["model"] == asked.offer.model.name
            and made_for(described, task)
            and described.get("seed") == asked.options.get("seed")
            and (asked.frame.asked is None or described["frame"]["asked"] == asked.frame.asked)
            and (asked.frame.frame is None or _size(described["picture"]) == str(asked.frame.frame))
        )
    except (KeyError, TypeError, AttributeError):
        return False


def made_for(described: Mapping[str, Any], task: FrameTask) -> bool:
    """Whether a sidecar's picture was made from this task's brief and references, and so shows the board as it is."""
    return bool(
        described.get("brief") == redact(json.loads(json.dumps(task.brief)))
        and _names(described.get("references", ())) == [_name_of(item.frame or item.path) for item in task.references]
    )


def _size(picture: Mapping[str, Any]) -> str:
    return f"{picture['width']}x{picture['height']}"


def _names(references: Any) -> list[str]:
    return [_name_of(reference) for reference in references]


def _name_of(reference: Any) -> str:
    """A reference by what stays the same on another machine: the key of a frame, or the name of a file."""
    name = PureWindowsPath(str(reference).partition("?")[0]).name
    match = _FRAME_FILE.fullmatch(name)
    return match[1] if match else name


def _is_intact(picture: Path, described: Any) -> bool:
    """Whether the file is a plain one of that length and hash."""
    if not isinstance(described, Mapping) or not isinstance(described.get("sha256"), str):
        return False
    try:
        with _opened(picture) as file:
            size = os.fstat(file.fileno()).st_size
            if size != described.get("bytes") or size > LARGEST_PICTURE:
                return False
            return hashlib.file_digest(file, "sha256").hexdigest() == str(described["sha256"])
    except OSError:
        return False


def _original(described: Mapping[str, Any], out: Path) -> Path | None:
    """The service's own bytes, where they lie beside the picture; the path may be another machine's."""
    name = described.get("original")
    if not isinstance(name, str) or not name:
        return None
    path = out / PureWindowsPath(name).name
    try:
        with _opened(path):
            return path
    except OSError:
        return None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with _opened(path) as file:
            described = json.loads(file.read(LARGEST_SIDECAR + 1))
    except (OSError, ValueError, RecursionError):
        return None
    return described if isinstance(described, dict) else None


def _opened(path: Path) -> Any:
    """A plain file for reading; OSError for a link, a pipe or a device."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError(f"{path} is no plain file")
    return file
