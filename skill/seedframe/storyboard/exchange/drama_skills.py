"""drama-skills: `分镜.md` of an episode, each shot with its frozen keyframe's prompt; pictures in `制作成果/images/`.

In: that document (with `视频提示词.md` beside it, for what moves). Out: a Project; `SHOT-…-start.png` files; the
document is never written to. Format as in github.com/zenstory-ai/drama-skills, 2026-10. The prompt of a keyframe is
whole, so nothing is added to it: who is in it is known from its own words.
Never in here: a job of its production tool (`seedframe adapter drama-skills`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seedframe.messages import Message
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
    plain_text,
    vocabulary,
)
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.formats.cells import shown_id
from seedframe.storyboard.types import Shot, Text

STORYBOARD, VIDEO = "分镜.md", "视频提示词.md"
SHOT = re.compile(r"^## (?P<id>SHOT-(?:EP(?P<episode>\d+)-)?(?P<number>\d+)(?P<insert>[A-Z])?)(?: · (?P<title>.+))?$")
MOTION = re.compile(r"^## (?P<id>MOTION-\S+)(?: · .+)?$")
FIELD = re.compile(r"^- (?P<name>[^：]{1,12})：(?P<value>.+)$")
PROMPT = re.compile(r"^### (?:冻结关键帧提示词|可复制(?:通用)?提示词)\s*$")
SCENE = re.compile(r"EP\d+-SC(\d+)")
SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*s?")
REFERENCE = re.compile(
    r"REF-(?P<slot>[A-Za-z0-9][A-Za-z0-9-]*)（顺序：(?P<order>\d+)）· (?P<path>[^；\n《]+?)《(?P<label>[^》\n]+)》"
    r"（(?:用途：(?P<use>[^；）\n]+)；)?控制：(?P<may>[^；）\n]+)；不得控制：(?P<not>[^）\n]+)）"
)
PLANNED = re.compile(r"PLAN-[A-Za-z0-9-]+（顺序：")
RATIO = re.compile(r"(?<!\d)(\d{1,2}[:：]\d{1,2})(?!\d)")
INSERT_BASE = ord("A") - 1


def find(path: Path) -> Path | None:
    """The document: itself, or the only one of an episode or a project folder."""
    if path.is_dir():
        found = [*path.glob(STORYBOARD), *path.glob(f"剧集/EP*/{STORYBOARD}"), *path.glob(f"episodes/EP*/{STORYBOARD}")]
        path = found[0] if len(found) == 1 else path
    if path.suffix.lower() != ".md":
        return None
    text = plain_text(path) or ""
    lines = text.splitlines()
    return path if any(map(SHOT.match, lines)) and "### 冻结关键帧提示词" in text else None


def read(path: Path) -> Project:
    """The board of an episode: one first frame for each shot, from its prompt and its bound pictures."""
    entries = list(_entries(plain_text(path) or "", SHOT))
    motions = _motions(path.with_name(VIDEO))
    folder = _root(path)
    shots, theirs = [], []
    props: dict[str, dict[str, Any]] = {}
    for match, fields, prompt in entries:
        if not prompt:
            raise broken(path, "drama-prompt", shot=match["id"])
        own = vocabulary("drama-skills")["own_frames"]
        given = REFERENCE.finditer(fields.get("输入参考图", ""))
        bound = [_prop(found) for found in given if found["use"] not in own]
        props |= {prop["id"]: prop for prop in bound}
        shots.append(_shot(match, fields, prompt, [prop["id"] for prop in bound], motions.get(match["id"])))
        theirs.append(TheirShot(shots[-1]["id"], match["id"], path.name))
    ratio = next((found[1].replace("：", ":") for *_, prompt in entries if (found := RATIO.search(prompt))), "9:16")
    data = known(project=_project_name(path), ratio=ratio, props=list(props.values()), shots=shots)
    return Project("drama-skills", path, folder, data, tuple(theirs), _notices(entries))


def fill(project: Project, filling: Filling) -> Filled:
    """The keyframes beside the episode, under the names its own runs use."""
    names: Mapping[str, str] = vocabulary("drama-skills")["files"]
    images = project.source.parent / vocabulary("drama-skills")["images"]
    pairs = [
        (keyframe, images / names[keyframe.role].format(id=shot.theirs))
        for shot in project.shots
        for keyframe in filling.keyframes.get(shot.id, ())
        if keyframe.role in names
    ]
    return put_all(pairs, project.folder, replace=filling.replace)


def write(new: NewProject) -> Path:
    """剧集/EP001/分镜.md, and 视频提示词.md where something moves."""
    episode = new.folder / "剧集" / "EP001"
    episode.mkdir(parents=True, exist_ok=True)
    shots = [(f"EP001-{number:03}", shot) for number, shot in enumerate(new.board.shots, 1)]
    title = _said(new.board.title) or new.board.project
    parts = [f"# EP001 {title} · 分镜", *(_their_shot(id, shot, new) for id, shot in shots)]
    path = episode / STORYBOARD
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    moving = [_their_motion(id, shot) for id, shot in shots if shot.motion]
    if moving:
        text = "\n\n".join([f"# EP001 {title} · 视频提示词", *moving])
        (episode / VIDEO).write_text(f"{text}\n", encoding="utf-8")
    return path


def _entries(text: str, heading: re.Pattern[str]) -> Iterator[tuple[re.Match[str], dict[str, str], str]]:
    """(heading, fields, copyable prompt) of every entry."""
    match: re.Match[str] | None = None
    fields: dict[str, str] = {}
    quoted: list[str] = []
    in_prompt = False
    for line in [*text.splitlines(), "## "]:
        if line.startswith("## "):
            if match is not None:
                yield match, fields, "\n".join(quoted).strip()
            match, fields, quoted, in_prompt = heading.match(line.rstrip()), {}, [], False
        elif line.startswith("### "):
            in_prompt = PROMPT.match(line) is not None
        elif in_prompt and line.startswith(">"):
            quoted.append(line.removeprefix(">").strip())
        elif not in_prompt and (field := FIELD.match(line.rstrip())):
            fields.setdefault(field["name"], field["value"].strip())


def _motions(path: Path) -> dict[str, str]:
    """What moves in each shot, from the document of the video step."""
    entries = _entries(plain_text(path) or "", MOTION)
    return {fields["分镜"]: prompt for _, fields, prompt in entries if prompt and "分镜" in fields}


def _root(path: Path) -> Path:
    """Paths of pictures are written from the project's folder, which holds short-drama.json or 剧集."""
    for folder in path.parents:
        if (folder / "short-drama.json").is_file() or folder.name in ("剧集", "episodes"):
            return folder if (folder / "short-drama.json").is_file() else folder.parent
    return path.parent


