"""What keeps the shots of one story consistent, and findings where they are not.

In: a Board. Out: identity sentences byte for byte, fixed words for left and right, references in one order, findings.
Reference order: product → character → scene → prop → previous frame, which a scene change drops.
Never in here: prompts (prompting), pictures, payments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from seedframe.messages import Message
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.mentions import ARTICLE, CODE
from seedframe.storyboard.names import frame_key, frame_slot
from seedframe.storyboard.types import Board, Character, Element, ElementKind, Role, Scene, Shot, Text
from seedframe.storyboard.wording import HAN, filled, joined, text_of, wording

CLOSE_SIZES = ("insert", "macro", "extreme_close", "插入", "微距", "大特写", "物件特写")
"""Shot sizes that show a detail: no face, and no need for the whole identity sentence."""

ONE_STYLE = ("art_style", "film_medium", "palette")
"""Fields of the look that a board should set once."""

OPPOSITE = {"left": "right", "right": "left"}


@dataclass(frozen=True, slots=True)
class ShotReference:
    """One input picture of a frame: `path` on disk (or URL), or `frame`, the key of a frame made before it."""

    role: str
    path: str | None = None
    frame: str | None = None
    take: Text | None = None


@dataclass(frozen=True, slots=True)
class Cast:
    """Elements of a board by id, looked up once for all shots."""

    characters: Mapping[str, Character]
    products: Mapping[str, Element]
    scenes: Mapping[str, Scene]
    props: Mapping[str, Element]
    shots: Mapping[str, Shot]

    @classmethod
    def of(cls, board: Board) -> Cast:
        """The lookup for a board."""
        return cls(
            {item.id: item for item in board.characters},
            {item.id: item for item in board.products},
            {item.id: item for item in board.scenes},
            {item.id: item for item in board.props},
            {shot.id: shot for shot in board.shots},
        )

    def seen(self, shot: Shot) -> list[tuple[ElementKind, Element]]:
        """What a shot shows, in reference order."""
        scene: list[tuple[ElementKind, Element]] = [("scene", self.scenes[shot.scene])] if shot.scene else []
        return [
            *(("product", self.products[name]) for name in shot.products),
            *(("character", self.characters[name]) for name in shot.characters),
            *scene,
            *(("prop", self.props[name]) for name in shot.props),
        ]


def identity(element: Element) -> Text:
    """The identity sentence of an element, byte for byte; its name or id when it has none."""
    return element.text or element.name or text_of(element.id)


def named_identity(element: Element) -> Text:
    """The identity sentence under the element's name, so that later mentions of the name refer to it.

    A sentence that contains the name already, or an element without a name, stays as it is.
    """
    sentence, words = identity(element), wording()
    return {
        language: text
        if not (name := name_in(element, language)) or name.casefold() in text.casefold()
        else words["named"][language].format(name=name, text=text)
        for language, text in sentence.items()
    }


def name_in(element: Element, language: str) -> str | None:
    """The name of an element in a language; its id where that reads like a name."""
    name = (element.name or {}).get(language)
    if name:
        return ARTICLE.sub("", name, count=1) if language == "en" else name
    own = None if CODE.fullmatch(element.id) or element.name else element.id.replace("_", " ")
    return own if own and ("zh" if HAN.search(own) else "en") == language else None


def setting_words(scene: Scene, *, reverse: bool) -> Text:
    """The place in fixed words: its sentence, then what is on the left, then on the right (swapped on a reverse)."""
    left, right = (scene.right, scene.left) if reverse else (scene.left, scene.right)
    layout = wording()["layout"]
    sides = [filled(layout["left"], left=left)] if left else []
    sides += [filled(layout["right"], right=right)] if right else []
    return joined([identity(scene), *sides], layout["join"]) or identity(scene)


def position_words(cast: Cast, shot: Shot) -> list[Text]:
    """Who stands where, one fixed sentence each, in the order of the shot's characters."""
    places = [(cast.characters[name], shot.positions[name]) for name in shot.characters if name in shot.positions]
    words = wording()
    return [filled(words["position"][side], name=who.name or words["someone"]) for who, side in places]


def same_place(shot: Shot, other: Shot) -> bool:
    """No scene change between the two: same scene, same scene number in the id."""
    return shot.scene == other.scene and shot.id.split("_SH")[0] == other.id.split("_SH")[0]


