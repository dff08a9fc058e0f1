"""The styling room: what a wish becomes, and that every fact of it is carried."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from seedframe import package_data
from seedframe.errors import InvalidRequest, PromptRejected
from seedframe.prompting import (
    PromptInput,
    StyledPrompt,
    brief_schema,
    check_style,
    checked_brief_schema,
    sheets,
    style,
)
from seedframe.prompting.language import han, han_share, hollow
from seedframe.prompting.lexicon import lexicon

CASES = Path(__file__).parents[1] / "cases" / "styling"
MODELS = {"natural-zh": "5.0-lite", "keywords-en": "4.5"}
BRIEFS = json.loads((CASES / "briefs.json").read_text(encoding="utf-8"))


def arguments(sheet: str, **parts: Any) -> PromptInput:
    return PromptInput(sheet=sheet, model=MODELS[sheet], negative_supported=sheet == "keywords-en", **parts)


def codes(styled: StyledPrompt) -> list[str]:
    return [finding.code for finding in styled.findings]


def grave(styled: StyledPrompt) -> list[str]:
    return [finding.code for finding in styled.findings if finding.severity != "info"]


# Worked examples


@pytest.mark.parametrize("sheet", MODELS)
@pytest.mark.parametrize("case", BRIEFS, ids=lambda case: case["id"])
def test_a_worked_example_gives_its_prompt_and_nothing_to_worry_about(case: dict[str, Any], sheet: str):
    styled = style(arguments(sheet, brief=case["brief"], **case["call"]))

    assert case["styled"][sheet] == {
        "prompt": styled.prompt,
        "negative": styled.negative,
        "dropped": list(styled.dropped),
        "codes": sorted(codes(styled)),
    }
    assert grave(styled) == []
    assert styled.needs_host == ()


@pytest.mark.parametrize("sheet", MODELS)
@pytest.mark.parametrize("case", BRIEFS, ids=lambda case: case["id"])
def test_a_worked_example_carries_every_fact_of_its_brief(case: dict[str, Any], sheet: str):
    styled = style(arguments(sheet, brief=case["brief"], **case["call"]))
    language = "zh" if sheet == "natural-zh" else "en"

    missing = [fact for fact in facts(case["brief"], language, styled.dropped) if fact not in styled.prompt]

    assert missing == []


def facts(brief: dict[str, Any], language: str, dropped: tuple[str, ...]) -> list[str]:
    """Every wording the prompt must hold: the caller's words, rendered text, and a core of each term."""
    described: list[str] = []

    def gather(value: Any, field: str) -> None:
        if isinstance(value, dict):
            described.extend(re.split("[，,] ?", value[language]) if language in value else [])
            for name, part in value.items():
                if name not in ("zh", "en", "op", "n", "role", "count", "type"):
                    gather(part, name)
        elif isinstance(value, list):
            for part in value:
                gather(part, field)
        elif isinstance(value, str) and field == "content":
            described.append(value)

    for field, value in brief.items():
        if field not in dropped:
            gather(value, field)
    return described + term_cores(brief, language, dropped)


def term_cores(brief: dict[str, Any], language: str, dropped: tuple[str, ...]) -> list[str]:
    terms = lexicon().terms
    unused = {*dropped, *(["quality"] if language == "zh" else [])}
    ids = [
        item
        for field, value in brief.items()
        if field not in unused
        for item in (value if isinstance(value, list) else [value])
        if isinstance(item, str) and item in terms
    ]
    if language == "en":
        return [terms[name].en.split(",")[0] for name in ids if not name.startswith("shot_size")]
    cores = {name: re.split("[，、]", terms[name].zh_phrase)[0] for name in ids if not name.startswith("shot_size")}
    return [core.removeprefix("氛围").removesuffix("构图") for core in cores.values()]


# Free text


@pytest.mark.parametrize(
    ("sheet", "text"),
    [
        ("keywords-en", "a red fox"),
        ("natural-zh", "一只红狐狸"),
        ("keywords-en", "A cat wearing a hat"),
        ("natural-zh", "女孩在桌前写着一封信"),
        ("keywords-en", "a woman reading a newspaper in a cafe"),
        ("natural-zh", "雨中的东京街头，霓虹灯倒映在水面"),
        ("keywords-en", "cinematic cyberpunk street at night, golden hour memories, neon signs, rain"),
        ("natural-zh", "傍晚安静的街道，温暖的灯光，一只猫走过"),
        ("keywords-en", "a photorealistic portrait of an old fisherman mending nets on a wooden pier at dawn"),
        ("natural-zh", "版图一样的云，构图一致的两扇窗"),
    ],
)
def test_a_short_plain_prompt_goes_through_untouched(sheet: str, text: str):
    styled = style(arguments(sheet, prompt=text))

    assert styled.prompt == text
    assert grave(styled) == []
    assert styled.needs_host == ()


