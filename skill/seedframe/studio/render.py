"""Room 6: what a door says about a result or an error, in one language.

In: a result's facts, an error. Out: a sentence for people and compact JSON for machines.
Never in here: a door's own format (MCP blocks, terminal colours), base64 of a picture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from seedframe.errors import PromptRejected, SeedreamError
from seedframe.messages import Language, Message


def sentence(facts: Mapping[str, Any], language: Language) -> str:
    """What happened, where the full-size files are, what it cost: for people and for models that skip JSON."""
    if facts["status"] == "dry_run":
        previewed = Message("report.dry-run", asked=facts["frame"]["asked"], cost=cost(facts["cost"]))
        lines = [previewed.text(language), facts["prompt"]]
    else:
        lines = [_headline(facts, language)]
        lines += [Message("report.file", **_shown(picture)).text(language) for picture in facts["pictures"]]
        lines += [_absence(missing, language) for missing in facts["missing"]]
    lines += [str(warning) for warning in facts["warnings"]]
    lines += [advice(finding, language) for finding in facts["findings"] if finding["severity"] != "info"]
    return "\n".join(lines)


def advice(finding: Mapping[str, Any], language: Language) -> str:
    """A finding and how to mend it, in one line."""
    if not finding.get("mend"):
        return str(finding["message"])
    return Message("styling.and-then", first=finding["message"], second=finding["mend"]).text(language)


def cost(price: Mapping[str, Any]) -> str | Message:
    """`0.22 CNY`, or that no price is published."""
    return Message("report.unpublished") if price["amount"] is None else f"{price['amount']} {price['currency']}"


def _paid(price: Mapping[str, Any]) -> str | Message:
    return Message("report.at-most", cost=cost(price)) if price.get("at_most") else cost(price)


def _absence(missing: Mapping[str, Any], language: Language) -> str:
    billed = Message(f"report.billed-{missing['billed']}")
    line = Message("report.missing", number=missing["index"] + 1, billed=billed, why=missing["message"]).text(language)
    return f"{line} {missing['advice']}" if missing.get("advice") else line


def machine_text(facts: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """Compact JSON."""
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":"), default=str)


def error_facts(error: SeedreamError, language: Language = "en") -> dict[str, Any]:
    """What machines read of an error."""
    noticed = error.noticed(language) if isinstance(error, PromptRejected) else {}
    return {**error.facts, **noticed, "error": error.kind}


def error_text(error: SeedreamError, language: Language, *, generating: bool = True) -> str:
    """The whole story of an error; a rejected prompt tells each finding. Not `generating`: no picture was asked for."""
    described = error.text(language, generating=generating)
    if isinstance(error, PromptRejected):
        noticed = error.noticed(language)
        details = [*noticed["needs_host"], *noticed["findings"]]
        described = "\n".join(
            [described, *(f"- {detail['message']}" for detail in details if detail["message"] not in described)]
        )
    return described


def _headline(facts: Mapping[str, Any], language: Language) -> str:
    key = _HEADLINES.get(facts["status"], "report.done")
    count, paid = len(facts["pictures"]), _paid(facts["cost"])
    headline = Message(key, count=count, model=facts["model"], cost=paid).text(language)
    marks = [name for name in ("emulated", "replayed", "fetched", "joined") if facts.get(name)]
    return " ".join([headline, *(Message(f"report.{mark}").text(language) for mark in marks)])


_HEADLINES = {"partial": "report.partial", "wrong_size": "report.wrong-size"}


def _shown(picture: Mapping[str, Any]) -> dict[str, Any]:
    untouched = picture["method"] == "bytes"
    return {
        "path": picture["path"],
        "size": f"{picture['width']}x{picture['height']}",
        "how": Message("report.untouched" if untouched else "report.changed", method=picture["method"]),
    }
