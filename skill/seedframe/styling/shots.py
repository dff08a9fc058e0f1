"""What one prompt cannot show: whether the shots of a storyboard agree, and whether a face will be trusted later.

In: several shots, or one styled prompt. Out: findings. Never in here: the storyboard's own records.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from seedframe.styling.notes import finding, pattern
from seedframe.styling.reading import LANGUAGES
from seedframe.styling.values import Finding, Styled


@dataclass(frozen=True, slots=True)
class SceneShot:
    """One shot as told: its id, its scene's id, the wording of its place, and each character's identity sentence."""

    id: str
    scene: str | None = None
    setting: str = ""
    characters: Mapping[str, str] = field(default_factory=dict)


def continuity(shots: Sequence[SceneShot]) -> tuple[Finding, ...]:
    """CONT_IDENTITY and CONT_SIDE over the shots of one storyboard, in the order of the shots."""
    return (*_identities(shots), *_sides(shots))


def face_trust(styled: Styled, *, eligible: bool) -> Finding | None:
    """FACE_TRUST when a realistic person would come from a call whose pictures Seedance does not trust.

    `eligible`: an untouched text-to-image original of a model on the list of Volcengine 82379/2608626 (read 2026-11).
    """
    return finding("FACE_TRUST") if styled.people and styled.realistic and not eligible else None


def _identities(shots: Sequence[SceneShot]) -> Iterator[Finding]:
    told: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for shot in shots:
        for character, sentence in shot.characters.items():
            told[character][sentence].append(shot.id)
    for character, sentences in told.items():
        if len(sentences) > 1:
            yield finding("CONT_IDENTITY", character=character, shots=[ids[0] for ids in sentences.values()])


def _sides(shots: Sequence[SceneShot]) -> Iterator[Finding]:
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for shot in shots:
        for thing, sides in _layout(shot.setting).items():
            if shot.scene is None or len(sides) != 1:
                continue
            (side,) = sides
            first_side, first_shot = seen.setdefault((shot.scene, thing), (side, shot.id))
            if first_side != side:
                yield finding("CONT_SIDE", thing=thing, scene=shot.scene, shots=[first_shot, shot.id])


def _layout(setting: str) -> dict[str, set[str]]:
    """Thing → the sides a wording puts it on; a thing is known by its last two Han or its last word."""
    layout: dict[str, set[str]] = defaultdict(set)
    for language in LANGUAGES:
        for match in pattern("sides", language).finditer(setting):
            groups = [part for part in match.groups() if part]
            side = next(part for part in groups if part.casefold() in ("左", "右", "left", "right"))
            name = next(part for part in groups if part != side).strip()
            head = name[-2:] if language == "zh" else name.split()[-1].casefold()
            layout[head].add(side.casefold())
    return layout
