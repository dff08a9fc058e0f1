"""What a brief asks goes out as it was given, and nothing is said of the picture that is not so."""

from __future__ import annotations

from typing import Any

import pytest

from seedframe.prompting import PromptInput, StyledPrompt, style

MODELS = {"natural-zh": "5.0-lite", "keywords-en": "4.5"}
TABLE = {"zh": "木桌上", "en": "wooden table"}


def sent(sheet: str, **parts: Any) -> StyledPrompt:
    return style(PromptInput(sheet=sheet, model=MODELS[sheet], negative_supported=sheet == "keywords-en", **parts))


def both(**brief: Any) -> tuple[StyledPrompt, StyledPrompt]:
    return sent("natural-zh", brief=brief), sent("keywords-en", brief=brief)


def codes(styled: StyledPrompt) -> set[str]:
    return {finding.code for finding in styled.findings}


# What to avoid


def test_a_cup_has_no_hands_skin_or_feet_to_speak_of():
    cup = {"zh": "一只白瓷咖啡杯", "en": "a white porcelain coffee cup"}

    zh, en = both(subject=cup, setting=TABLE, avoid="extra fingers, plastic look, cropped feet")

    assert zh.prompt == "木桌上摆着一只白瓷咖啡杯。材质真实自然。"
    assert en.prompt == "a white porcelain coffee cup on a wooden table, true-to-life material texture"
    assert en.negative == "blurry, watermark, text overlay"
    assert "AVOID_UNFIT" in codes(zh) & codes(en)


def test_a_close_up_is_never_asked_to_show_the_feet():
    seed = (
        "blurry, extra fingers, distorted hands, watermark, text overlay, cropped feet, cut off at ankles, partial body"
    )

    zh = sent("natural-zh", brief={"subject": "一位老人", "shot_size": "特写"}, negative=seed)
    prompt = sent("natural-zh", prompt="一位老人的面部特写，窗边的光", negative=seed).prompt

    assert [text for text in (zh.prompt, prompt) if "脚" in text or "手" in text or "完整入镜" in text] == []


@pytest.mark.parametrize(
    ("subject", "zh_said", "en_said"),
    [
        ({"zh": "一名侦探", "en": "a detective"}, "画面里只出现这一个人物", "one person only in frame"),
        ({"zh": "两名侦探", "en": "two detectives"}, "画面里只有这两个人", "only these two people in frame"),
        (
            {"zh": "一位母亲和一个女孩", "en": "a mother and a girl"},
            "画面里只有这两个人",
            "only these two people in frame",
        ),
    ],
    ids=["one", "two", "two named apart"],
)
def test_nobody_else_means_nobody_but_those_who_are_there(subject: dict[str, str], zh_said: str, en_said: str):
    zh, en = both(subject=subject, avoid="other people")

    assert zh.prompt.endswith(f"{zh_said}。")
    assert en.prompt.endswith(en_said)


def test_of_people_not_counted_nothing_is_said_but_the_negative_tells_it():
    zh, en = both(subject={"zh": "一群孩子", "en": "a group of children"}, avoid="other people")

    assert zh.prompt == "画面主体是一群孩子。"
    assert "AVOID_RAW" in codes(zh)
    assert en.prompt == "a group of children"
    assert "extra people" in (en.negative or "")


@pytest.mark.parametrize(
    "subject",
    [
        {"zh": "一只雪豹", "en": "a snow leopard"},
        {"zh": "一辆红色跑车", "en": "a red sports car"},
        {"zh": "一只青瓷碗", "en": "a celadon bowl"},
    ],
    ids=["animal", "car", "bowl"],
)
def test_no_people_beside_an_animal_or_a_thing_does_not_make_it_scenery(subject: dict[str, str]):
    zh, en = both(subject=subject, avoid="people")

    assert (zh.prompt, en.prompt) == (f"画面主体是{subject['zh']}。", subject["en"])
    assert en.negative == "blurry, watermark, text overlay, people"


def test_no_people_in_a_place_leaves_it_deserted():
    zh, en = both(subject={"zh": "一条石板小巷", "en": "a flagstone alley"}, avoid="people")

    assert (zh.prompt, en.prompt) == ("画面呈现一条石板小巷。四下空无一人。", "a flagstone alley, deserted setting")
    assert en.negative == "blurry, watermark, text overlay"


