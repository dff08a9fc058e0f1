"""ArcReel: `scripts/episode_N.json` beside `project.json`; pictures in `storyboards/` and `end_frames/`.

In: an episode's script, a project folder with one. Out: a Project; `scene_ID.png` files, and in the script the fields
that ArcReel keeps for them: `generated_assets` and `end_frame_image`. Format as in github.com/ArcReel/ArcReel, commit
f8c1ffd (2026-08-22). Never in here: any other field of theirs; reference videos, which have no storyboard pictures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
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

PROJECT = "project.json"
ID = re.compile(r"E(?P<episode>\d+)S(?P<shot>\d+)(?:_(?P<part>\d+))?")
SCRIPT = re.compile(r"episode_\d+\.json")
CAMERA = re.compile(r"\s*\(camera: (?P<motion>[A-Za-z ]+)\)$")
SPOKEN = re.compile(r"(?P<speaker>[^:：\n]{1,40})[:：]\s*(?P<text>.+)")


def find(path: Path) -> Path | None:
    """The script: itself, or the only one of a project folder."""
    if path.is_dir():
        scripts = [one for one in sorted((path / "scripts").glob("episode_*.json")) if SCRIPT.fullmatch(one.name)]
        path = scripts[0] if len(scripts) == 1 else path
    if path.suffix.lower() != ".json":
        return None
    return path if _kind(table(plain_json(path))) else None


def read(path: Path) -> Project:
    """The board of an episode; names of characters, places and things are looked up in project.json."""
    script = table(plain_json(path))
    kind = _kind(script)
    if kind is None or kind == "video_units":
        raise broken(path, "arcreel-units")
    folder = path.parent.parent if path.parent.name == "scripts" else path.parent
    home = table(plain_json(folder / PROJECT))
    items = [table(item) for item in listed(script[kind])]
    names = vocabulary("arcreel")["kinds"][kind]
    shots = list(_shots(path, items, names))
    data = known(
        project=shown_id(words(script.get("title")) or folder.name)[:60],
        title=words(script.get("title")),
        ratio=_ratio(home.get("aspect_ratio")),
        style=known(art_style=words(home.get("style"))[:200]),
        shots=shots,
        **_elements(home, shots),
    )
    theirs = tuple(
        TheirShot(shot["id"], words(item[names["id"]]), path.name) for shot, item in zip(shots, items, strict=True)
    )
    return Project("arcreel", path, folder, data, theirs, left_in_file("arcreel", items))


def fill(project: Project, filling: Filling) -> Filled:
    """The pictures, then the script that names them; nothing else in it changes."""
    files: Mapping[str, str] = vocabulary("arcreel")["files"]
    pairs = [
        (keyframe, project.folder / files[keyframe.role].format(id=shot.theirs))
        for shot in project.shots
        for keyframe in filling.keyframes.get(shot.id, ())
        if keyframe.role in files
    ]
    filled = put_all(pairs, project.folder, replace=filling.replace)
    script = table(plain_json(project.source))
    before = json.dumps(script)
    _note(script, {path.relative_to(project.folder).as_posix() for path in filled.written})
    if json.dumps(script) != before:
        write_json(project.source, script)
        return Filled((*filled.written, project.source), filled.kept)
    return filled


def write(new: NewProject) -> Path:
    """project.json and scripts/episode_1.json of a drama."""
    board = new.board
    write_json(new.folder / PROJECT, _their_project(board))
    path = new.folder / "scripts" / "episode_1.json"
    scenes = [_their_scene(index, shot, board) for index, shot in enumerate(board.shots, 1)]
    title = _said(board.title) or board.project
    novel = {"title": title, "chapter": "第1集"}
    write_json(path, {"title": title, "content_mode": "drama", "novel": novel, "scenes": scenes})
    return path


def _kind(script: Mapping[str, Any]) -> str | None:
    """The list that holds the shots: scenes, segments, shots; video_units for a script without pictures."""
    kinds: Mapping[str, Mapping[str, str]] = vocabulary("arcreel")["kinds"]
    for kind, names in kinds.items():
        first = table(next(iter(listed(script.get(kind))), None))
        if names["id"] in first and "image_prompt" in first:
            return kind
    return "video_units" if "unit_id" in table(next(iter(listed(script.get("video_units"))), None)) else None


def _ratio(written: Any) -> str | None:
    """`9:16`, also where an older project keeps one for each kind of picture."""
    ratio = words(written) or words(table(written).get("storyboard"))
    return ratio if re.fullmatch(r"[1-9]\d{0,3}:[1-9]\d{0,3}", ratio) else None


def _shots(path: Path, items: list[dict[str, Any]], names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    scene = 1
    for number, item in enumerate(items):
        match = ID.fullmatch(words(item.get(names["id"])))
        prompt = item.get("image_prompt")
        if match is None or not (words(prompt) or words(table(prompt).get("scene"))):
            raise broken(path, "arcreel-shot", got=item.get(names["id"]), number=number + 1)
        scene += 1 if number and item.get("segment_break") is True else 0
        shot = int(match["shot"]) * 10 + int(match["part"] or 0)
        yield _shot(f"E{int(match['episode']):02}_SC{scene:02}_SH{shot:03}", item, names)


def _shot(shot_id: str, item: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    prompt, video = table(item.get("image_prompt")), table(item.get("video_prompt"))
    framing = table(prompt.get("composition"))
    places = [shown_id(words(name)) for name in listed(item.get("scenes")) if words(name)]
    light = words(framing.get("lighting"))[:200]
    return known(
        id=shot_id,
        scene=places[0] if places else None,
        characters=_ids(item.get(names["characters"])),
        props=_ids(item.get("props")),
        products=_ids(item.get("products_in_shot")),
        action=words(prompt.get("scene")) or words(item.get("image_prompt")),
        **_framing(words(framing.get("shot_type"))),
        lighting=[light] if light else [],
        mood=words(framing.get("ambiance"))[:200],
        motion=_motion(video) or words(item.get("video_prompt")),
        dialogue=_dialogue(item, video),
        duration=item.get("duration_seconds"),
        notes=words(item.get("note")),
    )


def _ids(named: Any) -> list[str]:
    return list(dict.fromkeys(shown_id(words(name)) for name in listed(named) if words(name)))


def _framing(written: str) -> dict[str, str]:
    """A shot type is a size or an angle of ours; an unknown one is taken as a size, in its own words."""
    angle = vocabulary("arcreel")["camera_angles"].get(written)
    return {"camera_angle": angle} if angle else known(shot_size=_sizes().get(written, written[:200]))


def _sizes() -> Mapping[str, str]:
    sizes: Mapping[str, str] = vocabulary("arcreel")["shot_sizes"]
    return sizes


def _motion(video: Mapping[str, Any]) -> str:
    camera = words(video.get("camera_motion"))
    action = words(video.get("action"))
    return f"{action} (camera: {camera})" if camera and camera != "Static" else action


def _dialogue(item: Mapping[str, Any], video: Mapping[str, Any]) -> str:
    """What is said in the shot: in order, `speaker: words`; a voice without a face has no speaker."""
    lines = [(words(one.get("speaker")), words(one.get("text"))) for one in map(table, listed(item.get("utterances")))]
    if not lines:
        spoken = map(table, listed(video.get("dialogue")))
        lines = [(words(one.get("speaker")), words(one.get("line"))) for one in spoken]
        lines += [("", words(item.get("voiceover_text")))]
    return "\n".join(f"{speaker}: {text}" if speaker else text for speaker, text in lines if text)


def _elements(home: Mapping[str, Any], shots: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """What the project describes, and whatever the shots name beside it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for kind, sheet in vocabulary("arcreel")["sheets"].items():
        found[kind] = [_element(name, table(one), sheet) for name, one in table(home.get(kind)).items()]
        ids = {element["id"] for element in found[kind]}
        for shot in shots:
            named = [shot["scene"]] if kind == "scenes" and "scene" in shot else shot.get(kind, [])
            found[kind] += [{"id": name, "name": name} for name in named if name not in ids]
            ids |= set(named)
    return found


