"""A board file becomes a Board, or an error that names file, line and column.

In: a path or a text (JSON, YAML 1.2, Markdown, CSV, xlsx, Fountain, numbered sentences), or a project of another tool
(`exchange/`).
Out: a checked, frozen `Board`; back again as JSON.
Never in here: prompts, prices, requests, whether a reference picture exists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from seedframe.geometry import Size, ratio_text
from seedframe.messages import Message
from seedframe.storyboard.exchange import TOOLS, project_at
from seedframe.storyboard.formats import is_workbook, read_document, read_workbook
from seedframe.storyboard.formats.document import Document, Place, refusal
from seedframe.storyboard.mentions import bind_named
from seedframe.storyboard.schema import check_schema, schema_named
from seedframe.storyboard.types import LOOK, WORDS, Board, BoardPicture, Character, Element, Scene, Shot, Text
from seedframe.storyboard.validate import validate_references
from seedframe.storyboard.wording import text_of

__all__ = ["Board", "Character", "Element", "Scene", "Shot", "board_schema", "board_to_json", "example", "read_board"]

BOARD_SCHEMA = "seedframe/board/1"
LISTS = ("composition", "lighting", "palette", "material")
TEXTS = ("details", "must_keep", "avoid")


def read_board(path: Path | str, *, text: str | None = None) -> Board:
    """The board of a file, or of `text` with `path` as its name; its extension or its content gives the format.

    InvalidRequest for anything wrong with it: `field` is e.g. "line 7, column 3 (景别)".
    FileNotFoundError and other OSErrors pass through.
    """
    path = Path(path)
    theirs = project_at(path) if text is None else None
    document = theirs.document() if theirs else _document(path, text)
    check_schema("board", document)
    validate_references(document)
    return bind_named(_board(document, str(theirs.folder if theirs else path.parent)))


def board_schema() -> dict[str, Any]:
    """The published JSON Schema (2020-12) of a board."""
    return schema_named("board")


@cache
def example(form: str) -> str:
    """The text of the example board: `yaml` (with comments) or `json`."""
    return (files("seedframe") / "data" / "storyboard" / f"example.{form}").read_text(encoding="utf-8")


def board_to_json(board: Board) -> dict[str, Any]:
    """The canonical dict: reads back as the same board. Defaults and empty fields are left out, `chain` is resolved."""
    whole = {
        "schema": BOARD_SCHEMA,
        "project": board.project,
        "title": board.title,
        "ratio": board.ratio,
        "model": board.model,
        "size": board.size,
        "resolution": board.resolution,
        "seed": board.seed,
        "seedance": board.seedance,
        "realistic_people": None if board.realistic_people else False,
        "strict": board.strict or None,
        "style": board.style,
        "characters": [_element_json(item) for item in board.characters],
        "products": [_element_json(item) for item in board.products],
        "scenes": [_element_json(item) for item in board.scenes],
        "props": [_element_json(item) for item in board.props],
        "shots": [_shot_json(shot) for shot in board.shots],
        "notes": board.notes,
    }
    copied: dict[str, Any] = json.loads(json.dumps(_kept(whole)))
    return copied


def _document(path: Path, text: str | None) -> Document:
    if text is None and path.is_dir():
        raise refusal(path.name, Place(1, 1), Message("exchange.no-project"), got=str(path), allowed=sorted(TOOLS))
    if text is None and is_workbook(path.name):
        return read_workbook(path.read_bytes(), path.name)
    text = _decoded(path.read_bytes(), path.name) if text is None else text
    return read_document(text.removeprefix("\ufeff"), path.name)


def _decoded(content: bytes, name: str) -> str:
    """UTF-8; else the Chinese encoding a spreadsheet saves in, when it fits without loss."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        broken = error
    try:
        return content.decode("gb18030")
    except UnicodeDecodeError:
        line = content.count(b"\n", 0, broken.start) + 1
        column = broken.start - content.rfind(b"\n", 0, broken.start)
        raise refusal(name, Place(line, column), Message("storyboard.not-utf8"), allowed="UTF-8") from broken


def _board(document: Document, folder: str) -> Board:
    data = document.data
    defaults = {"takes": data.get("takes", 1)}
    scenes = tuple(_scene(item) for item in data.get("scenes", ()))
    return Board(
        project=data["project"],
        shots=tuple(_shots(data["shots"], defaults, chain=data.get("chain", False))),
        title=_text(data.get("title")),
        ratio=data.get("ratio") or _ratio_of(data.get("size")),
        model=data.get("model"),
        size=data.get("size", "").lower().replace("×", "x").replace("*", "x") or None,
        resolution=data.get("resolution"),
        seed=data.get("seed"),
        seedance=data.get("seedance", "2.0"),
        realistic_people=data.get("realistic_people", True),
        strict=data.get("strict", False),
        style=_parts(data.get("style", {})),
        characters=tuple(
            Character(*_element_fields(item), kind=item.get("kind", "person"), asset=item.get("asset"))
            for item in data.get("characters", ())
        ),
        products=tuple(Element(*_element_fields(item)) for item in data.get("products", ())),
        scenes=scenes,
        props=tuple(Element(*_element_fields(item)) for item in data.get("props", ())),
        notes=data.get("notes"),
        folder=folder,
        notices=document.notices,
    )


