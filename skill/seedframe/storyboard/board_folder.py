"""What lies in a board's folder besides the pictures: board.json, manifest.json, sheet.html and sheet.png.

In: a Board, the results of its frames, a folder. Out: files, each written atomically; and the same values read back
from them. Paths in the manifest are relative to the folder, which can be moved. Never in here: the engine, a payment.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

from seedframe.errors import InvalidRequest, SeedreamError, StoreError
from seedframe.messages import LANGUAGES, Language, Message
from seedframe.private_files import make_private_folder, open_private
from seedframe.storyboard.board import board_to_json, read_board
from seedframe.storyboard.board_plan import FACE, face_matters
from seedframe.storyboard.continuity import Cast
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.folder_links import check_folder
from seedframe.storyboard.frames import FrameResult, Status, frames_of
from seedframe.storyboard.handoff.manifest import build_manifest, check_manifest
from seedframe.storyboard.names import KEY, frame_slot, parts_of_key
from seedframe.storyboard.picks import read_picks
from seedframe.storyboard.record.proof import made_for
from seedframe.storyboard.record.state import BoardState, FrameState, State
from seedframe.storyboard.sheet.page import PICK, render_sheets
from seedframe.storyboard.types import Board, BoardPicture, Element
from seedframe.studio.store import PARTS_FOLDER, Store
from seedframe.studio.types import Trust

BOARD_FILE = "board.json"
MANIFEST_FILE = "manifest.json"
SHEET_FILE = "sheet.html"
SHEET_PICTURE = "sheet.png"
THUMBNAILS = "thumbnails"
STATUS: Mapping[State, Status] = MappingProxyType(
    {"done": "done", "failed": "failed", "unknown": "unknown", "lost": "failed", "cancelled": "skipped"}
)
THREADS = 2
SIDES = ((200, 640), (2_000, 400))
"""Long side of a thumbnail by the number of frames on a page: large pages get small thumbnails, so that they open."""

SMALLEST_SIDE = 160
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Published:
    """The two files for whoever comes next: step 4, and eyes."""

    manifest: Path
    sheet: Path


def keep_board(board: Board, out: Path) -> Path:
    """Write board.json: the same board, canonical; pictures of the folder by name, others by absolute path."""
    kept = _located(board, out.absolute())
    return Store(out).write_json(out / BOARD_FILE, board_to_json(kept))


def board_in(out: Path) -> Board:
    """The board of a folder; InvalidRequest when none was ever run there."""
    check_folder(out)
    path = out / BOARD_FILE
    try:
        return read_board(path)
    except OSError:
        raise InvalidRequest(
            Message("boards.no-board", out=out),
            field="out",
            got=str(out),
            allowed=BOARD_FILE,
            advice=Message("boards.no-board-advice"),
        ) from None


def publish(
    board: Board,
    results: Mapping[str, FrameResult],
    out: Path,
    *,
    language: Language = "en",
    now: Callable[[], float] = time.time,
) -> Published:
    """Write manifest.json and sheet.html of these results, with the picks of the folder.

    The manifest is checked against what Seedance takes, as of `now` (trust in faces ends), and holds what was found.
    """
    out = out.absolute()
    described = _with_sidecars(board, results, out)
    store = Store(out)
    manifest = _write_manifest(board, described, store, datetime.fromtimestamp(now(), UTC))
    pages = render_sheets(
        board,
        described,
        language=language,
        thumbnails=lambda keys: thumbnails({key: described[key] for key in keys if key in described}, out),
        pick_command=f"{PICK} {shlex.quote(str(out))}",
        stale=stale_frames(board, described, out),
    )
    written = [store.write_text(out / name, page) for name, page in pages]
    for page in set(out.glob("sheet-[0-9][0-9][0-9].html")) - set(written):
        page.unlink()  # of a time when the board was longer
    return Published(manifest, written[0])


def _write_manifest(board: Board, results: Mapping[str, FrameResult], store: Store, now: datetime) -> Path:
    content = build_manifest(board, results)
    content["findings"] = [finding.as_json() for finding in handoff_findings(content, now)]
    return store.write_json(store.root / MANIFEST_FILE, content)


def manifest_of(board: Board, results: Mapping[str, FrameResult], out: Path) -> dict[str, Any]:
    """The manifest of these results with the picks of the folder, as `publish` writes it."""
    return build_manifest(board, _with_sidecars(board, results, out.absolute()))


def handoff_findings(manifest: Mapping[str, Any], now: datetime) -> tuple[BoardFinding, ...]:
    """What Seedance would refuse or spoil of the shots that are ready; a shot still being made is no finding."""
    found = check_manifest(manifest, now=now)
    broken = tuple(one for one in found if one.shot is None)
    if broken:
        return broken
    ready = {shot["id"] for shot in manifest["shots"] if shot["job"]}
    return tuple(one for one in found if one.severity != "info" and one.shot in ready)


def findings_in(out: Path, now: datetime) -> tuple[BoardFinding, ...]:
    """`handoff_findings` of a folder's manifest; none where there is no manifest yet. StoreError for a broken one."""
    path = out / MANIFEST_FILE
    try:
        return handoff_findings(json.loads(path.read_text(encoding="utf-8")), now)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(Message("boards.manifest-broken", path=path)) from error


