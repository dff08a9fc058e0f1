"""The content a tool returns: one text block, small previews, links to the full files.

In: a `Result` or an error. Out: `CallToolResult`. No structuredContent: three hosts drop the pictures or the text
when it is there (measured 2026-11). Never in here: base64 of a full picture, the text of a foreign exception.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import mcp.types as t

from seedframe.errors import SeedreamError
from seedframe.messages import Language, Message
from seedframe.redaction import redact
from seedframe.studio import render
from seedframe.studio.types import Picture, Result

PREVIEW_BUDGET = 700_000
"""Base64 characters of all previews of one result: a host refuses results over 1 MB."""

MOST_PREVIEWS = 4
SMALL_PREVIEWS = 200_000
"""Bytes of all previews that are turned into base64 on the event loop, which takes 0.2 ms."""


def is_small(result: Result) -> bool:
    """Whether its answer is made without pixels and within a millisecond."""
    return len(result.previews) <= MOST_PREVIEWS and sum(map(len, result.previews)) <= SMALL_PREVIEWS


def answer(result: Result, language: Language) -> t.CallToolResult:
    """Sentence and JSON, previews within the budget, links for the user."""
    text = render.sentence(result, language) + "\n" + render.machine_text(result.as_dict())
    blocks: list[t.ContentBlock] = [t.TextContent(type="text", text=text)]
    blocks += [
        t.ImageContent(type="image", data=base64.b64encode(small).decode("ascii"), mime_type="image/jpeg")
        for small in _shown(result)
    ]
    blocks += [_link(picture) for picture in result.pictures]
    return t.CallToolResult(content=blocks)


def refusal(error: SeedreamError, language: Language, *, generating: bool = True) -> t.CallToolResult:
    """The result for an error the caller can act on."""
    sentence = render.error_text(error, language, generating=generating)
    text = sentence + "\n" + render.machine_text(render.error_facts(error, language))
    return t.CallToolResult(is_error=True, content=[t.TextContent(type="text", text=text)])


def ticket(entry: str, seconds: int, language: Language) -> t.CallToolResult:
    """The result for a paid call that goes on after its host stops waiting: its state and how to get its pictures."""
    facts = {"status": "under_way", "entry": entry, "seconds": seconds, "collect": "same_call"}
    text = Message("hosts.ticket", entry=entry, seconds=seconds).text(language)
    return plain(text + "\n" + render.machine_text(facts))


def defect(reference: str, entry: str | None, language: Language) -> t.CallToolResult:
    """The result for a defect: a reference to the log, nothing of the exception. `entry`: a recorded payment."""
    key = "server.defect" if entry is None else "server.defect-paid"
    text = Message(key, reference=reference, entry=entry).text(language)
    return t.CallToolResult(is_error=True, content=[t.TextContent(type="text", text=text)])


def redacted(result: t.CallToolResult, secrets: Sequence[str]) -> t.CallToolResult:
    """The same result with its text redacted."""
    return result.model_copy(update={"content": [_redacted(block, secrets) for block in result.content]})


def plain(text: str) -> t.CallToolResult:
    """One block of text."""
    return t.CallToolResult(content=[t.TextContent(type="text", text=text)])


def _redacted(block: t.ContentBlock, secrets: Sequence[str]) -> t.ContentBlock:
    if not isinstance(block, t.TextContent):
        return block
    return block.model_copy(update={"text": redact(block.text, secrets, long_words=True)})


def _shown(result: Result) -> list[bytes]:
    """A preview of each picture; sets, and previews that would not fit, become one contact strip."""
    previews = list(result.previews)
    if len(previews) <= MOST_PREVIEWS and sum(map(len, previews)) * 4 // 3 <= PREVIEW_BUDGET:
        return previews
    from seedframe.images import contact_strip

    return [contact_strip(result.paths, max_bytes=PREVIEW_BUDGET * 3 // 4)]


def _link(picture: Picture) -> t.ResourceLink:
    """For the user only: a host that reads links into the model would read the full file."""
    return t.ResourceLink(
        type="resource_link",
        name=picture.path.name,
        uri=picture.link or picture.path.as_uri(),
        mime_type=picture.mime,
        size=picture.bytes,
        annotations=t.Annotations(audience=["user"]),
    )