def test_english_for_a_model_that_wants_chinese_is_a_task_for_the_host():
    styled = style(arguments("natural-zh", prompt="a red fox"))

    assert [(task.field, task.want, task.text) for task in styled.needs_host] == [("prompt", "zh", "a red fox")]
    assert grave(styled) == ["LANG_5"]
    check_style(styled)


def test_a_strict_house_refuses_what_is_advice_elsewhere():
    styled = style(arguments("natural-zh", prompt="a red fox", strict=True))

    with pytest.raises(PromptRejected) as refused:
        check_style(styled)
    assert refused.value.facts["needs_host"][0]["field"] == "prompt"
    check_style(styled, force=True)


def test_as_is_says_no_more_than_a_word_about_the_language():
    styled = style(
        arguments("natural-zh", prompt="a red fox curled up on moss in a birch forest, soft morning light", as_is=True)
    )

    assert ("LANG_5" in codes(styled), grave(styled), styled.needs_host) == (True, [], ())
    check_style(styled)


def test_a_text_and_a_brief_become_one_prompt():
    brief = {"lighting": "逆光", "lens": "85mm", "must_keep": "蓝色围巾"}

    styled = style(arguments("natural-zh", prompt="一位老人在湖边喂天鹅。", brief=brief))

    assert styled.prompt == "一位老人在湖边喂天鹅。用85mm人像镜头拍摄，逆光拍摄。保持蓝色围巾不变。"


# Words of a brief


@pytest.mark.parametrize("word", ["特写", "CU", "close-up", "Close Up", "closeup", "shot_size.close_up", "特写镜头"])
def test_any_name_of_a_term_in_either_language_is_understood(word: str):
    styled = style(arguments("keywords-en", brief={"subject": "an owl", "shot_size": word}))

    said = word.removesuffix(" shot") if word in ("Close Up", "closeup") else "close-up shot"
    assert (styled.prompt, codes(styled)) == (f"an owl, {said}", ["LEN_SHORT"])


def test_several_words_in_one_field_are_taken_apart():
    styled = style(
        arguments("natural-zh", brief={"subject": "一只猫头鹰", "palette": "大地色、琥珀色", "mood": "静谧，神秘"})
    )

    assert styled.prompt == "画面主体是一只猫头鹰。整体色调以大地色和琥珀色为主，氛围静谧而神秘。"


def test_an_unknown_word_stays_and_its_neighbours_are_named():
    styled = style(arguments("keywords-en", brief={"subject": "an owl", "lighting": "rimm light"}))

    assert styled.prompt == "an owl, rimm light"
    (finding,) = [finding for finding in styled.findings if finding.code == "WORD_UNKNOWN"]
    assert (finding.severity, "rim light" in str(finding.message)) == ("info", True)


def test_a_brief_in_the_wrong_language_asks_the_host_field_by_field():
    brief = {"subject": {"zh": "一只猫头鹰"}, "setting": {"zh": "雪林", "en": "snowy wood"}, "lighting": "某种光"}

    styled = style(arguments("keywords-en", brief=brief))

    assert [(task.field, task.want, task.text) for task in styled.needs_host] == [
        ("brief.subject", "en", "一只猫头鹰"),
    ]


def test_people_decide_how_a_shot_size_is_worded():
    with_people = style(arguments("natural-zh", brief={"subject": "一位厨师", "shot_size": "中近景"})).prompt
    without = style(arguments("natural-zh", brief={"subject": "一只茶壶", "shot_size": "中近景"})).prompt

    assert (with_people, without) == (
        "画面主体是一位厨师。画面以胸部以上的中近景呈现。",
        "画面主体是一只茶壶。画面以中近景呈现。",
    )


def test_a_time_already_told_is_not_told_again():
    styled = style(arguments("natural-zh", brief={"subject": "一条船", "setting": "黄昏的海面", "time_of_day": "黄昏"}))

    assert styled.prompt == "黄昏的海面上停着一条船。"


def test_a_keyframe_says_that_it_is_one():
    styled = style(arguments("natural-zh", brief={"subject": "一只猫头鹰"}, keyframe=True, ratio="9:16"))

    assert styled.prompt == "视频静帧画面，竖版9:16构图。画面主体是一只猫头鹰。"


def test_a_set_asked_for_in_the_call_is_asked_for_in_the_prompt():
    styled = style(arguments("keywords-en", brief={"subject": "a white cat"}, group=4))

    assert (styled.prompt, grave(styled)) == ("a series of 4 images, a white cat", [])


# What should not be there


def test_the_default_negative_of_a_full_figure_is_the_eight_terms_of_the_seed():
    styled = style(arguments("keywords-en", brief={"subject": "a dancer", "shot_size": "full body shot"}))

    assert styled.negative == (
        "blurry, extra fingers, distorted hands, watermark, text overlay, cropped feet, cut off at ankles, partial body"
    )


