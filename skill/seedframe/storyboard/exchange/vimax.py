"""ViMax: `characters.json` and one folder for each shot, with its description and, later, its two frames.

In: a working folder of ViMax, or a file in it. Out: a Project; `first_frame.png` and `last_frame.png`, which ViMax
takes instead of making its own. Format as in github.com/HKUDS/ViMax, commit 46d6043 (2026-07-20).
Never in here: the files that ViMax writes later (portraits, clips), except as reference pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from seedframe.storyboard.exchange.losses import left_in_file
from seedframe.storyboard.exchange.picture_files import put_all
from seedframe.storyboard.exchange.project import (
    Filled,
    Filling,
    NewProject,
    Project,
    TheirShot,
    ToolFormat,
    broken,
    known,
    listed,
    plain_json,
    table,
    vocabulary,
    words,
    write_json,
)
from seedframe.storyboard.formats.cells import shown_id
from seedframe.storyboard.types import Board, Shot, Text

CHARACTERS = "characters.json"
DESCRIPTION = "shot_description.json"
REGISTRY = "character_portraits_registry.json"
NAMED = re.compile(r"<([^<>\n]{1,60})>")
SOUND = re.compile(r"\[(?P<kind>Speaker|Sound Effect)\]\s*(?P<text>[^\[]+)", re.IGNORECASE)
SCENE = re.compile(r"scene_(\d+)")


def find(path: Path) -> Path | None:
    """The working folder, from itself, from characters.json or from a shot's description."""
    folder = path if path.is_dir() else path.parent
    if path.name == DESCRIPTION:
        folder = path.parents[2]
        folder = folder.parent if SCENE.fullmatch(folder.name) and not (folder / CHARACTERS).exists() else folder
    elif path.name != CHARACTERS and not path.is_dir():
        return None
    cast = plain_json(folder / CHARACTERS)
    mine = isinstance(cast, list) and all("identifier_in_scene" in table(one) for one in cast)
    return folder if mine and next(_descriptions(folder), None) else None


def read(folder: Path) -> Project:
    """The board of a working folder; a film of several scenes keeps them apart."""
    words_of = vocabulary("vimax")
    cast = [table(one) for one in listed(plain_json(folder / CHARACTERS))]
    registry = table(plain_json(folder / REGISTRY))
    names = [shown_id(words(one.get("identifier_in_scene")) or f"C{index}") for index, one in enumerate(cast)]
    data = {
        "project": shown_id(folder.name)[:60],
        "ratio": words_of["ratio"],
        "characters": [_character(folder, name, one, registry) for name, one in zip(names, cast, strict=True)],
    }
    shots, theirs, items = [], [], []
    cameras: dict[tuple[int, Any], str] = {}
    for scene, path, item in _descriptions(folder):
        index = _index(path, item)
        shot_id = f"E01_SC{scene:02}_SH{(index + 1) * 10:03}"
        previous = cameras.setdefault((scene, item.get("cam_idx", f"-{index}")), shot_id)
        shots.append(_shot(shot_id, item, names, previous))
        theirs.append(TheirShot(shot_id, str(path.parent.relative_to(folder).as_posix()), f"shots/{index}/{path.name}"))
        items.append(item)
    return Project(
        "vimax", folder, folder, {**data, "shots": shots}, tuple(theirs), left_in_file("vimax", [*items, *cast])
    )


def fill(project: Project, filling: Filling) -> Filled:
    """The frames under the names that ViMax looks for before it makes its own."""
    names = vocabulary("vimax")["files"]
    pairs = [
        (keyframe, project.folder / shot.theirs / names[keyframe.role])
        for shot in project.shots
        for keyframe in filling.keyframes.get(shot.id, ())
        if keyframe.role in names
    ]
    return put_all(pairs, project.folder, replace=filling.replace)


def write(new: NewProject) -> Path:
    """characters.json, storyboard.json and the shot descriptions: ViMax goes on from there."""
    board = new.board
    cast = {who.id: index for index, who in enumerate(board.characters)}
    write_json(new.folder / CHARACTERS, [_their_character(index, who) for index, who in enumerate(board.characters)])
    cameras: dict[str, int] = {}
    shots = []
    for index, shot in enumerate(board.shots):
        camera = cameras.get(shot.prev or "", len(set(cameras.values())))
        cameras[shot.id] = camera
        shots.append(_their_shot(index, camera, shot, board, cast))
    brief = ("idx", "is_last", "cam_idx", "visual_desc", "audio_desc")
    write_json(new.folder / "storyboard.json", [{name: item[name] for name in brief} for item in shots])
    for described in shots:
        write_json(new.folder / "shots" / str(described["idx"]) / DESCRIPTION, described)
    return new.folder


def _descriptions(folder: Path) -> Iterator[tuple[int, Path, dict[str, Any]]]:
    """(scene from 1, file, content) of every shot, in story order."""
    scenes = sorted(folder.glob("scene_*"), key=_number)
    places = [(1, folder / "shots"), *((_number(inner) + 1, inner / "shots") for inner in scenes)]
    for scene, shots in places:
        for path in sorted(shots.glob(f"*/{DESCRIPTION}"), key=lambda path: _number(path.parent)):
            item = plain_json(path)
            if isinstance(item, dict):
                yield scene, path, item