def test_a_wish_nothing_carries_is_reported_as_not_sent():
    zh, en = both(subject={"zh": "一座栈桥", "en": "a pier"}, avoid="seagulls")

    assert zh.prompt == "画面呈现一座栈桥。"
    (finding,) = [finding for finding in zh.findings if finding.code == "AVOID_RAW"]
    assert (finding.severity, "seagulls was not sent" in str(finding.message)) == ("warning", True)
    assert en.negative == "blurry, watermark, text overlay, seagulls"


# Minimal negatives


@pytest.mark.parametrize(
    "prompt",
    [
        "a still mountain lake at dawn, frost on the stones",
        "a lighthouse in a storm, waves breaking on the rocks",
        "an empty street at night, wet asphalt",
        "close-up of a tabby cat, green eyes",
    ],
)
def test_a_picture_without_people_has_no_hands_or_feet_in_its_negative(prompt: str):
    assert sent("keywords-en", prompt=prompt).negative == "blurry, watermark, text overlay"


@pytest.mark.parametrize(
    "prompt",
    [
        "head-and-shoulders portrait of an old man, window light",
        "over-the-shoulder shot of a woman at a window",
        "two-shot of a man and a woman in a car",
        "close-up of a girl's face, freckles",
    ],
)
def test_a_frame_without_hands_and_feet_has_none_in_its_negative(prompt: str):
    assert sent("keywords-en", prompt=prompt).negative == "blurry, watermark, text overlay"


def test_hands_that_are_shown_close_keep_their_terms():
    negative = sent("keywords-en", prompt="close-up of an old man's hands holding a pocket watch").negative

    assert negative == "blurry, extra fingers, distorted hands, watermark, text overlay"


# Look words


@pytest.mark.parametrize(
    ("field", "word", "en_said", "zh_said"),
    [
        ("material", "wood", "wood", "木质纹理清晰可见"),
        ("material", "denim", "denim", "牛仔布纹理清晰可见"),
        ("weather", "rain", "rain", "下着雨"),
        ("time_of_day", "afternoon", "afternoon", "午后时分"),
        ("palette", "blue", "blue palette", "整体色调以蓝色为主"),
        ("lighting", "window light", "window light", "光线从窗户照进来"),
        ("lens", "24mm", "24mm wide-angle lens", "用24mm广角镜头拍摄"),
    ],
)
def test_a_look_word_goes_out_as_given(field: str, word: str, en_said: str, zh_said: str):
    zh, en = both(subject={"zh": "一张新书桌", "en": "a brand-new desk"}, **{field: word})

    assert en.prompt == f"a brand-new desk, {en_said}"
    assert zh_said in zh.prompt
    assert not {"ENRICHED", "WORD_UNKNOWN"} & (codes(zh) | codes(en))


@pytest.mark.parametrize("word", ["木头", "雨", "逆光", "窗边光"])
def test_a_chinese_look_word_stays_the_word_it_is(word: str):
    field = {"木头": "material", "雨": "weather"}.get(word, "lighting")

    assert word[0] in sent("natural-zh", brief={"subject": "一张新书桌", field: word}).prompt


def test_a_fuller_wording_is_asked_for_and_told():
    brief = {"subject": "a brand-new desk", "material": "wood", "lighting": "backlight"}

    plain, full = sent("keywords-en", brief=brief), sent("keywords-en", brief={**brief, "enrich": True})

    assert plain.prompt == "a brand-new desk, backlight, wood"
    assert full.prompt == "a brand-new desk, backlight, natural wood grain"
    (finding,) = [finding for finding in full.findings if finding.code == "ENRICHED"]
    assert (finding.severity, "wood → natural wood grain" in str(finding.message)) == ("info", True)


@pytest.mark.parametrize("sheet", MODELS)
@pytest.mark.parametrize("word", ["warm pendant lamp", "暖色吊灯"])
def test_an_unknown_look_word_is_used_as_it_is_and_asks_nothing_of_the_host(sheet: str, word: str):
    brief = {"subject": {"zh": "一间书房", "en": "a study"}, "lighting": word}

    styled = sent(sheet, brief=brief)

    assert word in styled.prompt
    assert (styled.needs_host, "WORD_UNKNOWN" in codes(styled)) == ((), True)


