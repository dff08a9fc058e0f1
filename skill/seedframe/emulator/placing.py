"""Where things stand: people and animals in front, buildings behind, what flies above, what is small on the table.

In: names of things, a land, a chance. Out: `Thing`s with their places. Never in here: words, pixels.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

from seedframe.emulator.drawn_scene import MOST_THINGS, DrawnScene, Thing, things

GROUND = 0.83
"""Where things stand, as a share of the height; below it is room for the caption."""

BEHIND = 0.72
TABLE = 0.8
HOLDERS = {"person", "animal"}
SKY = ((0.76, 0.3), (0.25, 0.34), (0.5, 0.24), (0.88, 0.44))
SIDES = ((0.24, BEHIND), (0.78, BEHIND), (0.5, BEHIND - 0.03), (0.92, BEHIND))
HUNG = ((0.2, 0.36), (0.82, 0.31), (0.33, 0.25))
PLACES = {"sky": SKY, "built": SIDES, "hang": HUNG}
BELOW = {"alley", "room"}
"""Lands that have something above to hang a lantern from."""


def placed(names: Sequence[tuple[str, str | None]], land: str, zoom: float, chance: random.Random) -> tuple[Thing, ...]:
    """Give each named thing (with its colour) a place. What can be held goes to the first who can hold."""
    kinds = {name: str(things()[name]["kind"]) for name, _ in names}
    made: list[Thing] = []
    order = ("built", "sky", "float", "table", "stand", "animal", "person", "hang", "small", "held")
    mirrored = chance.random() < 0.5
    for name, colour in sorted(names[:MOST_THINGS], key=lambda each: order.index(kinds[each[0]])):
        made.append(_place(made, name, colour, land))
    made = _spread(made, chance)
    return tuple(_viewed(thing, zoom, mirrored=mirrored) for thing in made)


def put(scene: DrawnScene, name: str, colour: str | None, instead_of: int | None = None) -> DrawnScene:
    """Add one thing to a scene, or put it where another one was; the rest stays where it is."""
    if instead_of is None:
        if len(scene.things) >= MOST_THINGS:
            return scene
        added = _place(list(scene.things), name, colour, scene.land)
        return replace(scene, things=(*scene.things, replace(added, x=_free(scene.things, added))))
    old = scene.things[instead_of]
    scale = things()[name]["height"] / things()[old.name]["height"]
    new = replace(old, name=name, colour=colour, tall=old.tall * (1 if old.holder >= 0 else scale))
    if old.holder >= 0 and "held" in things()[name]:
        x, y, tall = things()[name]["held"]
        new = replace(new, x=x, y=y, tall=tall)
    return replace(scene, things=(*scene.things[:instead_of], new, *scene.things[instead_of + 1 :]))


def _place(made: Sequence[Thing], name: str, colour: str | None, land: str) -> Thing:
    """Find the place of one more thing among those that are there."""
    entry = things()[name]
    kind, tall = entry["kind"], entry["height"]
    holder = next((n for n, thing in enumerate(made) if things()[thing.name]["kind"] in HOLDERS), None)
    table = next((n for n, thing in enumerate(made) if things()[thing.name]["kind"] == "table"), None)
    alike = sum(things()[thing.name]["kind"] == kind and thing.holder < 0 for thing in made)
    if kind == "small" and table is not None:
        tall_table = things()["table"]["height"]
        return Thing(name, colour, 0.0, -1 + things()["table"]["top"], tall / tall_table * 0.62, table)
    if "held" in entry and holder is not None and not (kind == "hang" and land in BELOW):
        x, y, share = entry["held"]
        small = sqrt(things()["woman"]["height"] / things()[made[holder].name]["height"])
        return Thing(name, colour, x * small, y, share * small, holder)
    if kind in PLACES:
        x, y = PLACES[kind][alike % len(PLACES[kind])]
        y = y if kind != "hang" or land in BELOW else GROUND
        return Thing(name, colour, x, y, tall)
    if kind == "small" and land == "studio":
        tall *= 1.75
    return Thing(name, colour, 0.5, {"float": BEHIND - 0.02, "table": GROUND + 0.01}.get(kind, GROUND), tall)


def _spread(made: Sequence[Thing], chance: random.Random) -> list[Thing]:
    """Spread over the width what stands in a row: on the ground, and on the table."""
    spread = list(made)
    rows: dict[int, list[int]] = {}
    for number, thing in enumerate(made):
        if thing.holder >= 0 and made[thing.holder].name == "table":
            rows.setdefault(thing.holder, []).append(number)
        elif thing.holder < 0 and things()[thing.name]["kind"] not in {*PLACES, "table"}:
            rows.setdefault(-1, []).append(number)
    for holder, numbers in rows.items():
        span, middle = (0.9, 0.0) if holder >= 0 else (0.27, chance.choice((0.38, 0.46, 0.54, 0.62)))
        step = min(span, (1.9 if holder >= 0 else 0.8) / len(numbers))
        shrink = 1.0 if len(numbers) < 3 or holder >= 0 else 0.85
        for place, number in enumerate(numbers):
            x = middle + (place - (len(numbers) - 1) / 2) * step + chance.uniform(-0.02, 0.02)
            spread[number] = replace(made[number], x=x, tall=made[number].tall * shrink * chance.uniform(0.82, 1.12))
    return spread


def _free(made: Sequence[Thing], added: Thing) -> float:
    """Find the freest of five places across the width for a thing of the foreground."""
    if added.holder >= 0 or added.y != GROUND:
        return added.x
    taken = [thing.x for thing in made if thing.holder < 0 and thing.y >= GROUND - 0.01] or [0.5]
    return max((0.28, 0.72, 0.16, 0.84, 0.5), key=lambda x: min(abs(x - other) for other in taken))


def _viewed(thing: Thing, zoom: float, *, mirrored: bool) -> Thing:
    """Bring the foreground nearer or farther; a mirrored picture is another one of the same set."""
    if thing.holder >= 0:
        return thing
    x = 1 - thing.x if mirrored else thing.x
    if things()[thing.name]["kind"] in {*PLACES, "table"}:
        return replace(thing, x=x)
    low = thing.y + (0.12 if zoom > 1 else 0.0)
    return replace(thing, x=0.5 + (x - 0.5) * max(1.0, zoom * 0.8), y=low, tall=thing.tall * zoom)
