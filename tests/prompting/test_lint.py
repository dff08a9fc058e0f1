"""Every rule: when it speaks, and when it keeps quiet."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from seedframe.messages import sentences
from seedframe.prompting import PromptInput, face_trust, style, text_analysis
from seedframe.prompting.lexicon import lexicon
from seedframe.prompting.lint_data import rule_table

CASES = Path(__file__).parents[1] / "cases" / "styling"
MODELS = {"natural-zh": "5.0-lite", "keywords-en": "4.5"}
LINT = json.loads((CASES / "lint.json").read_text(encoding="utf-8"))
FREE = json.loads((CASES / "free_text.json").read_text(encoding="utf-8"))


def found(sheet: str, **parts: Any) -> dict[str, str]:
    """Code → severity."""
    arguments = PromptInput(sheet=sheet, model=MODELS[sheet], negative_supported=sheet == "keywords-en", **parts)
    return {finding.code: finding.severity for finding in style(arguments).findings}


@pytest.mark.parametrize("case", LINT, ids=lambda case: case["id"])
def test_a_known_fault_gives_exactly_its_codes(case: dict[str, Any]):
    assert sorted(found(case["sheet"], prompt=case["prompt"], **case["call"])) == case["codes"]


@pytest.mark.parametrize("case", FREE, ids=lambda case: case["id"])
def test_a_free_text_is_read_for_terms_images_and_sets(case: dict[str, Any]):
    text = case["prompt"]

    assert sorted(lexicon().found(text)) == case["terms"]
    assert list(text_analysis.images(text)) == case["images"]
    assert text_analysis.set_asked(text) == case["set"]
    advised = found(case["sheet"], prompt=text, **case["call"])
    assert [code for code in ("KEYWORDS_5", "SENTENCES_45") if code in advised] == case["rewrite"]


ZH, EN = "natural-zh", "keywords-en"
LONG_ZH, LONG_EN = "雪山下的湖面很静，" * 50, "a quiet lake under the mountains, " * 120


@pytest.mark.parametrize(
    ("code", "severity", "sheet", "parts"),
    [
        ("EMPTY", "error", ZH, {"prompt": "  "}),
        ("EMPTY", "error", EN, {"brief": {"lighting": "rim light"}}),
        ("LEN_OVER", "warning", ZH, {"prompt": LONG_ZH}),
        ("LEN_OVER", "warning", EN, {"prompt": LONG_EN}),
        ("LEN_NEAR", "info", ZH, {"prompt": "雪山下的湖面很静，" * 33}),
        ("LANG_5", "warning", ZH, {"prompt": "a fox in the snow"}),
        ("STACK_LONG", "warning", EN, {"prompt": ", ".join(f"term{n}" for n in range(50))}),
        ("QUALITY_LIMIT", "info", ZH, {"brief": {"subject": "一只狐狸", "quality": "清晰锐利"}}),
        ("SYNTAX_FOREIGN", "warning", EN, {"prompt": "a fox --ar 9:16"}),
        ("SYNTAX_FOREIGN", "warning", EN, {"prompt": "a (red:1.2) fox"}),
        ("SYNTAX_FOREIGN", "warning", ZH, {"prompt": "一只狐狸<lora:fox:0.8>坐在雪地里"}),
        ("NEG_LONG", "warning", EN, {"prompt": "a fox", "negative": "a, b, c, d, e, f, g, h, i"}),
        ("NEG_IN_PROMPT", "warning", ZH, {"prompt": "空旷的街道，没有行人", "keyframe": True}),
        ("TEXT_LONG", "info", EN, {"prompt": f'poster, text "{"word " * 14}"'}),
        ("REF_TOO_MANY", "error", EN, {"prompt": "outfit from Image 1", "references": 11, "max_references": 10}),
        ("REF_MISSING", "error", EN, {"prompt": "the dress from Image 3", "references": 2}),
        ("REF_UNUSED", "warning", EN, {"prompt": "the dress from Image 2", "references": 2}),
        ("PRONOUN", "warning", EN, {"prompt": "make it red, keep the rest", "references": 1, "edit": True}),
        ("GROUP_TRIGGER", "info", EN, {"prompt": "a white cat", "group": 4}),
        ("GROUP_UNSET", "warning", EN, {"prompt": "a series of four images, a white cat"}),
        ("GROUP_MODEL", "error", EN, {"prompt": "a set of 4 images", "group": 4, "groups_supported": False}),
        ("KEYFRAME_MOTION", "warning", EN, {"prompt": "a fox, camera slowly zooms in", "keyframe": True}),
        ("KEYFRAME_GRID", "warning", EN, {"prompt": "a fox, split screen", "keyframe": True}),
        (
            "CONFLICT",
            "warning",
            EN,
            {"brief": {"subject": "a fox", "depth_of_field": "shallow depth of field, deep focus"}},
        ),
        ("CONFLICT", "warning", EN, {"prompt": "a fox, shallow depth of field, deep focus"}),
        ("LIGHT_CROWD", "warning", ZH, {"brief": {"subject": "狐狸", "lighting": "逆光、侧光、顶光、底光、烛光"}}),
        ("STYLE_CROWD", "warning", EN, {"prompt": "cyberpunk, steampunk, film noir city"}),
        ("ASPECT_PROMPT_SIZE", "warning", ZH, {"prompt": "竖版9:16构图，一只狐狸", "ratio": "16:9"}),
        ("ASPECT_PROMPT_SIZE", "warning", EN, {"prompt": "a fox, vertical frame", "ratio": "16:9"}),
        ("NEG_UNSENT", "warning", EN, {"prompt": "a fox", "negative": "blurry", "negative_supported": False}),
    ],
)
def test_a_rule_speaks(code: str, severity: str, sheet: str, parts: dict[str, Any]):
    arguments = {"negative_supported": sheet == EN, **parts}
    styled = style(PromptInput(sheet=sheet, model=MODELS[sheet], **arguments))

    assert {finding.code: finding.severity for finding in styled.findings}.get(code) == severity


@pytest.mark.parametrize(
    ("code", "sheet", "parts"),
    [
        ("ASPECT_PROMPT_SIZE", ZH, {"prompt": "竖版9:16构图，早上7:30的车站", "ratio": "9:16"}),
        ("SYNTAX_FOREIGN", EN, {"prompt": "a clock (at 7:30) above the platform (16:9)"}),
        ("TEXT_UNQUOTED", EN, {"prompt": 'a banner that says "OPEN", a girl reading a book'}),
        ("TEXT_UNQUOTED", ZH, {"prompt": "门上写着“内有恶犬”，老人在纸上写着毛笔字"}),
        ("REF_MISSING", ZH, {"prompt": "一张图二次元风格的插画，构图16:9，地图3幅"}),
        ("REF_MISSING", EN, {"prompt": "an image 16:9, images 1 and 2", "references": 2}),
        ("REF_UNUSED", EN, {"prompt": "the heads from images 1 to 3", "references": 3}),
        ("REF_UNUSED", EN, {"prompt": "make the jacket red", "references": 1, "edit": True}),
        ("EDIT_NO_KEEP", ZH, {"prompt": "面部参考图1，一位舞者在天台上", "references": 1, "edit": True}),
        ("GROUP_UNSET", EN, {"prompt": "a set of four copper pans on a wall"}),
        ("GROUP_TRIGGER", ZH, {"prompt": "生成一套共四张图，同一只白猫", "group": 4}),
        ("KEYFRAME_GRID", EN, {"prompt": "a man behind wooden panels and a steel grid", "keyframe": True}),
        ("CONFLICT_GROUP", EN, {"prompt": "golden hour at sunset, low angle, three-quarter view, 85mm"}),
        ("CONFLICT_GROUP", EN, {"prompt": "a set of 2 images, day: midday, night: late night", "group": 2}),
        ("LANG_45", EN, {"prompt": 'poster, text "山海音乐节" at the top'}),
        ("NEG_IN_PROMPT", ZH, {"prompt": "无人机航拍的海岸，没有打伞的行人走过"}),
        ("TEXT_QUOTE_STYLE", EN, {"brief": {"subject": "a sign", "text": [{"content": 'say "hi"'}]}}),
        ("PRONOUN", EN, {"prompt": "it rains on a quiet street"}),
    ],
)
def test_a_rule_keeps_quiet(code: str, sheet: str, parts: dict[str, Any]):
    assert code not in found(sheet, **parts)


@pytest.mark.timed
@pytest.mark.slow
@pytest.mark.parametrize("sheet", [ZH, EN])
@pytest.mark.parametrize(
    "text", ["“" * 20_000, "(" * 20_000, "(a" * 20_000, "图1、" * 10_000, "写着" * 15_000, "- " * 20_000]
)
def test_a_hostile_text_is_read_in_linear_time(text: str, sheet: str):
    started = time.process_time()

    found(sheet, prompt=text)

    assert time.process_time() - started < 2


# Over the video step


@pytest.mark.parametrize(
    ("prompt", "eligible", "code"),
    [
        ("一位老人坐在门口喝茶，写实摄影风格", False, "FACE_TRUST"),
        ("一位老人坐在门口喝茶，写实摄影风格", True, None),
        ("一位老人坐在门口喝茶，水墨插画", False, None),
        ("无人的街道上停着一辆自行车，机器人广告牌亮着", False, None),
    ],
    ids=["photographed", "eligible", "drawn", "nobody"],
)
def test_a_realistic_person_that_seedance_would_refuse_is_told_early(prompt: str, eligible: bool, code: str | None):
    styled = style(PromptInput(sheet=ZH, model="5.0-lite", prompt=prompt))

    finding = face_trust(styled, eligible=eligible)

    assert (finding and finding.code) == code


# The data


@pytest.mark.parametrize("code", rule_table()["codes"])
def test_every_code_has_its_sentence_in_both_languages_with_the_same_values(code: str):
    key = "styling." + code.lower().replace("_", "-")
    english, chinese = sentences("en"), sentences("zh")

    assert key in english
    for name in (key, f"{key}-mend"):
        assert (name in english) == (name in chinese)
        assert values(english.get(name, "")) == values(chinese.get(name, ""))


def values(sentence: str) -> set[str]:
    return set(re.findall(r"(?<!\{)\{(\w+)\}", sentence))


@pytest.mark.parametrize("case", LINT, ids=lambda case: case["id"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_finding_can_be_told(case: dict[str, Any], language: Any):
    arguments = PromptInput(sheet=case["sheet"], model=MODELS[case["sheet"]], prompt=case["prompt"], **case["call"])

    for finding in style(arguments).as_dict(language)["findings"]:
        assert finding["message"]
        assert "{" not in finding["message"]