def test_lamps_nobody_asked_for_stay_out_of_the_room():
    brief = {"subject": "一间书房，沙发旁立着一盏落地灯", "lighting": "practical lights"}

    for parts in (brief, {**brief, "enrich": True}):
        prompt = sent("natural-zh", brief=parts).prompt
        assert "台灯" not in prompt
        assert "壁灯" not in prompt


# Sentences


def test_a_place_is_part_of_the_sentence():
    zh, en = both(
        subject={"zh": "一只橘猫", "en": "an orange cat"},
        action={"zh": "打哈欠", "en": "yawning"},
        setting={"zh": "窗边的旧沙发上", "en": "old sofa by the window"},
    )

    assert zh.prompt == "窗边的旧沙发上，一只橘猫打哈欠。"
    assert en.prompt == "an orange cat yawning on an old sofa by the window"


def test_two_people_keep_their_names_places_and_looks_apart():
    one = {
        "text": {"zh": "一位短发女刑警，穿灰色风衣", "en": "short-haired detective, grey trench coat"},
        "position": "left",
    }
    other = {
        "text": {"zh": "一位老刑警，穿棕色皮夹克", "en": "veteran detective, brown leather jacket"},
        "position": "right",
    }

    zh, en = both(
        subjects=[
            {**one, "name": {"zh": "林默", "en": "Lin Mo"}, "kind": "person"},
            {**other, "name": {"zh": "老赵", "en": "Lao Zhao"}, "kind": "person"},
        ],
        action={"zh": "隔着桌子对视", "en": "facing each other across the table"},
    )

    assert zh.prompt == (
        "画面左侧是林默，一位短发女刑警，穿灰色风衣；画面右侧是老赵，一位老刑警，穿棕色皮夹克。两人隔着桌子对视。"
    )
    assert en.prompt == (
        "on the left: Lin Mo, short-haired detective, grey trench coat; "
        "on the right: Lao Zhao, veteran detective, brown leather jacket; "
        "the two facing each other across the table"
    )


def test_a_brief_in_one_language_is_worded_whole_in_it():
    english = sent("natural-zh", brief={"subject": "a red fox", "action": "sleeping in the snow", "lighting": "轮廓光"})
    chinese = sent("keywords-en", brief={"subject": "一只赤狐", "action": "蜷在雪地里睡觉", "lighting": "rim light"})

    assert english.prompt == "a red fox sleeping in the snow, rim light"
    assert chinese.prompt == "一只赤狐蜷在雪地里睡觉。轮廓光勾勒出主体边缘。"
    assert "LANG_5" in codes(english)
    assert "LANG_45" in codes(chinese)


@pytest.mark.parametrize(
    ("brief", "prompt"),
    [
        ({"subject": "红烧肉", "setting": "青花瓷盘里", "lighting": "暖光"}, "青花瓷盘里有红烧肉。暖光照明。"),
        ({"subject": "一座古塔", "setting": "雪后的西湖，湖面结着薄冰"}, "雪后的西湖边有一座古塔。湖面结着薄冰。"),
        ({"action": "一个人在雨中奔跑", "setting": "城市街头"}, "城市街头，一个人在雨中奔跑。"),
        ({"subject": "客房", "setting": "榻榻米上铺着两床被褥"}, "画面主体是客房。榻榻米上铺着两床被褥。"),
        (
            {"subjects": ["一位穿红裙的女人", "一只黑狗"], "action": "在海边散步", "time_of_day": "傍晚"},
            "傍晚时分，一位穿红裙的女人和一只黑狗在海边散步。",
        ),
        (
            {"subjects": ["一位妈妈，穿围裙", "一个小男孩，脸上沾着面粉"], "action": "一起揉面团", "setting": "厨房"},
            "厨房里有一位妈妈，穿围裙；还有一个小男孩，脸上沾着面粉。两人一起揉面团。",
        ),
        (
            {"subjects": ["a tall woman in a red coat", "a small boy, wet hair"], "setting": "park"},
            "in a park, a tall woman in a red coat; a small boy, wet hair",
        ),
    ],
)
def test_every_sentence_stands_on_its_own(brief: dict[str, Any], prompt: str):
    assert sent("keywords-en" if prompt.isascii() else "natural-zh", brief=brief).prompt == prompt
