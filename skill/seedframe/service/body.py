"""The JSON body of a POST, with picture files in it that are read while it is sent.

In: a mapping whose values may hold `FilePart`s. Out: a body of known length, once for each time it is sent, with the
very characters that `json.dumps` would give for it. Never in here: a header with a key, a decision to send.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from seedframe.service.file_part import FilePart, pieces


class JsonBody:
    """A body that can be sent several times: each iteration opens its files again.

    `complete`: its last piece was handed over, so the receiver may have all of it.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._parts = _parts(content)
        self.complete = len(self._parts) == 1

    @property
    def content(self) -> bytes | JsonBody:
        """What to send: plain text where there are no files in it."""
        only = self._parts[0]
        return only if len(self._parts) == 1 and isinstance(only, bytes) else self

    @property
    def headers(self) -> dict[str, str]:
        """The headers that describe the body."""
        length = sum(part.sent_length if isinstance(part, FilePart) else len(part) for part in self._parts)
        return {"content-type": "application/json", "content-length": str(length)}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.complete = False
        for left, part in zip(reversed(range(len(self._parts))), self._parts, strict=True):
            if isinstance(part, FilePart):
                async for piece in pieces(part):
                    yield piece
            else:
                self.complete = not left
                yield part


def described(content: Any) -> Any:
    """The same value with a line for each picture file in it."""
    if isinstance(content, FilePart):
        return content.describe()
    if isinstance(content, Mapping):
        return {name: described(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [described(value) for value in content]
    return content


def _parts(content: Mapping[str, Any]) -> list[bytes | FilePart]:
    """The JSON text, split where files belong; the first and the last part are text."""
    mark, files = uuid.uuid4().hex, list[FilePart]()

    def marked(value: Any) -> str:
        if not isinstance(value, FilePart):
            raise TypeError(f"{type(value).__name__} is no JSON")
        files.append(value)
        return mark

    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=marked)
    first, *others = (piece.encode() for piece in text.split(mark))
    parts: list[bytes | FilePart] = [first]
    for file, piece in zip(files, others, strict=True):
        parts += (file, piece)
    return parts
