"""Turns every form of refusal into one `ApiError`, by the error table.

In: status, headers and body of a reply that is not a success (or of the error inside a success).
Out: an ApiError with its row of the table: class, whether anything was billed, whether and how it may be repeated.
Rows match by code, then status, then a pattern in the message, never by the whole message.
Source: captures and the vendor's error pages, see api_errors.json. Never in here: raising, sleeping, retrying.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seedframe.catalog import ApiErrorRow, api_errors, code_aliases, free_when_empty
from seedframe.errors import ApiError
from seedframe.messages import Message
from seedframe.quoting import quoted, quoted_name
from seedframe.redaction import redact
from seedframe.service.documents import parse

_REQUEST_ID = re.compile(r"[Rr]equest [Ii][Dd]:\s*(\S+?)\.?\s*$")
_UNSUPPORTED = re.compile(r"parameter `(\w+)` is not supported")
_NESTED_LEVELS = 4
_LONGEST_MESSAGE = 20_000
_BEGINNING = 120


@dataclass(frozen=True, slots=True)
class Envelope:
    """The content of an error, without its wrappers."""

    code: str
    message: str
    param: str | None = None


def failure(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The error an HTTP reply means."""
    try:
        document = parse(body)
    except ValueError:
        document = None
    envelope = find_envelope(document)
    if envelope is None:
        return _nameless(status, headers, body)
    return from_envelope(envelope, status=status, headers=headers)


def from_envelope(envelope: Envelope, *, status: int, headers: Mapping[str, str]) -> ApiError:
    """The error an envelope means; `status` 200 is an error inside a success.

    Only a row of the table proves that nothing was billed: after any other answer to a paid request it is unknown.
    """
    row = find_row(envelope, status)
    unsupported = _UNSUPPORTED.search(envelope.message)
    code, param = quoted_name(envelope.code), unsupported[1] if unsupported else envelope.param
    known: dict[str, Any] = {
        "code": code,
        "status": status,
        "param": param and quoted_name(param),
        "request_id": request_id(headers, envelope.message),
        "retry_after": _seconds(headers.get("retry-after")),
    }
    message = Message("wire.refused", code=code or status, original=vendor_message(envelope.message))
    if row is None:
        return ApiError(message, kind="other", retry="unknown", advice=Message("wire.unlisted-advice"), **known)
    facts = {"row": row.name, "billed": row.billed, "wait_seconds": row.wait_seconds}
    return ApiError(message, kind=row.error_class, retry=row.retry, advice=row.advice, facts=facts, **known)


def vendor_message(message: str) -> str:
    """The service's sentence without its request id, signed addresses and pictures (it often repeats the request)."""
    words = _REQUEST_ID.sub("", message[:_LONGEST_MESSAGE]).strip().rstrip(".")
    return quoted(redact(words, long_words=True))


def find_envelope(document: Any, depth: int = 0) -> Envelope | None:
    """The innermost error: wrapped, unwrapped, a string, or JSON as a string inside a message (resellers)."""
    if isinstance(document, str):
        return _from_text(document, depth)
    if not isinstance(document, Mapping) or depth > _NESTED_LEVELS:
        return None
    if document.get("error"):
        return find_envelope(document["error"], depth + 1)
    if "message" not in document:
        return None
    message = str(document["message"])
    inner = _from_text(message, depth) if "{" in message else None
    if inner is not None and inner.code:
        return inner
    code, param = str(document.get("code") or document.get("type") or ""), document.get("param")
    return Envelope(code, message, str(param) if param else None)


def find_row(envelope: Envelope, status: int) -> ApiErrorRow | None:
    """The first row of the table that matches."""
    code = code_aliases().get(envelope.code, envelope.code)
    same_code = [row for row in api_errors() if row.code == code]
    for row in same_code:
        if row.match and re.search(row.match, envelope.message):
            return row
    plain = [row for row in same_code if row.match is None]
    return next((row for row in plain if row.status == status), plain[0] if plain else None)


def request_id(headers: Mapping[str, str], message: str = "") -> str | None:
    """The service's id of a request: from the header, else from the end of its message."""
    named = headers.get("x-request-id")
    found = _REQUEST_ID.search(message[-_LONGEST_MESSAGE:])
    id = named or (found[1] if found else None)
    return (quoted_name(id) or None) if id else None


def _from_text(text: str, depth: int) -> Envelope | None:
    start = text.find("{")
    if start >= 0 and depth <= _NESTED_LEVELS:
        try:
            document, _ = json.JSONDecoder().raw_decode(text[start:])
        except (ValueError, RecursionError):
            document = None
        inner = find_envelope(document, depth + 1)
        if inner is not None:
            return inner
    return Envelope("", text) if text.strip() else None


def _nameless(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """A reply without an envelope, such as a proxy's page or an empty 404."""
    free = status in free_when_empty() and not body.strip()
    beginning = quoted(redact(body[:_LONGEST_MESSAGE].decode("utf-8", "replace"), long_words=True), _BEGINNING)
    return ApiError(
        _redirected(status, headers) or Message("wire.nameless", status=status, beginning=beginning or "–"),
        code="",
        status=status,
        kind="other",
        retry="never" if free else "unknown",
        request_id=request_id(headers),
        retry_after=_seconds(headers.get("retry-after")),
        advice=Message("wire.redirected-advice" if 300 <= status < 400 else "wire.nameless-advice"),
    )


def _redirected(status: int, headers: Mapping[str, str]) -> Message | None:
    """The error for a redirect: following it would send a second POST, with the key, to another host."""
    if not 300 <= status < 400 or "location" not in headers:
        return None
    host = headers["location"].partition("://")[2].partition("/")[0].rpartition("@")[2]
    return Message("wire.redirected", status=status, host=quoted_name(host) or "–")


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None
