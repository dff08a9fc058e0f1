"""Rules of the code: who imports whom, what is loaded when, sentences in both languages."""

from __future__ import annotations

import ast
import json
import re
import string
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from children import system
from seedframe.messages import LANGUAGES, Language, sentences

ROOT = Path(__file__).resolve().parents[2]
CODE = ROOT / "skill" / "seedframe"

LAYERS = (
    ("cli", "mcp_server", "gateway", "api"),
    ("storyboard", "gallery"),
    ("studio",),
    ("service",),
    ("payments", "prompting", "images", "objects"),
    ("catalog", "geometry"),
    (
        "html_pages",
        "stored_settings",
        "front",
        "settings",
        "object_places",
        "errors",
        "redaction",
        "quoting",
        "limits",
        "messages",
        "package_data",
        "private_files",
        "confined_files",
        "http_guard",
        "listening",
    ),
)
"""The packages from the entry points down; below all of them are the files of `data/`.

A package imports from the layers below its own, and from its own layer only what stands further right.
"""

APART = {"payments", "prompting", "images"}
"""Packages of one layer that know nothing of each other."""

EMULATOR = "emulator"
ITS_GROUND = {"catalog", "geometry", *LAYERS[-1]}
HEAVY = {
    *("mcp", "PIL", "dbos", "httpx", "jsonschema", "starlette", "uvicorn", "aiolimiter", "filelock", "asyncpg"),
    "jinja2",
    "obstore",
}


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(CODE.rglob("*.py")):
        parts = path.relative_to(CODE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


@cache
def nodes() -> tuple[tuple[str, ast.AST], ...]:
    """Everything written in the package, with the module it stands in."""
    return tuple((module, node) for module, tree in trees().items() for node in ast.walk(tree))


@cache
def called() -> tuple[tuple[str, str, ast.Call], ...]:
    """Every call: the module, what is called, the call."""
    calls = ((module, node) for module, node in nodes() if isinstance(node, ast.Call))
    return tuple((module, ast.unparse(node.func), node) for module, node in calls)


def package_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@cache
def imports() -> tuple[tuple[str, str], ...]:
    """Module and dotted name of every import, also of those inside functions."""
    found = []
    for module, node in nodes():
        if isinstance(node, ast.Import):
            found += [(module, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += [(module, f"{node.module}.{alias.name}") for alias in node.names]
    return tuple(found)


def packages_used() -> dict[str, set[str]]:
    used: dict[str, set[str]] = {package_of(module): set() for module in trees()}
    for module, name in imports():
        if name.startswith("seedframe."):
            used[package_of(module)] |= {package_of(name)} - {package_of(module), "__version__"}
    return used


def place_of(package: str) -> tuple[int, int]:
    """Layer and place in it; smaller is higher."""
    return next((n, row.index(package)) for n, row in enumerate(LAYERS) if package in row)


def test_imports_go_down_only():
    packages = {package for row in LAYERS for package in row}
    used = packages_used()
    upwards = {
        f"{package} imports {other}"
        for package, others in used.items()
        for other in others
        if {package, other} <= packages and (place_of(other) <= place_of(package) or {package, other} <= APART)
    }

    assert set(used) - packages == {"", "__main__", EMULATOR}, "a new package belongs in a layer"
    assert packages - set(used) == set(), "a package that is gone"
    assert upwards == set()


def test_no_two_public_classes_share_a_name():
    homes: dict[str, list[str]] = {}
    for module, node in nodes():
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            homes.setdefault(node.name, []).append(module)

    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


SAME_MEANING = {"__init__.py", "types.py", "app.py"}
"""File names that mean the same wherever they stand: a package, its frozen values, its application object."""


def test_no_file_name_occurs_twice():
    names: dict[str, list[str]] = {}
    for path in sorted(CODE.rglob("*.py")):
        names.setdefault(path.name, []).append(str(path.relative_to(CODE)))

    assert {name: paths for name, paths in names.items() if len(paths) > 1 and name not in SAME_MEANING} == {}


def test_the_package_itself_loads_none_of_its_modules():
    asked = "import sys, seedframe; print([name for name in sys.modules if name.startswith('seedframe.')])"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[]"


def test_the_emulator_shares_only_the_ground_with_the_client_and_only_the_outermost_layer_knows_it():
    used = packages_used()

    assert used[EMULATOR] <= ITS_GROUND
    assert {room for room, others in used.items() if EMULATOR in others} == {"api", "cli"}


def test_only_the_doors_read_the_environment():
    named = [(module, node) for module, node in nodes() if isinstance(node, ast.Attribute)]
    readers = {
        package_of(m) for m, node in named if node.attr in {"environ", "getenv"} and ast.unparse(node.value) == "os"
    }

    assert readers == {"api", "cli", "__main__"}


def test_only_the_doors_import_the_mcp_sdk():
    assert {package_of(module) for module, name in imports() if name.split(".")[0] == "mcp"} == {"mcp_server", "cli"}


CHANCE = {"print", "input", "time.time", "datetime.now", "datetime.utcnow", "random.random"}
CLOCKS_OF_OTHERS = {"seedframe.storyboard.run.engine: time.time", "seedframe.storyboard.run.detached: time.time"}
"""The SQL function `unixepoch`, which older SQLite has without fractions; the age of a file on the disk."""


def test_nothing_below_the_doors_prints_or_reads_the_clock_by_chance():
    doors = {"cli", "mcp_server", "__main__"}
    calls = {f"{module}: {name}" for module, name, _ in called() if name in CHANCE and package_of(module) not in doors}

    assert calls <= CLOCKS_OF_OTHERS


@pytest.mark.slow
def test_no_model_is_named_in_code():
    names = {json.loads(path.read_text(encoding="utf-8"))["name"] for path in (CODE / "data" / "models").glob("*.json")}
    choices = [(module, node) for module, node in nodes() if isinstance(node, (ast.Compare, ast.Match))]
    named = {
        f"{module}:{node.lineno}"
        for module, choice in choices
        for node in ast.walk(choice)
        if isinstance(node, ast.Constant) and node.value in names
    }

    assert named == set()


def test_every_module_says_what_it_is_for():
    assert [name for name, tree in trees().items() if not ast.get_docstring(tree)] == []


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def constants() -> Iterator[str]:
    for _, node in nodes():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def patterns() -> set[str]:
    """Texts that code puts together, `f"advice.{name}"`, as patterns whose groups are the blanks."""
    found = {"styling\\.(.+?)(?:-mend)?"}  # the key of a finding is its code, in small letters
    for _, node in nodes():
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            parts = [re.escape(str(v.value)) if isinstance(v, ast.Constant) else "(.+)" for v in node.values]
            found.add("".join(parts))
    return {pattern for pattern in found if re.match(r"[a-z]", pattern)}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        yield from (text for item in value.values() for text in texts(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in texts(item))


def data_texts() -> Iterator[str]:
    """Names and values of the data files, in which a key may stand too; the sentences themselves are left out."""
    for path in (*CODE.rglob("*.json"), *(ROOT / "prompts").rglob("*.json")):
        if "messages" not in path.parts:
            yield from texts(json.loads(path.read_text(encoding="utf-8")))


def test_both_languages_say_the_same_things_with_the_same_blanks():
    english, chinese = sentences("en"), sentences("zh")

    assert set(english) == set(chinese)
    assert {key for key in english if fields(english[key]) != fields(chinese[key])} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_empty_and_every_blank_has_a_name(language: Language):
    odd = {
        key
        for key, sentence in sentences(language).items()
        if not sentence.strip() or any(not name.isidentifier() for name in fields(sentence))
    }

    assert odd == set()


NAMES_OF_THE_OTHER_LANGUAGE = {"sheet.do-language", "gallery.do-language"}


def test_chinese_sentences_are_chinese():
    han, word, blank = re.compile(r"[一-鿿]"), re.compile(r"[a-z]{3}"), re.compile(r"\{.*?\}")
    plain = {key for key, sentence in sentences("zh").items() if not han.search(sentence)}

    assert {key for key in plain if word.search(blank.sub("", sentences("zh")[key]))} == NAMES_OF_THE_OTHER_LANGUAGE


def test_every_key_that_code_names_exists():
    shape = re.compile(r"[a-z][a-z_]*\.[a-z][a-z0-9_-]*")
    first = [node.args[0] for _, name, node in called() if name.rpartition(".")[2] in {"Message", "say"} and node.args]
    keys = {argument.value for argument in first if isinstance(argument, ast.Constant)}
    named = {key for key in keys if isinstance(key, str) and shape.fullmatch(key)}

    assert len(named) > 100
    assert named - set(sentences("en")) == set()


PAGES = ("sheet.", "gallery.", "upload.")
"""Words of HTML templates; tests/storyboard/test_sheet_review.py sees that those are used."""


def test_every_sentence_is_used():
    said = {text.lower() for text in (*constants(), *data_texts())}
    said |= {text.replace("_", "-") for text in said}
    built = [re.compile(pattern) for pattern in patterns()]

    def used(text: str) -> bool:
        """Whether a text stands somewhere, or is put together of texts that do."""
        matches = [match for pattern in built if (match := pattern.fullmatch(text))]
        return text in said or any(all(used(group) for group in match.groups()) for match in matches)

    assert {key for key in sentences("en") if not key.startswith(PAGES) and not used(key)} == set()


def loaded(code: str, *, typed: str = "") -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after some code."""
    report = "import sys; print(*{m.partition('.')[0] for m in sys.modules}, file=sys.stderr)"
    kept = system()
    done = subprocess.run(
        [sys.executable, "-c", f"import atexit\natexit.register(lambda: exec({report!r}))\n{code}"],
        env={**kept, "SEEDFRAME_BACKEND": "emulator", "LANG": "C.UTF-8"},
        input=typed,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split()) & HEAVY


COMMAND = "import sys\nsys.argv = ['seedframe', {words!r}]\nfrom seedframe.cli import main\nmain()"


def test_importing_the_package_loads_nothing_heavy():
    assert loaded("import seedframe") == set()


@pytest.mark.slow
@pytest.mark.parametrize("words", ["--help", "--version", "models"])
def test_asking_for_help_loads_nothing_heavy(words: str):
    assert loaded(COMMAND.format(words=words)) == set()


@pytest.mark.slow
def test_the_server_starts_without_what_only_pictures_need(tmp_path: Path):
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "house", "version": "0"}}
    typed = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) + "\n"

    assert loaded(COMMAND.format(words="serve"), typed=typed) == set(), "the front"
    worker = COMMAND.replace("[{words!r}]", "").replace("'seedframe', {words!r}", "'seedframe', *{words!r}")
    words = ["serve", "--keep-answers", str(tmp_path / "answers.json")]
    assert loaded(worker.format(words=words), typed=typed) == {"mcp", "starlette", "uvicorn"}
