"""What a service makes of a request: the pictures it will try, which of them fail, what that costs.

In: a `GenerationRequest` and the POST's faults. Out: slots in order. Never in here: painting, HTTP.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from seedframe.emulator.faults import Fault, Faults, error_row
from seedframe.emulator.generation_request import GenerationRequest
from seedframe.emulator.options import Paint
from seedframe.emulator.painter import Recipe
from seedframe.emulator.refusal import Refusal
from seedframe.emulator.request_log import Charge
from seedframe.geometry import Size

NORMALIZED = 1000
LAYER_NAMES = ("subject", "foreground", "title", "ornament")


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """One picture to come: its recipe, or the reason why it fails. `fields` is what its entry says besides."""

    index: int
    recipe: Recipe | None
    failure: Refusal | None = None
    damage: Fault | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


def plan(
    generation: GenerationRequest, faults: Faults, paint: Paint, scale: float, entropy: random.Random
) -> tuple[PlannedImage, ...]:
    """Lay out every slot of a call. A 500 inside a group ends it: what comes after is simply missing."""
    seed = generation.seed if generation.seed is not None else entropy.getrandbits(31)
    slots = _layers(generation, seed) if generation.layers else _pictures(generation, seed)
    stop = faults["stop-after"]
    made = []
    for slot in slots:
        if stop and slot.index >= stop["after"]:
            if generation.stream:
                made.append(PlannedImage(slot.index, None, Refusal("internal")))
            break
        code = faults.slot_error(slot.index)
        if code:
            made.append(PlannedImage(slot.index, None, Refusal(error_row(code).name)))
        else:
            recipe = _finished(slot.recipe, paint, scale) if slot.recipe else None
            made.append(PlannedImage(slot.index, recipe, None, faults.damage(slot.index), slot.fields))
    return tuple(made)


def charge(generation: GenerationRequest, slots: tuple[PlannedImage, ...], request_id: str) -> Charge | None:
    """Only pictures that came are billed; in layer mode every layer is one."""
    images = sum(slot.recipe is not None for slot in slots)
    if not images:
        return None
    price = generation.offer.price(
        pixels=generation.size.pixels,
        outputs=images,
        references=len(generation.references),
        layers=generation.layers > 0,
    )
    return Charge(request_id, generation.offer.model.name, images, price.amount, price.currency)


def _pictures(generation: GenerationRequest, seed: int) -> Iterator[PlannedImage]:
    for index in range(generation.count):
        recipe = Recipe(
            prompt=generation.prompt,
            seed=seed,
            size=generation.size,
            format=generation.format,
            title=generation.offer.model.title,
            watermark=generation.watermark,
            part="cutout" if generation.background == "transparent" else "scene",
            thumbnails=tuple(reference.thumbnail for reference in generation.references),
            comments=tuple(reference.comment for reference in generation.references),
            take=index,
        )
        yield PlannedImage(index, recipe)


def _layers(generation: GenerationRequest, seed: int) -> Iterator[PlannedImage]:
    """Lay out the base as JPEG, then transparent PNGs with their boxes in base pixels (recorded 2026-09-18)."""
    title = generation.offer.model.title
    prompt = generation.prompt or "layers"
    thumbnails = tuple(reference.thumbnail for reference in generation.references)
    comments = tuple(reference.comment for reference in generation.references)
    base = Recipe(prompt, seed, generation.size, "jpeg", title, generation.watermark, "scene", thumbnails, comments)
    yield PlannedImage(0, base, fields={"z_index": 0})
    chance = random.Random(seed)  # noqa: S311
    for index in range(1, generation.layers + 1):
        box = _box(generation.size, chance)
        size = Size(box[2] - box[0], box[3] - box[1])
        name = LAYER_NAMES[(index - 1) % len(LAYER_NAMES)]
        layer = Recipe(
            f"{prompt} {name}", seed + index, size, "png", title, watermark=False, part="cutout", comments=comments
        )
        yield PlannedImage(index, layer, fields=_layer_fields(index, box, generation.size, name))


def _box(base: Size, chance: random.Random) -> tuple[int, int, int, int]:
    width = round(base.width * chance.uniform(0.3, 0.95))
    height = round(base.height * chance.uniform(0.3, 0.95))
    left, top = chance.randint(0, base.width - width), chance.randint(0, base.height - height)
    return left, top, left + width, top + height


def _layer_fields(index: int, box: tuple[int, int, int, int], base: Size, name: str) -> dict[str, Any]:
    sides = (base.width, base.height, base.width, base.height)
    normalized = [round(value * NORMALIZED / side) for value, side in zip(box, sides, strict=True)]
    return {
        "z_index": index,
        "bounding_box": {"absolute": list(box), "normalized": normalized},
        "name": name,
        "description": f"emulated layer {index}: {name}",
    }


def _finished(recipe: Recipe, paint: Paint, scale: float) -> Recipe:
    size = recipe.size
    if scale != 1:
        size = Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
    if paint == "instant":
        return Recipe("", 0, size, recipe.format, "", watermark=False, part="instant")
    return replace(recipe, size=size)
