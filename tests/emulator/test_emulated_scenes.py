"""The emulator draws what it is told: the words it knows, and in an edit only what is named."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageChops

from seedframe.emulator import transport
from seedframe.emulator.drawn_scene import MARK, DrawnScene, data, scene_in
from seedframe.emulator.text_drawing import NEVER_FIRST, font, wrap

LITE = "doubao-seedream-5-0-260128"
GENERATE = "/api/v3/images/generations"
CASES = json.loads((Path(__file__).parents[1] / "cases" / "emulated_scenes.json").read_text(encoding="utf-8"))


async def drawn(prompt: str, *images: bytes, **body: object) -> list[bytes]:
    """The pictures of one call, small, as files."""
    given = [f"data:image/png;base64,{base64.b64encode(image).decode()}" for image in images]
    body = {"image": given, **body} if given else body
    request = {"model": LITE, "prompt": prompt, "size": "2048x2048", "seed": 7, "watermark": False, **body}
    async with httpx.AsyncClient(transport=transport(paint="scene", scale=0.2), base_url="http://e.invalid") as http:
        reply = (
            await http.post(GENERATE, json={"response_format": "b64_json", "output_format": "png", **request})
        ).json()
    return [base64.b64decode(entry["b64_json"]) for entry in reply["data"]]


def shown(content: bytes) -> DrawnScene:
    scene = scene_in(Image.open(io.BytesIO(content)).info["Comment"])
    assert scene is not None
    return scene


def named(scene: DrawnScene) -> list[str]:
    return [f"{thing.name} {thing.colour}" if thing.colour else thing.name for thing in scene.things]


@pytest.mark.anyio
@pytest.mark.parametrize("case", CASES["seen"], ids=lambda case: case["prompt"][:24])
async def test_a_picture_shows_what_its_prompt_names(case: dict[str, Any]):
    scene = shown((await drawn(case["prompt"]))[0])

    told = {"mood": scene.mood, "land": scene.land, "things": named(scene), "letters": scene.letters}
    assert {key: told[key] for key in case["shows"]} == case["shows"]


@pytest.mark.anyio
@pytest.mark.parametrize("case", CASES["edited"], ids=lambda case: case["change"][:24])
async def test_an_edit_changes_only_what_it_names(case: dict[str, Any]):
    (before,) = await drawn(case["before"])
    (after,) = await drawn(case["change"], before, seed=99)

    was, became = shown(before), shown(after)
    assert (Counter(named(was)) - Counter(named(became)), Counter(named(became)) - Counter(named(was))) == (
        Counter(case["gone"]),
        Counter(case["come"]),
    )
    assert (became.mood, became.land, became.seed) == (case.get("mood", was.mood), was.land, was.seed)


@pytest.mark.anyio
async def test_what_an_edit_does_not_name_stays_pixel_for_pixel():
    (before,) = await drawn("一位撑着油纸伞的少女走过小巷，夜")
    (after,) = await drawn("把油纸伞换成红色的纸灯笼，保持其余不变", before)

    pictures = [Image.open(io.BytesIO(content)).convert("RGB") for content in (before, after)]
    left_side = [picture.crop((0, 90, 90, 320)) for picture in pictures]
    assert ImageChops.difference(*left_side).getbbox() is None
    assert ImageChops.difference(*pictures).getbbox() is not None


@pytest.mark.slow
@pytest.mark.anyio
async def test_somebody_elses_picture_is_shown_as_it_is_with_the_change_on_it():
    out = io.BytesIO()
    Image.new("RGB", (400, 400), (20, 120, 220)).save(out, "PNG")
    (after,) = await drawn("Add a red balloon", out.getvalue())

    picture = Image.open(io.BytesIO(after))
    assert "Comment" not in picture.info
    colours = picture.convert("RGB").getcolors(1 << 24)
    kept = sum(count for count, (red, green, blue) in colours if abs(red - 20) + abs(green - 120) + abs(blue - 220) < 9)
    assert kept > 0.5 * picture.width * picture.height
    assert sum(count for count, (red, _, blue) in colours if red > 180 and blue < 120) > 500


@pytest.mark.anyio
async def test_the_pictures_of_a_set_show_the_same_things_and_differ():
    several = {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 4}}
    pictures = await drawn("4张贴纸：同一只黑猫", **several)

    scenes = [shown(content) for content in pictures]
    assert [named(scene) for scene in scenes] == [["cat #23222a"]] * 4
    assert len({scene.things for scene in scenes}) == len(set(pictures)) == 4


@pytest.mark.parametrize(
    "comment",
    [
        "a holiday in Lisbon",
        MARK + "{",
        MARK + '{"mood":"nowhere","land":"sea","things":[],"seed":1,"letters":"","colourless":false}',
        MARK + json.dumps({"mood": "day", "land": "sea", "things": [{"name": "gun"}], "seed": 1}),
        MARK + '{"mood":"day","land":"sea","things":[{"name":"cat","colour":null,"x":1e99,"y":0,"tall":1,"holder":-1}],'
        '"seed":1,"letters":"","colourless":false}',
        MARK + '{"mood":"day","land":"sea","things":[{"name":"cat","colour":null,"x":0,"y":0,"tall":1,"holder":5}],'
        '"seed":1,"letters":"","colourless":false}',
        MARK + "[" * 7000,
    ],
)
def test_a_comment_that_no_emulator_wrote_is_no_scene(comment: str):
    assert scene_in(comment) is None


def test_forty_things_are_known_in_both_languages():
    known = data("things")["things"]

    assert len(known) >= 40
    for thing in known:
        assert any(word.isascii() for word in thing["words"]), thing["name"]
        assert any(not word.isascii() for word in thing["words"]), thing["name"]


@pytest.mark.parametrize("room", range(120, 400, 7))
def test_no_line_of_a_caption_begins_with_a_mark(room: int):
    letters, _ = font(20)
    lines = wrap(
        "雨后的小巷，灯笼（红色）亮着。少女走过：青石板路，很静。A cat, a dog; and “rain”. 完。", letters, room, most=99
    )

    assert all(line[0] not in NEVER_FIRST for line in lines)