def publish_picture(board: Board, results: Mapping[str, FrameResult], out: Path, *, language: Language = "en") -> Path:
    """Write sheet.png. Without a Chinese font on this machine, texts that need one are left out."""
    from seedframe.storyboard.sheet.image import chinese_font, sheet_png

    out = out.absolute()
    completed = _with_sidecars(board, results, out)
    drawn = sheet_png(board, completed, thumbnails=thumbnails(completed, out), language=language, font=chinese_font())
    path = out / SHEET_PICTURE
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb", opener=open_private) as file:
            file.write(drawn)
        part.replace(path)
    except OSError as error:
        raise StoreError(Message("store.cannot-write", path=path, why=error.strerror or "OSError")) from error
    return path


def stale_frames(board: Board, results: Mapping[str, FrameResult], out: Path) -> frozenset[str]:
    """Frames whose picture was made for another brief or other references than the board and its picks ask for now.

    A picture without a sidecar is not judged.
    """
    made = (
        (task, sidecar)
        for task in frames_of(board, read_picks(out))
        if (result := results.get(task.key)) and result.path and (sidecar := _sidecar(out / result.path))
    )
    return frozenset(task.key for task, sidecar in made if not made_for(sidecar, task))


def results_of(state: BoardState) -> dict[str, FrameResult]:
    """What became of the frames at this moment: the run's record, and the sidecars of what is done."""
    return {frame.task: _of_frame(frame, state.currency) for frame in state.frames}