def _number(path: Path) -> int:
    digits = re.search(r"\d+", path.name)
    return int(digits[0]) if digits else 0


def _index(path: Path, item: Mapping[str, Any]) -> int:
    """The number of a shot, which names its folder too."""
    index = item.get("idx")
    if not isinstance(index, int) or isinstance(index, bool) or not words(item.get("ff_desc")):
        raise broken(path, "vimax-shot", file=path)
    return index


def _character(folder: Path, name: str, item: Mapping[str, Any], registry: Mapping[str, Any]) -> dict[str, Any]:
    called = words(item.get("identifier_in_scene"))
    look = _look(called, words(item.get("static_features")), words(item.get("dynamic_features")))
    front = words(table(table(registry.get(called)).get("front")).get("path"))
    return known(id=name, name=called, text=look, references=[_portrait(folder, front)] if front else [])


def _portrait(folder: Path, written: str) -> str:
    """ViMax writes paths from where it was started; the same picture is found from the working folder."""
    parts = PureWindowsPath(written).parts
    tail = Path(*parts[parts.index("character_portraits") :]) if "character_portraits" in parts else None
    return tail.as_posix() if tail and (folder / tail).is_file() else written


def _shot(shot_id: str, item: Mapping[str, Any], names: list[str], camera: str) -> dict[str, Any]:
    both = item.get("variation_type") in vocabulary("vimax")["two_frames"] and bool(words(item.get("lf_desc")))
    sound = _sound(words(item.get("audio_desc")))
    return known(
        id=shot_id,
        characters=_seen(item, "ff_vis_char_idxs", names),
        action=_unmarked(item["ff_desc"]),
        frames=["first", "last"] if both else ["first"],
        last={"action": _unmarked(item.get("lf_desc"))} if both else {},
        prev=camera if camera != shot_id else None,
        motion=_unmarked(item.get("motion_desc")),
        dialogue=sound.get("Speaker"),
        notes=sound.get("Sound Effect"),
    )


def _seen(item: Mapping[str, Any], field: str, names: list[str]) -> list[str]:
    """Who is visible; numbers of nobody count as nobody."""
    numbers = [number for number in listed(item.get(field)) if isinstance(number, int) and 0 <= number < len(names)]
    return list(dict.fromkeys(names[number] for number in numbers))


def _look(called: str, *sentences: str) -> str:
    """One phrase that can follow the name in brackets: "Mara has grey hair. She wears a coat." loses its subjects."""
    who = rf"(?:^|(?<=\. ))(?:{re.escape(called)}|she|he|they)\s+"
    worn = (re.sub(rf"{who}wears?\b", "wearing", sentence, flags=re.IGNORECASE) for sentence in sentences)
    plain = (re.sub(rf"{who}(?:is|are|has|have)\s+", "", one, flags=re.IGNORECASE).rstrip(". ") for one in worn)
    return ", ".join(sentence.replace(". ", ", ") for sentence in plain if sentence)


def _unmarked(text: Any) -> str:
    """Without the angle brackets that mark names."""
    return NAMED.sub(r"\1", words(text))


def _sound(text: str) -> dict[str, str]:
    """What is spoken and what else is heard; a text without marks is spoken of nobody, so it is a note."""
    found: dict[str, list[str]] = {}
    for part in SOUND.finditer(text):
        found.setdefault(part["kind"].title(), []).append(part["text"].strip())
    if not found and text:
        return {"Sound Effect": text}
    return {kind: "\n".join(parts) for kind, parts in found.items()}


def _said(text: Text | None) -> str:
    """The English of a text, in which ViMax's own prompts are written; else what there is."""
    return (text or {}).get("en") or next(iter((text or {}).values()), "")


def _their_character(index: int, who: Any) -> dict[str, Any]:
    return {
        "idx": index,
        "identifier_in_scene": _said(who.name) or who.id,
        "is_visible": True,
        "static_features": _said(who.text),
        "dynamic_features": None,
    }


def _their_shot(index: int, camera: int, shot: Shot, board: Board, cast: Mapping[str, int]) -> dict[str, Any]:
    first = _said(shot.action) or _said(shot.brief.get("subject"))
    both = "last" in shot.frames
    last = _said(shot.last.get("action")) if both else first
    seen = [cast[name] for name in shot.characters]
    heard = [f"[Speaker] {shot.dialogue}"] if shot.dialogue else []
    heard += [f"[Sound Effect] {shot.notes}"] if shot.notes else []
    return {
        "idx": index,
        "is_last": index == len(board.shots) - 1,
        "cam_idx": camera,
        "visual_desc": " ".join(part for part in (first, _said(shot.motion)) if part),
        "variation_type": "medium" if both else "small",
        "variation_reason": "The board asks for a last frame." if both else "The board asks for a first frame only.",
        "ff_desc": first,
        "ff_vis_char_idxs": seen,
        "lf_desc": last,
        "lf_vis_char_idxs": seen,
        "motion_desc": _said(shot.motion),
        "audio_desc": " ".join(heard),
    }


VIMAX = ToolFormat("vimax", find, read, write, fill)