def _element(name: str, item: Mapping[str, Any], sheet: str) -> dict[str, Any]:
    """Described in words; its sheet is the reference picture, else the picture the user gave."""
    originals = [words(path) for path in listed(item.get("reference_images"))]
    pictures = [words(item.get(sheet)) or words(item.get("reference_image")) or next(iter(originals), "")]
    return known(
        id=shown_id(name)[:60],
        name=name,
        text=words(item.get("description")),
        references=[path for path in pictures if path],
    )


def _note(script: dict[str, Any], written: set[str]) -> None:
    """Name the new pictures in the script, as ArcReel does when it made them itself."""
    files: Mapping[str, str] = vocabulary("arcreel")["files"]
    kind = str(_kind(script))
    name = vocabulary("arcreel")["kinds"][kind]["id"]
    for item in script[kind]:
        first, last = (files[role].format(id=item[name]) for role in ("first", "last"))
        if first in written:
            empty: dict[str, Any] = dict(vocabulary("arcreel")["empty_assets"])
            assets = {**empty, **table(item.get("generated_assets")), "storyboard_image": first}
            assets["status"] = "completed" if assets.get("video_clip") else "storyboard_ready"
            item["generated_assets"] = assets
        if last in written:
            item["end_frame_image"] = last


def _said(text: Text | None) -> str:
    """The Chinese of a text, in which ArcReel's scripts are written; else what there is."""
    return (text or {}).get("zh") or next(iter((text or {}).values()), "")