def _ratio_of(size: str | None) -> str:
    """The ratio of a board that gives only pixels; 9:16, the usual one of videos, when it gives neither."""
    return ratio_text(Size.parse(size).ratio) if size else "9:16"


def _element_fields(item: Mapping[str, Any]) -> tuple[str, Text | None, Text | None, tuple[BoardPicture, ...]]:
    pictures = tuple(_picture(entry) for entry in _listed(item.get("references")))
    return item["id"], _text(item.get("name")), _text(item.get("text")), pictures


def _picture(entry: str | Mapping[str, Any]) -> BoardPicture:
    if isinstance(entry, str):
        return BoardPicture(entry)
    return BoardPicture(entry["path"], entry.get("role"), _text(entry.get("take")))


def _scene(item: Mapping[str, Any]) -> Scene:
    return Scene(
        *_element_fields(item), left=_text(item.get("left")), right=_text(item.get("right")), look=_parts(item, LOOK)
    )


def _shots(items: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any], *, chain: bool) -> Iterator[Shot]:
    before: Mapping[str, Any] | None = None
    for item in items:
        follows = chain and before is not None and _stays(before, item)
        yield _shot({**defaults, **({"prev": before["id"]} if before and follows else {}), **item})
        before = item


def _stays(before: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    return before.get("scene") == item.get("scene") and before["id"].split("_SH")[0] == item["id"].split("_SH")[0]


def _shot(item: Mapping[str, Any]) -> Shot:
    plain = ("face", "direction", "dialogue", "duration", "model", "seed", "notes", "prev", "scene")
    texts = ("title", "wardrobe", "prop_state", "light", "motion")
    given: dict[str, Any] = {name: _text(item.get(name)) for name in texts}
    return Shot(
        id=item["id"],
        characters=tuple(_listed(item.get("characters"))),
        products=tuple(_listed(item.get("products"))),
        props=tuple(_listed(item.get("props"))),
        brief=_parts(item),
        last=_parts(item.get("last", {})),
        frames=tuple(role for role in ("first", "last", "ref") if role in item.get("frames", ["first"])),
        takes=item["takes"],
        reverse=item.get("reverse", False),
        positions=dict(item.get("positions", {})),
        **{name: item.get(name) for name in plain},
        **given,
    )


def _parts(item: Mapping[str, Any], names: Sequence[str] = (*WORDS, *LOOK)) -> dict[str, Any]:
    """The brief parts among the fields, in one shape: texts as {zh, en}, list fields as lists."""
    return {name: _part(name, item[name]) for name in names if name in item}


def _part(name: str, value: Any) -> Any:
    if name in TEXTS:
        return [text_of(entry) for entry in _listed(value)]
    if name in LISTS:
        return list(_listed(value))
    if name == "text":
        return [{**entry, **({"where": text_of(entry["where"])} if "where" in entry else {})} for entry in value]
    return text_of(value) if name in ("subject", "action", "setting") else value


def _listed(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> Text | None:
    return None if value is None else text_of(value)


def _element_json(item: Element) -> dict[str, Any]:
    pictures = [_kept({"path": p.path, "role": p.role, "take": p.take}) for p in item.pictures]
    described = {"id": item.id, "name": item.name, "text": item.text, "references": pictures}
    if isinstance(item, Scene):
        return _kept({**described, "left": item.left, "right": item.right, **item.look})
    if isinstance(item, Character):
        return _kept({**described, "kind": None if item.kind == "person" else item.kind, "asset": item.asset})
    return _kept(described)


def _shot_json(shot: Shot) -> dict[str, Any]:
    first = ("id", "title", "scene", "characters", "products", "props")
    then = ("last", "prev", "positions", "direction", "wardrobe", "prop_state", "light", "motion", "dialogue")
    after = ("duration", "model", "seed", "notes")
    frames = None if shot.frames == ("first",) else shot.frames
    switches = {
        "frames": frames,
        "takes": shot.takes if shot.takes > 1 else None,
        "reverse": shot.reverse or None,
        "face": shot.face,
    }
    named = [{name: getattr(shot, name) for name in names} for names in (first, (*then, *after))]
    return _kept({**named[0], **shot.brief, **switches, **named[1]})


def _kept(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None and value not in ((), [], {})}
