"""How to write for a family of models, in one short block that an agent reads beside its own words.

In: a style sheet's name. Out: the text of prompts/rules, at most 1.5 KB. Never in here: when an agent should read it.
"""

from __future__ import annotations

from functools import cache

from seedframe.package_data import folder


@cache
def writing_rules(sheet: str) -> str:
    """The rules of one sheet."""
    return (folder("prompts") / "rules" / f"{sheet}.md").read_text(encoding="utf-8")