def previous_frame(cast: Cast, shot: Shot, role: Role, picks: Mapping[str, str]) -> tuple[str, Text | None] | None:
    """Key of the earlier frame that is the last reference, and what to take from it; None when there is none.

    A last frame follows its own shot's first frame. A first frame follows `prev`: its last frame if it has one, dropped
    when the scene changes. Reference frames follow nothing. `picks` maps a slot to the key that was picked for it.
    """
    if role == "last" and "first" in shot.frames:
        slot = frame_slot(shot.id, "first")
        return picks.get(slot, frame_key(shot.id, "first", 1)), wording()["own_first_frame"]
    prev = cast.shots[shot.prev] if shot.prev else None
    if role == "ref" or prev is None or not same_place(prev, shot):
        return None
    source = next(role for role in ("last", "first", "ref") if role in prev.frames)
    return picks.get(frame_slot(prev.id, source), frame_key(prev.id, source, 1)), None


def references(cast: Cast, shot: Shot, role: Role, picks: Mapping[str, str]) -> tuple[ShotReference, ...]:
    """All input pictures of a frame in their fixed order."""
    seen = cast.seen(shot)
    pictured = [kind for kind, element in seen if element.pictures]
    found: list[ShotReference] = []
    for kind, element in seen:
        for picture in element.pictures:
            # With two characters pictured, "the character of image 1" no longer says which of them.
            named = element.name and pictured.count(kind) > 1 and not picture.role and kind in wording()["take"]
            take = filled(wording()["take"][kind], name=element.name) if named and element.name else None
            found.append(ShotReference(picture.role or kind, path=picture.path, take=picture.take or take))
    before = previous_frame(cast, shot, role, picks)
    if before:
        found.append(ShotReference("previous_frame", frame=before[0], take=before[1]))
    return tuple(found)


def face_visible(cast: Cast, shot: Shot) -> bool:
    """Whether a human face can be expected: as the shot says, else when it shows a person and is not a detail."""
    if shot.face is not None:
        return shot.face
    return not is_detail(shot) and any(cast.characters[name].kind == "person" for name in shot.characters)


def is_detail(shot: Shot) -> bool:
    """Whether the shot size shows a detail only."""
    size = str(shot.brief.get("shot_size", "")).lower().replace("-", "_").replace(" ", "_")
    return any(word in size for word in CLOSE_SIZES)


def continuity_findings(board: Board) -> tuple[BoardFinding, ...]:
    """Every inconsistency of the board, in story order; the reader's notices come first."""
    cast = Cast.of(board)
    found = [*board.notices, *_elements(board)]
    for shot in board.shots:
        found += [*_identity(cast, shot), *_style(board, cast, shot), *_sides(cast, shot), *_prev(cast, shot)]
    for before, shot in pairwise(board.shots):
        if same_place(before, shot):
            found += [*_flips(before, shot), *_states(cast, before, shot), *_jump(before, shot)]
    return tuple(found)


def _elements(board: Board) -> Iterator[BoardFinding]:
    names: dict[str, Element] = {}
    for element in (*board.characters, *board.products, *board.scenes, *board.props):
        if element.text is None:
            yield BoardFinding("CONT_UNDESCRIBED", "warning", Message("storyboard.undescribed", id=element.id))
        for name in (element.name or {}).values():
            other = names.setdefault(name, element)
            if other is not element and other.text != element.text:
                message = Message("storyboard.two-identities", name=name, first=other.id, second=element.id)
                yield BoardFinding("CONT_IDENTITY", "warning", message)


def _identity(cast: Cast, shot: Shot) -> Iterator[BoardFinding]:
    for part, brief in (("subject", shot.brief), ("last.subject", shot.last)):
        own: Text | None = brief.get("subject")
        if own is None:
            continue
        for name in shot.characters:
            sentence = identity(cast.characters[name])
            if not all(sentence[lang] in own[lang] for lang in own.keys() & sentence.keys()):
                message = Message("storyboard.identity-differs", id=name, part=part)
                yield BoardFinding("CONT_IDENTITY", "info" if is_detail(shot) else "warning", message, shot.id)


def _style(board: Board, cast: Cast, shot: Shot) -> Iterator[BoardFinding]:
    scene: Mapping[str, Any] = cast.scenes[shot.scene].look if shot.scene else {}
    for part in ONE_STYLE:
        chosen = shot.last.get(part, shot.brief.get(part, scene.get(part)))
        if chosen and part in board.style and chosen != board.style[part]:
            message = Message(
                "storyboard.style-differs", part=part, got=_shown(chosen), style=_shown(board.style[part])
            )
            yield BoardFinding("CONT_STYLE", "warning", message, shot.id)


