"""Stage 6: a result or an error as text and JSON, in one language.

In: a `Result`, an error. Out: a sentence for people and compact JSON for machines.
Never in here: the format of an entry point (MCP blocks, terminal colours), base64 of a picture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from seedframe.errors import PromptRejected, SeedreamError
from seedframe.messages import Language, Message
from seedframe.studio.types import Cost, Finding, MissingPicture, Picture, Result


def sentence(result: Result, language: Language) -> str:
    """What happened, where the full-size files are, what it cost: for people and for models that skip JSON."""
    if result.status == "dry_run":
        previewed = Message("report.dry-run", asked=result.request.frame.asked, cost=cost(result.cost))
        lines = [previewed.text(language), result.request.prompt]
    else:
        lines = [_headline(result, language)]
        lines += [Message("report.file", **_shown(picture)).text(language) for picture in result.pictures]
        lines += [_absence(missing, language) for missing in result.missing]
    lines += result.warnings
    lines += [advice(finding, language) for finding in result.findings if finding.severity != "info"]
    return "\n".join(lines)


def advice(finding: Finding, language: Language) -> str:
    """A finding and how to mend it, in one line."""
    if not finding.mend:
        return finding.message
    return Message("styling.and-then", first=finding.message, second=finding.mend).text(language)


def cost(price: Cost) -> str | Message:
    """`0.22 CNY`, or that no price is published."""
    amount = price.as_dict()["amount"]
    return Message("report.unpublished") if amount is None else f"{amount} {price.currency}"


def _paid(price: Cost) -> str | Message:
    return Message("report.at-most", cost=cost(price)) if price.at_most else cost(price)


def _absence(missing: MissingPicture, language: Language) -> str:
    billed = Message(f"report.billed-{missing.billed}")
    line = Message("report.missing", number=missing.index + 1, billed=billed, why=missing.message).text(language)
    return f"{line} {missing.advice}" if missing.advice else line


def machine_text(document: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """Compact JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=str)


def error_facts(error: SeedreamError, language: Language = "en") -> dict[str, Any]:
    """The JSON of an error."""
    noticed = error.noticed(language) if isinstance(error, PromptRejected) else {}
    return {**error.facts, **noticed, "error": error.kind}


def error_text(error: SeedreamError, language: Language, *, generating: bool = True) -> str:
    """What happened and what to try; for a rejected prompt each finding. `generating`: a picture was asked for."""
    text = error.text(language, generating=generating)
    if isinstance(error, PromptRejected):
        noticed = error.noticed(language)
        details = [*noticed["needs_host"], *noticed["findings"]]
        text = "\n".join([text, *(f"- {detail['message']}" for detail in details if detail["message"] not in text)])
    return text


def _headline(result: Result, language: Language) -> str:
    key = _HEADLINES.get(result.status, "report.done")
    count, paid = len(result.pictures), _paid(result.cost)
    headline = Message(key, count=count, model=result.request.model, cost=paid)
    for mark in [*(["emulated"] if result.emulated else []), *([result.mark] if result.mark else [])]:
        headline = Message("report.marked", headline=headline, mark=Message(f"report.{mark}"))
    return headline.text(language)


_HEADLINES = {"partial": "report.partial", "wrong_size": "report.wrong-size"}


def _shown(picture: Picture) -> dict[str, Any]:
    untouched = picture.method == "bytes"
    how = Message("report.untouched" if untouched else "report.changed", method=picture.method)
    return {"path": picture.path, "size": picture.size, "how": how}
