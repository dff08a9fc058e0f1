"""Findings by code: the code's severity and limits are data in prompts/lint.json, its sentences in messages/.

In: a code and values. Out: a `PromptFinding`. Never in here: when a code applies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from seedframe.messages import Message, sentences
from seedframe.package_data import folder, read_json
from seedframe.prompting.types import PromptFinding, Severity


@cache
def rule_table() -> Mapping[str, Any]:
    """The lint data as in the file."""
    data: Mapping[str, Any] = read_json(folder("prompts") / "lint.json")
    return data


@cache
def order() -> Mapping[str, int]:
    """The position of a code in the file, which is the order of findings."""
    return {code: place for place, code in enumerate(rule_table()["codes"])}


@cache
def pattern(name: str, language: str) -> re.Pattern[str]:
    """The pattern of a rule in a language; a pattern that does not exist there never matches."""
    return re.compile(rule_table()["patterns"][name].get(language, r"(?!)"), re.IGNORECASE)


def limits(code: str) -> Mapping[str, Any]:
    """The numbers and switches of a code."""
    entry: Mapping[str, Any] = rule_table()["codes"][code]
    return entry


def strict(found: PromptFinding) -> PromptFinding:
    """The finding with its severity in strict mode; one that was softened, or has no strict severity, stays."""
    known = limits(found.code)
    binding = "strict" in known and found.severity == known["severity"]
    return replace(found, severity=known["strict"]) if binding else found


def worth_rewriting(findings: Iterable[PromptFinding]) -> tuple[str, ...]:
    """The codes among them that rewriting by the host's model would fix."""
    return tuple(dict.fromkeys(found.code for found in findings if limits(found.code).get("rewrite")))


def finding(code: str, severity: Severity | None = None, /, **values: Any) -> PromptFinding:
    """The finding of a code, worded with `values`; `severity` overrides the data's."""
    key = "styling." + code.lower().replace("_", "-")
    mend = f"{key}-mend"
    return PromptFinding(
        code=code,
        severity=severity or limits(code)["severity"],
        message=Message(key, **values),
        mend=Message(mend, **values) if mend in sentences("en") else None,
    )