def _sides(cast: Cast, shot: Shot) -> Iterator[BoardFinding]:
    """A clause that names what stands on one side together with words for the other side."""
    scene = cast.scenes.get(shot.scene or "")
    if scene is None:
        return
    left, right = (scene.right, scene.left) if shot.reverse else (scene.left, scene.right)
    for side, fixed in (("left", left), ("right", right)):
        for clause, language in _clauses(shot):
            thing = (fixed or {}).get(language, "")
            wrong = any(word in clause for word in wording()["sides"][OPPOSITE[side]])
            if thing and wrong and thing.lower() in clause:
                yield BoardFinding(
                    "CONT_SIDE", "warning", Message("storyboard.side-differs", thing=thing, clause=clause), shot.id
                )


def _clauses(shot: Shot) -> Iterator[tuple[str, str]]:
    stops = str.maketrans(dict.fromkeys(wording()["chinese_stops"], "\n"))
    for brief in (shot.brief, shot.last):
        texts = [brief.get("subject"), brief.get("action"), brief.get("setting"), *brief.get("details", ())]
        for text in texts:
            for language, words in (text or {}).items():
                for clause in words.lower().translate(stops).split("\n"):
                    yield clause.strip(), language


def _prev(cast: Cast, shot: Shot) -> Iterator[BoardFinding]:
    if shot.prev and not same_place(cast.shots[shot.prev], shot):
        yield BoardFinding("CONT_SCENE_CHANGE", "info", Message("storyboard.prev-dropped", prev=shot.prev), shot.id)
    if "last" in shot.frames and not shot.last:
        yield BoardFinding("FRAME_SAME", "warning", Message("storyboard.last-same"), shot.id)


def _flips(before: Shot, shot: Shot) -> Iterator[BoardFinding]:
    if before.reverse != shot.reverse:
        return
    for name in before.positions.keys() & shot.positions.keys():
        if OPPOSITE.get(before.positions[name]) == shot.positions[name]:
            message = Message("storyboard.position-flips", id=name, before=before.id, side=_side(shot.positions[name]))
            yield BoardFinding("CONT_SIDE", "warning", message, shot.id)
    shared = set(before.characters) & set(shot.characters)
    if shared and before.direction and OPPOSITE.get(before.direction) == shot.direction:
        message = Message("storyboard.direction-flips", before=before.id, side=_side(str(shot.direction)))
        yield BoardFinding("CONT_SIDE", "warning", message, shot.id)


def _side(side: str) -> Message:
    return Message(f"storyboard.side-{side}")


def _states(cast: Cast, before: Shot, shot: Shot) -> Iterator[BoardFinding]:
    for part in ("time_of_day", "weather"):
        was, now = _looks(cast, before, part), _looks(cast, shot, part)
        if was != now:
            message = Message("storyboard.state-differs", part=part, before=before.id, was=_shown(was), now=_shown(now))
            yield BoardFinding("CONT_LIGHT", "warning", message, shot.id)
    if not set(before.characters) & set(shot.characters):
        return
    for code, part in (("CONT_WARDROBE", "wardrobe"), ("CONT_PROP", "prop_state"), ("CONT_LIGHT", "light")):
        was, now = getattr(before, part), getattr(shot, part)
        if was and now and was != now:
            message = Message("storyboard.state-differs", part=part, before=before.id, was=_shown(was), now=_shown(now))
            yield BoardFinding(code, "info", message, shot.id)


def _looks(cast: Cast, shot: Shot, part: str) -> Any:
    scene: Mapping[str, Any] = cast.scenes[shot.scene].look if shot.scene else {}
    return shot.brief.get(part, scene.get(part))


def _jump(before: Shot, shot: Shot) -> Iterator[BoardFinding]:
    size = shot.brief.get("shot_size")
    same = all(before.brief.get(part) == shot.brief.get(part) for part in ("shot_size", "camera_angle"))
    if size and same and shot.characters and before.characters == shot.characters:
        yield BoardFinding("CONT_JUMP", "info", Message("storyboard.jump-cut", before=before.id), shot.id)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return " / ".join(value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value or "–")
