"""What words cost per call: styling a prompt, checking arguments, against validation as it is often done.

In: nothing. Out: milliseconds. No network, no picture.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jsonschema

from bench.figures import Ground, Report, Series, compared
from bench.ours import environment
from seedframe.catalog import catalog
from seedframe.prompting import brief_schema
from seedframe.service import schemas
from seedframe.service.request import check
from seedframe.settings import Settings
from seedframe.studio.plan import style_request

_PROSE = "海边的灯塔，月光与薄雾，一个穿红雨衣的女孩提着灯走过栈桥，电影感，低机位，浅景深"
_KEYWORDS = "lighthouse by the sea, moonlight, mist, girl in a red raincoat, lantern, low angle, cinematic"
_WISHES = {"5.0-lite": _PROSE, "4.5": _KEYWORDS}


def report(report: Report, ground: Ground) -> None:
    """A request for each model family, checked and styled."""
    report.title("Words (milliseconds per call)")
    rounds, facts = ground.rounds(200, 50), catalog()
    settings = Settings.read(environment("http://127.0.0.1:9", Path("unused")))
    for model, prompt in _WISHES.items():
        arguments = {"prompt": prompt, "model": model, "ratio": "9:16"}
        request = check("generate_image", arguments, catalog=facts, settings=settings)
        checking = _timed(partial(check, "generate_image", arguments, catalog=facts, settings=settings), rounds)
        styling = _timed(partial(style_request, request), rounds)
        report.line(f"{model}: check · style", f"{checking.median:.2f} · {styling.median:.2f}")
    schema = json.loads(json.dumps(schemas.advertised("generate_image", facts, brief_schema())["inputSchema"]))
    usual = _timed(lambda: jsonschema.validate(arguments, schema), ground.rounds(30, 10))
    report.line("4.5: check, with the usual way", compared({"ours": checking, "jsonschema.validate": usual}))


def _timed(work: Callable[[], object], rounds: int) -> Series:
    work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return Series(times)
