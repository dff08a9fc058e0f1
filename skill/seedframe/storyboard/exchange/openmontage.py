"""OpenMontage: `artifacts/scene_plan.json`; pictures in `assets/images/`, listed in `artifacts/asset_manifest.json`.

In: a scene plan. Out: a Project; pictures, and an entry for each in the asset manifest, the file that this format keeps
for them. Format as in github.com/calesthio/OpenMontage, schemas/artifacts, commit cd9f3c1 (2026-08-22).
Never in here: a change to the scene plan; scenes that are filmed or recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seedframe.messages import Message
from seedframe.storyboard.exchange.losses import left_in_file
from seedframe.storyboard.exchange.picture_files import put_all
from seedframe.storyboard.exchange.project import (
    Filled,
    Filling,
    Keyframe,
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
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.formats.cells import shown_id
from seedframe.storyboard.types import Shot, Text

PLAN, MANIFEST = "scene_plan.json", "asset_manifest.json"
SECONDS = 5.0


def find(path: Path) -> Path | None:
    """The scene plan: itself, or that of a project folder."""
    if path.is_dir():
        path = next((one for one in (path / "artifacts" / PLAN, path / PLAN) if one.is_file()), path)
    if path.suffix.lower() != ".json":
        return None
    plan = table(plain_json(path))
    first = table(next(iter(listed(plan.get("scenes"))), None))
    return path if plan.get("version") == "1.0" and {"id", "start_seconds", "description"} <= first.keys() else None


def read(path: Path) -> Project:
    """The board of a plan: a shot for every scene that is a picture; the others are filmed, recorded or cut."""
    plan = table(plain_json(path))
    known_words = vocabulary("openmontage")
    items = [table(item) for item in listed(plan["scenes"])]
    pictured = [item for item in items if item.get("type") in known_words["pictured"]]
    if not pictured:
        raise broken(path, "montage-none", types=", ".join(known_words["pictured"]))
    folder = path.parent.parent if path.parent.name == "artifacts" else path.parent
    shots = [_shot(number, item) for number, item in enumerate(pictured, 1)]
    named = dict.fromkeys(name for item in pictured for name in _characters(item))
    theirs = (
        TheirShot(shot["id"], words(item.get("id")), path.name) for shot, item in zip(shots, pictured, strict=True)
    )
    data = known(
        project=shown_id(folder.name)[:60],
        ratio=_ratio(table(plan.get("metadata"))),
        characters=[{"id": shown_id(name), "name": name} for name in named],
        shots=shots,
    )
    skipped = [words(item.get("id")) for item in items if item not in pictured]
    notices = (*_skipped(skipped), *left_in_file("openmontage", [plan, *pictured]))
    return Project("openmontage", path, folder, data, tuple(theirs), notices)


def fill(project: Project, filling: Filling) -> Filled:
    """The pictures, then their entries in the asset manifest; entries of others stay as they are."""
    names: Mapping[str, str] = vocabulary("openmontage")["files"]
    chosen = [
        (shot, keyframe, names[keyframe.role].format(id=shown_id(shot.theirs)))
        for shot in project.shots
        for keyframe in filling.keyframes.get(shot.id, ())
        if keyframe.role in names
    ]
    pairs = [(keyframe, project.folder / path) for _, keyframe, path in chosen]
    filled = put_all(pairs, project.folder, replace=filling.replace)
    written = {path.relative_to(project.folder).as_posix() for path in filled.written}
    assets = [_asset(shot, keyframe, path) for shot, keyframe, path in chosen if path in written]
    if not assets:
        return filled
    file = project.source.with_name(MANIFEST)
    manifest = table(plain_json(file)) or {"version": "1.0", "assets": []}
    new = {asset["id"] for asset in assets}
    others = [asset for asset in listed(manifest.get("assets")) if table(asset).get("id") not in new]
    write_json(file, {**manifest, "assets": [*others, *assets]})
    return Filled((*filled.written, file), filled.kept)


def write(new: NewProject) -> Path:
    """artifacts/scene_plan.json; scenes follow one another from 0."""
    start, scenes = 0.0, []
    for index, shot in enumerate(new.board.shots, 1):
        end = start + (shot.duration or SECONDS)
        scenes.append(_their_scene(index, shot, start, end))
        start = end
    path = new.folder / "artifacts" / PLAN
    plan = {"version": "1.0", "scenes": scenes, "metadata": {"aspect_ratio": new.board.ratio}}
    write_json(path, plan)
    return path


def _ratio(metadata: Mapping[str, Any]) -> str:
    """A plan names no shape; what its metadata says, else the format's usual one."""
    usual: str = vocabulary("openmontage")["ratio"]
    return words(metadata.get("aspect_ratio")) or usual


