"""ARCHITECTURE.md against the code: every layer, file, module, class and function that it names exists."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path

from test_house import CODE, EMULATOR, LAYERS, ROOT, trees

from seedframe.catalog import tool_rows

PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
BLOCK = PAGE.partition("```text\n")[2].partition("```")[0]
CODED = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
ROW_KEYS = {"wire", "state", "schema", "description"}
COMMANDS = {"make docs"}


@cache
def defined() -> frozenset[str]:
    """Every class and function of the package by its own name, and `Class.method`."""
    names = set()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                names.add(node.name)
            if isinstance(node, ast.ClassDef):
                names |= {f"{node.name}.{part.name}" for part in node.body if hasattr(part, "name")}
    return frozenset(names)


def importable(name: str) -> bool:
    """Whether `package.module.Name.attribute` leads somewhere below `seedframe`."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(["seedframe", *parts[:end]]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part, None)
        return found is not None
    return False


def exists(name: str) -> bool:
    if "/" in name or Path(name).suffix in {".py", ".json", ".md"}:
        return any((root / name).exists() for root in (ROOT, CODE))
    tools = {*tool_rows()["tools"], *ROW_KEYS, *COMMANDS}
    return name in tools or name in defined() or importable(name)


def test_every_name_on_the_page_exists():
    assert len(CODED) > 60
    assert [name for name in CODED if not exists(name)] == []


def test_the_map_shows_the_packages_of_each_layer_in_their_order():
    rows = [line.split(maxsplit=1)[1] for line in BLOCK.splitlines()]
    shown = [tuple(re.split(r",\s*", re.split(r"\s{2,}", row)[0])) for row in rows]

    assert shown == [*LAYERS, ("data",)]
    assert f"`{EMULATOR}/`" in PAGE


def test_the_page_can_be_read_at_one_sitting():
    assert len(PAGE.splitlines()) <= 110