def _their_project(board: Board) -> dict[str, Any]:
    described: dict[str, Any] = {
        "schema_version": vocabulary("arcreel")["schema_version"],
        "title": _said(board.title) or board.project,
        "content_mode": "drama",
        "generation_mode": "storyboard",
        "aspect_ratio": board.ratio,
        "style": str(board.style.get("art_style", "")) or board.project,
        "episodes": [
            {"episode": 1, "title": _said(board.title) or board.project, "script_file": "scripts/episode_1.json"}
        ],
    }
    for kind, sheet in vocabulary("arcreel")["sheets"].items():
        described[kind] = {
            _said(one.name) or one.id: known(
                description=_said(one.text), **{sheet: one.pictures[0].path if one.pictures else ""}
            )
            for one in getattr(board, kind)
        }
    return described


def _their_scene(index: int, shot: Shot, board: Board) -> dict[str, Any]:
    called = {one.id: _said(one.name) or one.id for one in (*board.characters, *board.scenes, *board.props)}
    before = board.shots[index - 2] if index > 1 else shot
    light = shot.brief.get("lighting", ())
    return {
        "scene_id": f"E1S{index:02}",
        "duration_seconds": max(1, min(60, round(shot.duration or vocabulary("arcreel")["seconds"]))),
        "segment_break": shot.id.split("_SH")[0] != before.id.split("_SH")[0],
        "characters_in_scene": [called[name] for name in shot.characters],
        "scenes": [called[shot.scene]] if shot.scene else [],
        "props": [called[name] for name in shot.props],
        "image_prompt": {
            "scene": _said(shot.action) or _said(shot.brief.get("subject")),
            "composition": {
                "shot_type": _shot_type(shot.brief),
                "lighting": ", ".join(light),
                "ambiance": str(shot.brief.get("mood", "")),
            },
        },
        "video_prompt": _their_motion(_said(shot.motion)),
        "utterances": [_utterance(line) for line in (shot.dialogue or "").splitlines() if line.strip()],
        "note": shot.notes,
        "generated_assets": dict(vocabulary("arcreel")["empty_assets"]),
    }


def _shot_type(brief: Mapping[str, Any]) -> str:
    """The nearest of ArcReel's shot types; a medium shot, its own default, for anything else."""
    types = {**_sizes(), **vocabulary("arcreel")["camera_angles"]}
    said = (brief.get("shot_size"), brief.get("camera_angle"))
    return next((theirs for theirs, ours in types.items() if ours in said), "Medium Shot")


def _their_motion(motion: str) -> dict[str, str]:
    camera = CAMERA.search(motion)
    return {
        "action": CAMERA.sub("", motion),
        "camera_motion": camera["motion"] if camera else "Static",
        "ambiance_audio": "",
    }


def _utterance(line: str) -> dict[str, Any]:
    spoken = SPOKEN.fullmatch(line.strip())
    if spoken is None:
        return {"kind": "voiceover", "speaker": None, "text": line.strip()}
    return {"kind": "dialogue", "speaker": spoken["speaker"].strip(), "text": spoken["text"]}


ARCREEL = ToolFormat("arcreel", find, read, write, fill)