def results_in(out: Path) -> dict[str, FrameResult]:
    """The results of the frames as manifest.json has them; empty until a run has ended."""
    path = out / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        results = (_result(frame) for shot in manifest["shots"] for frame in shot["frames"])
        return {result.key: _confined(result, out) for result in results if KEY.fullmatch(result.key)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(Message("boards.manifest-broken", path=path)) from error


def _confined(result: FrameResult, out: Path) -> FrameResult:
    """Without paths that lead out of the folder: a manifest may come from anybody."""

    def inside(path: str | None) -> str | None:
        return path if path and is_inside(out / path, out) else None

    sha256 = result.sha256 if result.sha256 and SHA256.fullmatch(result.sha256) else None
    return replace(result, path=inside(result.path), raw_path=inside(result.raw_path), sha256=sha256)


def is_inside(path: Path, out: Path) -> bool:
    """Whether that is a name in the folder itself, and no symbolic link."""
    return path.parent == out and path.name not in {"", "..", "."} and not path.is_symlink()


def _of_frame(frame: FrameState, currency: str | None) -> FrameResult:
    status: Status = STATUS.get(frame.state, "planned")
    cost = None if frame.cost is None else {"amount": float(frame.cost), "currency": currency}
    lost = {"code": status.upper(), "severity": "error", "message": dict(frame.error or {})}
    result = FrameResult(frame.task, status, cost=cost, findings=(lost,) if frame.error else ())
    if status != "done" or frame.path is None:
        return result
    described = _sidecar(frame.path)
    picture: Mapping[str, Any] = described.get("picture", {})
    known: dict[str, Any] = {
        **{name: picture.get(name) for name in ("width", "height", "bytes", "mime", "sha256")},
        **{name: described.get(name) for name in ("prompt", "model", "backend")},
        "negative": described.get("negative_prompt"),
        "findings": (*_stale(frame, cost), *(_noticed(finding) for finding in described.get("findings", ()))),
        "trust": Trust(**picture["trust"]) if picture.get("trust") else None,
    }
    raw = None if frame.raw_path is None else str(frame.raw_path)
    return replace(result, path=str(frame.path), raw_path=raw, **known)


def _stale(frame: FrameState, cost: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """That the picture is of other words than the shot has now."""
    if frame.stale:
        price = f"{cost['amount']:g} {cost['currency']}" if cost else "?"
        words = Message("board_truth.stale", task=frame.task, price=price)
        sentences = {language: words.text(language) for language in LANGUAGES}
        yield {"code": "STALE", "severity": "warning", "message": sentences}


def _sidecar(picture: Path) -> dict[str, Any]:
    """The sidecar of a picture; empty when it is gone."""
    try:
        content = json.loads(picture.with_suffix(f"{picture.suffix}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _noticed(finding: Mapping[str, Any]) -> dict[str, Any]:
    words = " ".join(part for part in (finding["message"], finding.get("mend")) if part)
    return {"code": finding["code"], "severity": finding["severity"], "message": words}


def thumbnails(results: Mapping[str, FrameResult], out: Path) -> dict[str, bytes]:
    """A small JPEG of every frame that is done, made once and kept. Unreadable pictures are left out."""
    done = [result for result in results.values() if result.status == "done" and result.path]
    side = next((side for most, side in SIDES if len(done) <= most), SMALLEST_SIDE)
    folder = out / PARTS_FOLDER / THUMBNAILS
    if done:
        make_private_folder(out / PARTS_FOLDER)
        make_private_folder(folder)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="thumbnails") as pool:
        made = pool.map(lambda result: _thumbnail(out / str(result.path), folder, result, side), done)
        return {result.key: small for result, small in zip(done, made, strict=True) if small}


def _thumbnail(path: Path, folder: Path, result: FrameResult, side: int) -> bytes | None:
    kept = folder / f"{result.key}-{(result.sha256 or '')[:12]}-{side}.jpg"
    try:
        with open(kept, "rb", opener=open_private) as file:
            return file.read()
    except OSError:
        small = _drawn(path, side)
    if small:
        part = kept.with_suffix(f".{os.getpid()}.part")  # two runs may draw the same one
        with open(part, "wb", opener=open_private) as file:
            file.write(small)
        part.replace(kept)
    return small


def _drawn(path: Path, side: int) -> bytes | None:
    from seedframe.images import preview

    try:
        small: bytes = preview(path, long_side=side)
    except (SeedreamError, OSError):
        return None
    return small


def _with_sidecars(board: Board, results: Mapping[str, FrameResult], out: Path) -> dict[str, FrameResult]:
    """Completed from the folder: paths relative to it, picks marked, findings dropped that the board contradicts."""
    cast = Cast.of(board)
    faces = {task.key for task in frames_of(board) if face_matters(cast, board, task)}
    picked = _picked(_relative(results, out), read_picks(out))
    return {
        key: replace(result, findings=tuple(f for f in result.findings if f["code"] != FACE or key in faces))
        for key, result in picked.items()
    }


def _picked(results: Mapping[str, FrameResult], picks: Mapping[str, str]) -> dict[str, FrameResult]:
    return {key: replace(result, picked=picks.get(_slot(key)) == key) for key, result in results.items()}


def _slot(key: str) -> str:
    shot, role, _ = parts_of_key(key)
    return frame_slot(shot, role)


def _relative(results: Mapping[str, FrameResult], out: Path) -> dict[str, FrameResult]:
    return {
        key: replace(result, path=_inside(result.path, out), raw_path=_inside(result.raw_path, out))
        for key, result in results.items()
    }


def _inside(path: str | None, out: Path) -> str | None:
    """Relative to the folder; a file elsewhere keeps its whole path."""
    if path is None or not Path(path).is_relative_to(out):
        return path
    return Path(path).relative_to(out).as_posix()


def _result(frame: Mapping[str, Any]) -> FrameResult:
    plain = ("key", "status", "width", "height", "bytes", "mime", "sha256", "prompt", "negative", "model", "backend")
    return FrameResult(
        **{name: frame[name] for name in (*plain, "cost", "picked")},
        path=frame["file"],
        raw_path=frame["raw_file"],
        findings=tuple(frame["findings"]),
        trust=Trust(**frame["trust"]) if frame["trust"] else None,
    )


def _located(board: Board, out: Path) -> Board:
    """The board as kept in `out`, which may be moved: only pictures outside of it keep their absolute path."""
    folder = Path(board.folder or ".").absolute()

    def located(element: Any) -> Any:
        pictures = tuple(replace(picture, path=_path(picture, folder, out)) for picture in element.pictures)
        return replace(element, pictures=pictures)

    def all_of(elements: tuple[Element, ...]) -> Any:
        return tuple(map(located, elements))

    return replace(
        board,
        characters=all_of(board.characters),
        products=all_of(board.products),
        scenes=all_of(board.scenes),
        props=all_of(board.props),
        folder=None,
    )


def _path(picture: BoardPicture, folder: Path, out: Path) -> str:
    if "://" in picture.path or picture.path.startswith(("data:", "seedframe:")):
        return picture.path
    path = PurePath(folder) / picture.path
    return path.relative_to(out).as_posix() if path.is_relative_to(out) else str(path)
