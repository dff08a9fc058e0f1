"""The public Python API: its names, its types, and every example of its page, run against the emulator."""

from __future__ import annotations

import ast
import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

import seedframe
from children import system

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "references" / "python-api.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
PROMPT = "黄昏的海边灯塔，广角镜头，暖色调，海浪拍打礁石。"


def typed_names() -> list[str]:
    """What type checkers find in the package."""
    tree = ast.parse((ROOT / "skill" / "seedframe" / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "typing"]
    return [alias.name for node in imports for alias in node.names if node.module != "importlib"]


def test_the_public_names_are_listed_sorted_typed_and_there():
    assert seedframe.__all__ == sorted(seedframe.__all__) == sorted(typed_names())
    assert [name for name in dir(seedframe) if not name.startswith("_")] == seedframe.__all__
    assert [getattr(seedframe, name).__name__ for name in seedframe.__all__] == seedframe.__all__


def test_other_names_are_refused_as_of_any_module():
    with pytest.raises(AttributeError, match="module 'seedframe' has no attribute 'nothing'"):
        seedframe.nothing  # noqa: B018


def test_every_error_can_be_caught_by_a_public_name():
    from seedframe import errors

    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, RuntimeError)}
    assert kinds <= set(seedframe.__all__)


@pytest.fixture
def script(environ: dict[str, str], tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The folder and the environment of somebody's script."""
    kept = system("HOME")
    return tmp_path, {**kept, **environ, "PYTHONIOENCODING": "utf-8"}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_of_the_page_prints_what_its_comments_say(script: tuple[Path, dict[str, str]], number: int):
    folder, environ = script
    example = EXAMPLES[number]
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=folder, env=environ, capture_output=True, encoding="utf-8", timeout=110
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == re.findall(r"print\(.*\)  # (.*)", example)


def test_the_page_has_an_example_for_each_of_its_functions():
    assert len(EXAMPLES) == 7
    assert [name for name in ("generate", "edit", "open_studio") if f"seedframe.{name}(" not in "".join(EXAMPLES)] == []


@pytest.mark.slow
def test_the_examples_are_right_for_a_strict_type_checker(tmp_path: Path):
    files = []
    for number, example in enumerate(EXAMPLES):
        files.append(tmp_path / f"example_{number}.py")
        files[-1].write_text(example, encoding="utf-8")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *map(str, files)]
    done = subprocess.run(mypy, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=300)

    assert done.stdout == f"Success: no issues found in {len(files)} source files\n"


def settings_of(environ: dict[str, str]) -> seedframe.Settings:
    return seedframe.Settings.read(environ)


@pytest.mark.slow
def test_the_same_call_after_an_interrupted_one_is_not_paid_again(environ: dict[str, str]):
    def interrupt(sentence: str) -> None:
        if "alley" in sentence:
            raise KeyboardInterrupt

    settings = settings_of(environ)
    with pytest.raises(KeyboardInterrupt):
        seedframe.generate(PROMPT, ratio="9:16", save_as="alley", settings=settings, report=interrupt)
    result = seedframe.generate(PROMPT, ratio="9:16", save_as="alley", settings=settings)

    assert (result.mark, [path.name for path in result.paths]) == ("replayed", ["alley.jpg"])


@pytest.mark.parametrize("call", ["generate", "edit"])
def test_inside_an_event_loop_it_refuses_with_the_way_to_go(environ: dict[str, str], call: str):
    settings = settings_of(environ)

    async def within() -> None:
        if call == "generate":
            seedframe.generate(PROMPT, settings=settings)
        else:
            seedframe.edit(PROMPT, "a.jpg", settings=settings)

    with pytest.raises(seedframe.SeedreamError) as refused:
        asyncio.run(within())
    said = str(refused.value)
    assert f"seedframe.{call}() waits until the pictures are on the disk" in said
    assert f'studio.make("{call}_image", {{…}})' in said
    assert f"asyncio.to_thread(seedframe.{call}, …)" in said
    assert not Path(environ["SEEDFRAME_JOURNAL"]).exists()


@pytest.mark.slow
def test_the_advice_for_async_code_works(environ: dict[str, str]):
    settings = settings_of(environ)

    async def within() -> seedframe.Result:
        return await asyncio.to_thread(seedframe.generate, PROMPT, ratio="1:1", settings=settings)

    assert asyncio.run(within()).status == "done"


def test_a_wrong_option_names_itself(environ: dict[str, str]):
    with pytest.raises(seedframe.InvalidRequest) as refused:
        seedframe.generate(PROMPT, colour="red", settings=settings_of(environ))
    assert refused.value.field == "colour"