@pytest.mark.parametrize(
    ("parts", "absent"),
    [
        ({"prompt": 'a poster, text "SALE" at the top'}, "text overlay"),
        ({"brief": {"subject": "a dancer", "shot_size": "CU"}}, "cropped feet"),
        ({"brief": {"subject": "a lake", "people": False}}, "extra fingers"),
        ({"brief": {"subject": "traffic", "camera_movement": "light trails"}}, "blurry"),
    ],
    ids=["text", "close-up", "no people", "wanted blur"],
)
def test_the_default_negative_leaves_out_what_contradicts_the_picture(parts: dict[str, Any], absent: str):
    negative = style(arguments("keywords-en", **parts)).negative

    assert negative is not None
    assert absent not in negative


def test_an_empty_negative_sends_none():
    assert style(arguments("keywords-en", prompt="a red fox", negative="")).negative is None


def test_a_negative_for_a_model_without_one_is_said_positively():
    styled = style(
        arguments("natural-zh", prompt="一位老人坐在门口喝茶", negative="模糊, bad hands, watermark, 丑陋的帽子")
    )

    assert styled.prompt == "一位老人坐在门口喝茶。主体清晰锐利，双手姿态自然，手指清晰。"
    assert styled.negative is None
    (finding,) = [finding for finding in styled.findings if finding.code == "NEG_IGNORED_5"]
    assert finding.severity == "info"
    assert "丑陋的帽子" in finding.message.text("zh")


def test_a_chinese_negative_for_an_english_model_is_translated_where_it_is_known():
    styled = style(arguments("keywords-en", prompt="a red fox", negative="模糊，水印，奇怪的东西"))

    assert styled.negative == "blurry, watermark"
    assert [(task.field, task.text) for task in styled.needs_host] == [("negative", "奇怪的东西")]
    (finding,) = [finding for finding in styled.findings if finding.code == "NEG_LEFT"]
    assert "奇怪的东西" in finding.message.text("zh")


def test_an_unknown_wish_to_avoid_joins_the_negative_or_is_told_to_be_unsent():
    english = style(arguments("keywords-en", brief={"subject": "a pier", "avoid": "seagulls, clutter"}))
    chinese = style(arguments("natural-zh", brief={"subject": "一座栈桥", "avoid": ["海鸥", "杂乱"]}))

    assert english.negative is not None
    assert english.negative.endswith("seagulls")
    assert english.prompt == "a pier, clean uncluttered background"
    assert chinese.prompt == "画面呈现一座栈桥。背景简洁干净。"
    assert codes(chinese) == ["AVOID_RAW"]


# Refusals


@pytest.mark.parametrize(
    ("brief", "field"),
    [
        ({"subjekt": "x"}, "brief.subjekt"),
        ({"subject": 3}, "brief.subject"),
        ({"lighting": [1]}, "brief.lighting[0]"),
        ({"text": [{"where": "top"}]}, "brief.text[0].content"),
        ({"edits": [{"op": "explode", "target": "x"}]}, "brief.edits[0].op"),
        ({"subject": {"fr": "un renard"}}, "brief.subject.fr"),
        ([], "brief"),
    ],
)
def test_a_wrong_brief_is_refused_by_the_name_of_its_field(brief: Any, field: str):
    with pytest.raises(InvalidRequest) as refused:
        style(arguments("natural-zh", brief=brief))

    assert refused.value.field == field
    assert refused.value.allowed
    assert refused.value.advice
    assert all(refused.value.text(language) for language in ("en", "zh"))


def test_an_unknown_field_names_its_neighbour():
    with pytest.raises(InvalidRequest, match="Did you mean subject"):
        style(arguments("natural-zh", brief={"subjekt": "x"}))


def test_an_unknown_sheet_is_refused():
    with pytest.raises(InvalidRequest, match="natural-zh"):
        style(PromptInput(sheet="haiku", model="9.9", prompt="a fox"))


def test_errors_stop_a_payment_unless_forced_and_every_finding_is_told():
    styled = style(arguments("keywords-en", prompt="the fox from Image 1, 8k"))

    with pytest.raises(PromptRejected) as refused:
        check_style(styled)
    assert [finding["code"] for finding in refused.value.facts["findings"]] == codes(styled)
    check_style(styled, force=True)


# Schemas


def test_the_advertised_schema_is_small_closed_and_flat():
    schema = brief_schema()

    assert len(json.dumps({"brief": schema}, ensure_ascii=False, separators=(",", ":")).encode()) <= 1360
    assert schema["additionalProperties"] is False
    assert not {"oneOf", "anyOf", "allOf", "if"} & schema.keys()


def test_the_strict_schema_is_valid_and_takes_all_the_advertised_one_offers():
    Draft202012Validator.check_schema(checked_brief_schema())

    assert brief_schema()["properties"].keys() <= checked_brief_schema()["properties"].keys()


