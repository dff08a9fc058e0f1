"""The formats a board can be written in, each into the same canonical dict.

In: text and a file name. Out: `Document`. The extension gives the format, else the text itself.
Never in here: the schema check and the values (see `board`).
"""

from __future__ import annotations

import re
from pathlib import PurePath

from seedframe.messages import Message
from seedframe.storyboard.formats.csv_format import read_csv
from seedframe.storyboard.formats.document import Document, Place, refusal
from seedframe.storyboard.formats.fountain_format import read_fountain
from seedframe.storyboard.formats.json_format import read_json
from seedframe.storyboard.formats.markdown_format import read_markdown
from seedframe.storyboard.formats.text_format import is_sentences, read_sentences
from seedframe.storyboard.formats.xlsx_format import SUFFIXES, read_workbook
from seedframe.storyboard.formats.yaml_format import read_yaml

__all__ = ["Document", "Place", "format_of", "is_workbook", "read_document", "read_workbook", "refusal"]

READERS = {
    "json": read_json,
    "yaml": read_yaml,
    "markdown": read_markdown,
    "csv": read_csv,
    "fountain": read_fountain,
    "text": read_sentences,
}
EXTENSIONS = {
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".md": "markdown",
    ".markdown": "markdown",
    ".csv": "csv",
    ".tsv": "csv",
    ".fountain": "fountain",
    ".spmd": "fountain",
}


def read_document(text: str, name: str) -> Document:
    """The canonical dict of a board text; InvalidRequest naming line and column when the format is broken."""
    if not text.strip():
        raise refusal(name, Place(1, 1), Message("storyboard.empty"), got="", allowed=sorted(READERS))
    return READERS[format_of(text, name)](text, name)


def is_workbook(name: str) -> bool:
    """Whether a file is read as a workbook, from its bytes (`read_workbook`)."""
    return PurePath(name).suffix.lower() in SUFFIXES


def format_of(text: str, name: str) -> str:
    """json, yaml, markdown, csv, fountain or text (numbered sentences)."""
    return EXTENSIONS.get(PurePath(name).suffix.lower()) or _sniffed(text, name)


def _sniffed(text: str, name: str) -> str:
    first = next(line for line in text.splitlines() if line.strip())
    signs = (
        ("fountain", bool(re.search(r"\[\[\s*(SHOT|镜头)\s*(?:[:：]|\]\])", text, re.IGNORECASE))),
        ("json", first.lstrip().startswith(("{", "["))),
        ("markdown", bool(re.search(r"^\s*\|.*\|\s*\n\s*\|[\s:|-]+\|\s*$", text, re.MULTILINE))),
        ("yaml", bool(re.search(r"^(project|shots|schema)\s*:", text, re.MULTILINE))),
        ("text", is_sentences(text)),
        ("csv", bool(re.search(r"[,;\t]", first))),
    )
    for form, found in signs:
        if found:
            return form
    raise refusal(name, Place(1, 1), Message("storyboard.format-unknown"), got=first[:60], allowed=sorted(READERS))