def _project_name(path: Path) -> str:
    return shown_id(f"{_root(path).name}_{path.parent.name}")[:60]


def _shot(
    match: re.Match[str], fields: Mapping[str, str], prompt: str, props: list[str], motion: str | None
) -> dict[str, Any]:
    scene = SCENE.search(fields.get("来源", ""))
    insert = ord(match["insert"]) - INSERT_BASE if match["insert"] else 0
    seconds = SECONDS.match(fields.get("时长", ""))
    number = int(match["number"]) * 10 + insert
    lines = [f"{name}：{fields[name]}" for name in ("目的", "景别/机位", "起点", "终点", "声音") if name in fields]
    return known(
        id=f"E{int(match['episode'] or 1):02}_SC{int(scene[1]) if scene else 1:02}_SH{number:03}",
        title=match["title"],
        props=props,
        action=prompt,
        motion=motion,
        duration=float(seconds[1]) if seconds else None,
        notes="\n".join(lines),
    )


def _prop(found: re.Match[str]) -> dict[str, Any]:
    """A bound picture, with what it may and may not decide, in the document's own words."""
    take = f"只取{found['may']}，不取{found['not']}"
    return {
        "id": shown_id(found["slot"])[:60],
        "name": found["label"],
        "text": found["label"],
        "references": [{"path": found["path"].strip(), "take": {"zh": take}}],
    }


def _notices(entries: list[tuple[re.Match[str], dict[str, str], str]]) -> tuple[BoardFinding, ...]:
    planned = [match["id"] for match, fields, _ in entries if PLANNED.search(fields.get("输入参考图", ""))]
    if not planned:
        return ()
    message = Message("exchange.drama-planned", shots=", ".join(planned[:5]), count=len(planned))
    return (BoardFinding("REFERENCES_PLANNED", "warning", message),)


def _said(text: Text | None) -> str:
    return (text or {}).get("zh") or next(iter((text or {}).values()), "")


def _their_shot(id: str, shot: Shot, new: NewProject) -> str:
    scene = shot.id.split("_SH")[0].split("_SC")[1]
    prompt = new.prompts.get(shot.id) or _said(shot.action) or _said(shot.brief.get("subject"))
    fields = {
        "来源": f"EP001-SC{int(scene):03}",
        "时长": f"{round(shot.duration)}s" if shot.duration else "",
        "目的": (shot.notes or "").replace("\n", " "),
        "图片提示词项": "无",
        "输入参考图": "无",
        "声音": (shot.dialogue or "").replace("\n", "；"),
    }
    lines = [f"- {name}：{value}" for name, value in fields.items() if value]
    quoted = "\n".join(f"> {line}" for line in prompt.splitlines())
    title = _said(shot.title) or shot.id
    return "\n".join([f"## SHOT-{id} · {title}", "", *lines, "", "### 冻结关键帧提示词", "", quoted])


def _their_motion(id: str, shot: Shot) -> str:
    quoted = "\n".join(f"> {line}" for line in _said(shot.motion).splitlines())
    lines = [f"- 分镜：SHOT-{id}", f"- 时长：{round(shot.duration)}s" if shot.duration else ""]
    title = _said(shot.title) or shot.id
    return "\n".join(
        [f"## MOTION-{id} · {title}", "", *(line for line in lines if line), "", "### 可复制提示词", "", quoted]
    )


DRAMA_SKILLS = ToolFormat("drama-skills", find, read, write, fill)