def test_every_style_sheet_is_listed():
    assert sheets() == ("keywords-en", "natural-zh")


def test_a_folder_that_ships_with_nobody_is_an_error_that_says_so():
    with pytest.raises(FileNotFoundError, match="nowhere"):
        package_data.folder("nowhere")


# The lexicon


def test_every_conflict_and_every_role_names_something_that_exists():
    words = lexicon()

    assert {name for pair in words.conflicts for name in pair[:2]} <= words.terms.keys()
    assert all({"zh", "en"} <= role.keys() for role in words.roles.values())


def test_no_name_means_two_terms_of_one_category():
    owners: dict[tuple[str, str], set[str]] = {}
    for term in lexicon().terms.values():
        for name in term.names:
            owners.setdefault((term.category, name.casefold()), set()).add(term.id)

    assert {name: ids for name, ids in owners.items() if len(ids) > 1} == {}


@pytest.mark.parametrize("term", lexicon().terms.values(), ids=lambda term: term.id)
def test_every_term_is_wholly_english_for_one_sheet_and_mostly_chinese_for_the_other(term: Any):
    assert han(term.en + term.en_object) == 0
    assert han(term.zh_phrase) > 0


# Properties

TERMS = lexicon().terms
PICKED = sorted({term.category for term in TERMS.values()} - {"typography"})
CHINESE = st.text(alphabet="山水云雨木石花鸟人书灯桥船雪月风影红绿蓝，", min_size=2, max_size=60).filter(
    lambda text: han(text) > 1
)
NOUNS = ["red", "blue", "old", "fox", "lamp", "bridge", "boat", "snow", "moon", "wall", "river", "stone"]
ENGLISH = st.lists(st.sampled_from(NOUNS), min_size=1, max_size=30).map(" ".join)
BOTH = st.builds(lambda zh, en: {"zh": zh, "en": en}, CHINESE, ENGLISH)


def picked() -> st.SearchStrategy[dict[str, Any]]:
    fields = {
        category: st.lists(
            st.sampled_from([t.id for t in TERMS.values() if t.category == category]), min_size=1, max_size=3
        )
        for category in PICKED
    }
    return st.fixed_dictionaries({}, optional=fields)


def briefs() -> st.SearchStrategy[dict[str, Any]]:
    words = st.fixed_dictionaries(
        {"subject": BOTH},
        optional={
            "action": BOTH,
            "setting": BOTH,
            "details": st.lists(BOTH, min_size=1, max_size=3),
            "must_keep": st.lists(BOTH, min_size=1, max_size=3),
            "avoid": st.lists(st.sampled_from(sorted(lexicon().avoid)), min_size=1, max_size=3),
            "people": st.booleans(),
            "text": st.lists(
                st.builds(lambda text: {"content": text}, st.sampled_from(["山海音乐节", "SALE"])),
                min_size=1,
                max_size=2,
            ),
        },
    )
    return st.builds(lambda words, terms: {**terms, **words}, words, picked())


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(briefs(), st.sampled_from(sorted(MODELS)), st.sampled_from([None, "9:16", "4:3", "21:9"]))
def test_a_prompt_is_in_its_language_within_its_budget_and_settled(
    brief: dict[str, Any], sheet: str, ratio: str | None
):
    styled = style(arguments(sheet, brief=brief, ratio=ratio))

    if sheet == "keywords-en":
        assert han(hollow(styled.prompt)) == 0
    else:
        assert han_share(styled.prompt) >= 0.6
    assert styled.counts.budget <= 1 or "LEN_OVER" in codes(styled)
    assert not re.search(r"[，。；、]{2}|, ,|,,|  |的的|\.\.", hollow(styled.prompt))
    assert style(arguments(sheet, prompt=styled.prompt, negative=styled.negative)).prompt == styled.prompt


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(briefs(), st.sampled_from(sorted(MODELS)), st.randoms(use_true_random=False))
def test_the_order_of_the_fields_does_not_matter(brief: dict[str, Any], sheet: str, random: Any):
    names = list(brief)
    random.shuffle(names)

    assert style(arguments(sheet, brief=brief)) == style(arguments(sheet, brief={name: brief[name] for name in names}))


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=120), st.sampled_from(sorted(MODELS)), st.one_of(st.none(), st.text(max_size=60)))
def test_any_text_at_all_is_styled_twice_alike(text: str, sheet: str, negative: str | None):
    once = style(arguments(sheet, prompt=text, negative=negative))

    assert style(arguments(sheet, prompt=text, negative=negative)) == once
    assert once.prompt.startswith(text.rstrip(" .,;\n\t\r")) or negative is None or sheet == "natural-zh"
    json.dumps(once.as_dict("zh"), ensure_ascii=False)
