"""Results for callers on other machines: the server's paths become links.

In: a tool's result as it goes on the wire, a caller. Out: the same with a link for each of the caller's files and
nothing of the server's folders. Never in here: what a tool does, a signature.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from seedframe.mcp_server.http.links import Links

HIDDEN = "…"
PAGE = ".html"


@dataclass(frozen=True, slots=True)
class Outward:
    """Translates for one caller, whose files lie in `root`. `private` are further folders whose names are removed."""

    caller: str
    root: Path
    links: Links
    private: tuple[Path, ...]

    def result(self, wire: Mapping[str, Any]) -> dict[str, Any]:
        """A `tools/call` result as a mapping, with links for paths."""
        return {**wire, "content": [self._block(block) for block in wire.get("content", ())]}

    def text(self, text: str) -> str:
        """A sentence without the server's folders."""
        for folder in sorted((self.root, *self.private), key=lambda path: -len(str(path))):
            mark = "" if folder == self.root else HIDDEN
            for spelled in dict.fromkeys((str(folder), folder.as_posix(), json.dumps(str(folder))[1:-1])):
                text = text.replace(f"{spelled}/", f"{mark}/" if mark else "")
                text = text.replace(f"{spelled}\\", f"{mark}/" if mark else "").replace(spelled, mark or ".")
        return text

    def _block(self, block: Mapping[str, Any]) -> dict[str, Any]:
        if block.get("type") == "text":
            return {**block, "text": self._report(str(block["text"]))}
        if block.get("type") == "resource_link" and str(block["uri"]).startswith("file:"):
            path = Path(url2pathname(unquote(urlsplit(str(block["uri"])).path)))
            return {**block, "uri": self._link(path) or f"seedframe:{path.name}"}
        return dict(block)

    def _report(self, text: str) -> str:
        """Sentences, then JSON in the last line: each file named in the JSON is a link in both."""
        sentences, _, machine = text.rpartition("\n")
        try:
            facts = json.loads(machine)
        except ValueError:
            return self.text(text)
        links = {path: link for path in _strings(facts) if (link := self._link(Path(path))) is not None}
        for path in sorted(links, key=len, reverse=True):
            sentences = sentences.replace(path, links[path])
        shown = json.dumps(self._translated(facts, links), ensure_ascii=False, separators=(",", ":"))
        return f"{self.text(sentences)}\n{shown}"

    def _translated(self, value: Any, links: Mapping[str, str]) -> Any:
        if isinstance(value, dict):
            return {_named(name, item, links): self._translated(item, links) for name, item in value.items()}
        if isinstance(value, list):
            return [self._translated(item, links) for item in value]
        return links.get(value) or self.text(value) if isinstance(value, str) else value

    def _link(self, path: Path) -> str | None:
        """A link for an existing file of the caller; the link of a page covers its folder."""
        try:
            if not path.is_absolute() or not path.is_relative_to(self.root) or not path.is_file():
                return None
        except (OSError, ValueError):  # a long sentence is no path
            return None
        in_folder = path.suffix == PAGE and path.parent != self.root
        return self.links.to(self.caller, self.root, path, scope=path.parent if in_folder else None)


def _named(name: str, value: Any, links: Mapping[str, str]) -> str:
    """A `path` that has become a link is called one."""
    return "url" if name == "path" and isinstance(value, str) and value in links else name


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
