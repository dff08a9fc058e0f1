"""`skill/seedframe/data/first_answers.json`: the server's static answers for every backend, for a first start.

In: the server as it is in this checkout. Out: the text of the file. `scripts.reference_pages` writes it with the other
computed files. Never in here: an answer that the server did not give.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from seedframe.catalog import catalog
from seedframe.front.kept_answers import Answers
from seedframe.mcp_server.app import build_server
from seedframe.mcp_server.spoken_answers import spoken_answers
from seedframe.settings import Settings

ANSWERS = "skill/seedframe/data/first_answers.json"
"""The file, from the root of a checkout."""


def first_answers_text() -> str:
    """The whole file, a line for each answer so that a change of it reads well."""
    return json.dumps(_document(), ensure_ascii=False, indent=1) + "\n"


def answers_of(backend: str) -> Answers:
    """What the server answers under settings that name nothing but the backend."""
    settings = Settings(backend=backend)
    return asyncio.run(spoken_answers(build_server(_no_studio, settings.language, settings, announces=True)))


def _document() -> dict[str, Any]:
    default = Settings().backend
    usual = answers_of(default)
    texts = list(dict.fromkeys(text for answers in usual.values() for text in answers.values()))
    places = {
        version: {method: texts.index(text) for method, text in answers.items()} for version, answers in usual.items()
    }
    backends: dict[str, dict[str, int]] = {}
    for backend in catalog().backends:
        own = answers_of(backend.name)
        instead = {places[v][m]: text for v in own for m, text in own[v].items() if text != usual[v][m]}
        texts += [text for text in dict.fromkeys(instead.values()) if text not in texts]
        backends[backend.name] = {str(place): texts.index(text) for place, text in instead.items()}
    return {"default": default, "answers": places, "backends": backends, "texts": texts}


def _no_studio() -> Any:
    raise RuntimeError("a list needs no studio")
