"""A shot becomes a brief for the styler.

In: board, shot, role, the references of the frame. Out: a JSON-ready dict of brief parts. The more specific one wins:
board style < scene < shot < what the last frame changes. Never in here: prompts, a translation (the styler asks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seedframe.storyboard.continuity import Cast, ShotReference, identity, named_identity, position_words, setting_words
from seedframe.storyboard.mentions import introduced
from seedframe.storyboard.types import Board, Character, Element, Role, Scene, Shot, Text
from seedframe.storyboard.wording import filled, joined, wording

STILL = "image_use.video_still"


def brief_of(board: Board, cast: Cast, shot: Shot, role: Role, references: Sequence[ShotReference]) -> dict[str, Any]:
    """The brief of one keyframe: the words, the look, references numbered from 1. The ratio is the frame task's."""
    own = {**shot.brief, **(shot.last if role == "last" else {})}
    scene = cast.scenes[shot.scene] if shot.scene else None
    brief: dict[str, Any] = {**board.style, **(scene.look if scene else {}), **own}
    brief |= _who_and_where(cast, shot, scene, own)
    brief["must_keep"] = _unique([*_kept(cast, shot, scene), *_both(board.style, own, "must_keep")])
    brief["avoid"] = _unique(_both(board.style, own, "avoid"))
    brief["references"] = [_numbered(number, item) for number, item in enumerate(references, 1)]
    if "people" not in own and any(cast.characters[name].kind == "person" for name in shot.characters):
        brief["people"] = True
    brief["image_use"] = STILL
    return {name: value for name, value in brief.items() if value not in (None, [], {})}


def _who_and_where(cast: Cast, shot: Shot, scene: Scene | None, own: Mapping[str, Any]) -> dict[str, Any]:
    """Subject, action, setting, details. Without people it shows products, else props, else action, else place."""
    groups: list[list[Element]] = [
        list[Element](cast.characters[name] for name in shot.characters),
        [cast.products[name] for name in shot.products],
        [cast.props[name] for name in shot.props],
    ]
    place = own.get("setting") or (setting_words(scene, reverse=shot.reverse) if scene else None)
    action, subject = own.get("action"), own.get("subject")
    lead = next((group for group in groups if group), None) if subject is None else None
    action, named = _introductions(action, [each for group in groups for each in group] if subject is None else [])
    introduced = lead and any(element in named for element in lead)
    if lead and lead is groups[0] and len(lead) > 1 and not introduced:
        return _together(cast, shot, groups, place, own.get("action"), own)
    if lead and not introduced:
        subject = joined(map(named_identity, lead), wording()["and"]) or identity(lead[0])
    rest = [each for group in groups if introduced or group is not lead for each in group if each not in named]
    others = [_beside(cast, element) if introduced else named_identity(element) for element in rest]
    if subject is None and action:
        subject, action = action, None
    if subject is None:
        subject, place = place, None
    details = _unique([*others, *position_words(cast, shot), *own.get("details", ())])
    return {"subject": subject, "action": action, "setting": place, "details": details}


def _beside(cast: Cast, element: Element) -> Text:
    """Who is in the picture besides those whom the action names."""
    if element.id not in cast.characters:
        return named_identity(element)
    return filled(wording()["also"], element=named_identity(element))


def _introductions(action: Text | None, elements: Sequence[Element]) -> tuple[Text | None, list[Element]]:
    """The action with each element it names described in full at its first mention, and those elements.

    An element counts as named only when every language of the action names it, so that all languages introduce it.
    """
    done: list[Element] = []
    for element in elements if action else ():
        sentence = identity(element)
        texts = {
            language: introduced(text, element, sentence[language]) if language in sentence else None
            for language, text in (action or {}).items()
        }
        if all(texts.values()):
            action = {language: str(text) for language, text in texts.items()}
            done.append(element)
    return action, done


def _together(
    cast: Cast, shot: Shot, groups: list[list[Element]], place: Text | None, action: Any, own: Mapping[str, Any]
) -> dict[str, Any]:
    """Several characters: each with name, identity and position of their own, so that nothing is mixed up."""
    subjects = [_subject(cast.characters[name], shot.positions.get(name)) for name in shot.characters]
    others = [named_identity(element) for group in groups[1:] for element in group]
    details = _unique([*others, *own.get("details", ())])
    return {"subject": None, "subjects": subjects, "action": action, "setting": place, "details": details}


def _subject(who: Character, position: str | None) -> dict[str, Any]:
    kind = None if who.kind == "other" else who.kind
    parts = {"text": identity(who), "name": who.name if who.text else None, "position": position, "kind": kind}
    return {part: dict(value) if isinstance(value, Mapping) else value for part, value in parts.items() if value}


def _kept(cast: Cast, shot: Shot, scene: Scene | None) -> list[Text]:
    """What must stay as the references show it: one sentence for each kind that has a picture."""
    words = wording()["must_keep"]

    def pictured(elements: Sequence[Element]) -> bool:
        return any(element.pictures for element in elements)

    kept = [words["product"]] if pictured([cast.products[name] for name in shot.products]) else []
    kept += [words["character"]] if pictured([cast.characters[name] for name in shot.characters]) else []
    kept += [words["layout"]] if scene and scene.pictures and (scene.left or scene.right) else []
    return kept


def _both(style: Mapping[str, Any], own: Mapping[str, Any], part: str) -> list[Text]:
    return [*style.get(part, ()), *own.get(part, ())]


def _unique(texts: Sequence[Text]) -> list[Text]:
    return [dict(text) for index, text in enumerate(texts) if text not in texts[:index]]


def _numbered(number: int, reference: ShotReference) -> dict[str, Any]:
    taken = {"take": dict(reference.take)} if reference.take else {}
    return {"n": number, "role": reference.role, **taken}
