"""Twenty briefs of different genres: what 5.0-lite and 4.5 are sent, to the letter, worded as a native would."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from seedframe.prompting import PromptInput, style

CASES = sorted((Path(__file__).parents[1] / "cases" / "briefs").glob("*.json"))
MODELS = {"natural-zh": "5.0-lite", "keywords-en": "4.5"}


def styled(case: dict[str, Any], sheet: str) -> dict[str, Any]:
    sent = style(
        PromptInput(
            sheet=sheet,
            model=MODELS[sheet],
            brief=case["brief"],
            negative_supported=sheet == "keywords-en",
            **case["call"],
        )
    )
    assert sent.needs_host == ()
    return {"prompt": sent.prompt, "negative": sent.negative, "codes": sorted(found.code for found in sent.findings)}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_brief_of_its_genre_is_worded_as_a_native_would(path: Path):
    case = json.loads(path.read_text(encoding="utf-8"))

    assert case["styled"] == {sheet: styled(case, sheet) for sheet in MODELS}


def test_there_are_twenty_genres():
    genres = {json.loads(path.read_text(encoding="utf-8"))["genre"] for path in CASES}

    assert len(genres) == len(CASES) >= 20


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_no_language_is_mixed_into_the_other(path: Path):
    sent = json.loads(path.read_text(encoding="utf-8"))["styled"]
    english = re.sub(r'"[^"]*"', "", sent["keywords-en"]["prompt"])
    latin = re.findall(r"[A-Za-z]{2,}", re.sub("“[^”]*”", "", sent["natural-zh"]["prompt"]))

    assert re.findall(r"[\u4e00-\u9fff]", english) == []
    assert set(latin) <= {"mm"}
