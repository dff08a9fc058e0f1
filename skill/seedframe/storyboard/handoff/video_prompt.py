"""The words of a request to Seedance: what moves, what is spoken, which picture shows whom.

In: a shot of a manifest. Out: one text, in Chinese where the shot's motion is told in Chinese. The templates are data
(`seedance.json`). Never in here: pictures, parameters, limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from seedframe.storyboard.handoff.manifest import seedance
from seedframe.storyboard.wording import HAN

_SPEAKER = re.compile(r"(?P<speaker>[^:：\"“”]{1,40})[:：]\s*(?P<words>.+)", re.DOTALL)
_QUOTES = '"“”「」'


def video_prompt(shot: Mapping[str, Any], *, spoken: bool) -> str:
    """The text of a shot, empty where nothing moves and nobody speaks. `spoken`: with its dialogue in quotation marks.

    Seedance voices what stands in quotation marks (Volcengine's guide to prompts, read 2026-11).
    """
    motion, dialogue = shot["job"]["prompt"], shot.get("dialogue") or ""
    chinese = "zh" in motion or (not motion and HAN.search(dialogue) is not None)
    language = "zh" if chinese else "en"
    words = seedance()["requests"]["words"][language]
    parts = [motion.get(language) or next(iter(motion.values()), "")]
    parts += _shown(shot["job"], words["picture"], language)
    if spoken:
        parts += (_said(line.strip(), words) for line in dialogue.splitlines() if line.strip())
    return str(words["join"]).join(part for part in parts if part)


def _said(line: str, words: Mapping[str, str]) -> str:
    if any(quote in line for quote in _QUOTES):
        return line
    match = _SPEAKER.fullmatch(line)
    return words["said"].format(**match.groupdict()) if match else words["unnamed"].format(words=line)


def _shown(job: Mapping[str, Any], template: str, language: str) -> Iterator[str]:
    """Whom the registered faces show, by their number among the request's pictures."""
    for number, asset in enumerate(job.get("assets", ()), len(job["images"]) + 1):
        name = asset["name"].get(language) or next(iter(asset["name"].values()))
        yield template.format(number=number, name=name)