def _shot(number: int, item: Mapping[str, Any]) -> dict[str, Any]:
    language, known_words = table(item.get("shot_language")), vocabulary("openmontage")
    lens, light = language.get("lens_mm"), language.get("lighting_key")
    length = _seconds(item.get("end_seconds")) - _seconds(item.get("start_seconds"))
    camera = words(language.get("camera_movement")).replace("_", " ")
    motion = [words(item.get("movement")), f"Camera: {camera}." if camera and camera != "static" else ""]
    lines = [words(table(act).get("dialogue")) for act in listed(item.get("character_actions"))]
    return known(
        id=f"E01_SC01_SH{number * 10:03}",
        title=words(item.get("id")),
        action=words(item.get("description")),
        characters=[shown_id(name) for name in _characters(item)],
        shot_size=known_words["shot_sizes"].get(language.get("shot_size")) or words(item.get("framing"))[:200],
        lens=known_words["lenses"].get(str(lens)),
        lighting=[known_words["lights"][light]] if light in known_words["lights"] else [],
        depth_of_field=known_words["depths"].get(language.get("depth_of_field")),
        palette=[known_words["colours"][language.get("color_temperature")]]
        if language.get("color_temperature") in known_words["colours"]
        else [],
        details=_acts(item),
        material=[words(word) for word in listed(item.get("texture_keywords")) if words(word)][:12],
        motion=" ".join(part for part in motion if part),
        dialogue="\n".join(line for line in lines if line),
        duration=round(length, 3) if length > 0 else None,
        notes=words(item.get("shot_intent")),
    )


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _characters(item: Mapping[str, Any]) -> list[str]:
    acts = map(table, listed(item.get("character_actions")))
    return list(dict.fromkeys(words(act.get("character_id")) for act in acts if words(act.get("character_id"))))


def _acts(item: Mapping[str, Any]) -> list[str]:
    """What each character does at the beginning of the scene: the moment that the keyframe shows."""
    found = []
    for act in map(table, listed(item.get("character_actions"))):
        first = words(next(iter(listed(act.get("action_sequence"))), None))
        feeling = words(act.get("emotion"))
        said = ", ".join(part for part in (first, feeling) if part)
        found += [f"{words(act.get('character_id'))}: {said}"] if said else []
    return found


def _skipped(ids: list[str]) -> tuple[BoardFinding, ...]:
    if not ids:
        return ()
    message = Message("exchange.montage-skipped", scenes=", ".join(ids[:10]), count=len(ids))
    return (BoardFinding("SCENES_SKIPPED", "info", message),)


def _asset(shot: TheirShot, keyframe: Keyframe, path: str) -> dict[str, Any]:
    facts = keyframe.facts
    cost = table(facts.get("cost"))
    return known(
        id=f"seedframe-{shown_id(shot.theirs)}-{keyframe.role}",
        type="image",
        path=path,
        source_tool="seedframe",
        scene_id=shot.theirs,
        prompt=facts.get("prompt"),
        model=facts.get("model"),
        provider=facts.get("backend"),
        cost_usd=cost.get("amount") if cost.get("currency") == "USD" else None,
        resolution=f"{facts['width']}x{facts['height']}" if facts.get("width") else None,
        format=Path(path).suffix.removeprefix("."),
        subtype=f"{keyframe.role}_frame",
    )


def _said(text: Text | None) -> str:
    return (text or {}).get("en") or next(iter((text or {}).values()), "")


def _their_scene(index: int, shot: Shot, start: float, end: float) -> dict[str, Any]:
    known_words, brief = vocabulary("openmontage"), shot.brief
    language = known(
        shot_size=_theirs(known_words["shot_sizes"], brief.get("shot_size")),
        lighting_key=_theirs(known_words["lights"], next(iter(brief.get("lighting", ())), None)),
        depth_of_field=_theirs(known_words["depths"], brief.get("depth_of_field")),
        color_temperature=_theirs(known_words["colours"], next(iter(brief.get("palette", ())), None)),
    )
    acts = [
        known(character_id=name, action_sequence=[_said(shot.action) or "in the picture"]) for name in shot.characters
    ]
    return known(
        id=_said(shot.title) or f"scene-{index}",
        type="generated",
        description=_said(shot.action) or _said(brief.get("subject")),
        shot_language=language,
        movement=_said(shot.motion),
        shot_intent=shot.notes,
        character_actions=acts,
    ) | {"start_seconds": start, "end_seconds": end}


def _theirs(words_of: Mapping[str, str], ours: Any) -> str | None:
    return next((theirs for theirs, same in words_of.items() if same == ours), None)


OPENMONTAGE = ToolFormat("openmontage", find, read, write, fill)
