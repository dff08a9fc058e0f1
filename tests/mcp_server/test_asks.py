"""Sixty asks of people, half of them Chinese, with what an agent forms of them: right at the first call."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.asks import GOAL, answered, asks

pytestmark = pytest.mark.anyio


def test_the_asks_are_sixty_and_half_of_them_chinese():
    chinese = [each for each in asks() if any("\u4e00" <= letter <= "\u9fff" for letter in each["ask"])]

    assert (len(asks()), len(chinese) >= 30) == (60, True)
    assert {each["tool"] for each in asks()} == {"generate_image", "edit_image", "style_prompt", "run_storyboard"}


@pytest.mark.slow
async def test_an_ask_ends_in_a_picture_or_a_plan_at_the_first_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    answers = await answered(tmp_path)
    wrong = {answer.ask: answer.problem for answer in answers if not answer.right}

    assert len(answers) - len(wrong) >= GOAL, wrong
