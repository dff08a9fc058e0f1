"""The skill and its pages as an agent meets them: valid, linked, and every command shown works on a bare home."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from ruamel.yaml import YAML

from seedframe.catalog import catalog
from seedframe.service.request import check
from seedframe.settings import Settings
from seedframe.studio.preview_prompt import preview_prompt

ROOT = Path(__file__).resolve().parents[2]
SKILL = ROOT / "SKILL.md"
PAGES = sorted((ROOT / "references").glob("*.md"))
READ_BY_AGENTS = [SKILL, *PAGES, *sorted((ROOT / "prompts").glob("*.md"))]
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
FOR_PEOPLE = [
    *READMES,
    *(ROOT / f"{name}.md" for name in ("ARCHITECTURE", "CONTRIBUTING", "SECURITY", "docs/evidence")),
]
WITH_COMMANDS = [*READMES, SKILL, *PAGES]
BLOCK = re.compile(r"^```sh *(norun)?\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ )*seedframe\b")


def head_and_body() -> tuple[dict[str, Any], str]:
    _, head, body = SKILL.read_text(encoding="utf-8").split("---\n", 2)
    return YAML(typ="safe").load(head), body


def test_the_frontmatter_keeps_to_the_limits_of_the_skills_specification():
    head, _ = head_and_body()
    assert set(head) <= {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
    assert head["name"] == "seedframe"
    assert 1 <= len(head["description"]) <= 1024
    assert len(head.get("compatibility", "")) <= 500
    assert all(isinstance(value, str) for value in head.get("metadata", {}).values())


def test_the_description_says_when_in_both_languages():
    description = head_and_body()[0]["description"]
    words = ["Use when", "Not for", "画图", "文生图", "改图", "海报", "分镜", "关键帧", "Seedream", "豆包", "9:16"]
    assert [word for word in words if word not in description] == []


def test_the_skill_is_short_enough_to_be_read_whole():
    text = SKILL.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    assert len(text.encode()) < 16_000


@pytest.mark.parametrize("path", [*FOR_PEOPLE, *READ_BY_AGENTS], ids=lambda path: path.name)
def test_every_link_leads_to_a_file(path: Path):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (path.parent / link).is_file()] == []


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_a_readme_is_short_and_shows_one_picture(path: Path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    assert len(re.findall(r"!\[[^\]]{10,}\]\(docs/", text)) == 1


def test_both_readmes_show_the_same_commands_settings_and_links():
    def shown(path: Path) -> list[str]:
        text = path.read_text(encoding="utf-8")
        links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("README")]
        return sorted({*commands(path), *links, *re.findall(r"`([A-Z_]{6,})[=`]", text)})

    assert shown(READMES[0]) == shown(READMES[1])


def test_the_picture_of_the_readme_is_the_size_of_the_first_command():
    first = next(commands(READMES[0]))
    with Image.open(ROOT / "docs" / "first.jpg") as picture:
        assert "--ratio 16:9" in first
        assert abs(picture.width / picture.height - 16 / 9) < 0.01


def test_the_skill_says_when_to_open_each_page_and_each_prompt():
    table = SKILL.read_text(encoding="utf-8").partition("## Open when")[2]
    others = [path.relative_to(ROOT).as_posix() for path in READ_BY_AGENTS if path != SKILL]
    assert [name for name in others if f"| [{name}]({name}) | " not in table] == []


def test_the_call_shown_in_the_skill_goes_through_without_a_warning(environ: dict[str, str]):
    (shown,) = [json.loads(found) for found in re.findall(r"```json\n(.*?)```", head_and_body()[1], re.DOTALL)]
    settings = Settings.read(environ)
    assert check("generate_image", shown, catalog=catalog(), settings=settings).warnings == ()
    words = {name: shown[name] for name in ("prompt", "ratio")}
    assert preview_prompt(words, catalog(), settings).styled.findings == ()


def commands(path: Path) -> Iterator[str]:
    """Every `seedframe …` line of the ```sh blocks that are not marked `norun`, comments cut off by the shell."""
    for norun, block in BLOCK.findall(path.read_text(encoding="utf-8")):
        lines = block.replace("\\\n", " ").splitlines()
        yield from (line for line in lines if not norun and COMMAND.match(line))


def test_few_blocks_are_left_out():
    blocks = [norun for path in WITH_COMMANDS for norun, _ in BLOCK.findall(path.read_text(encoding="utf-8"))]
    assert blocks.count("norun") <= 15
    assert blocks.count("") >= 5


@pytest.fixture
def home(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """An empty home with the emulator as backend; the variables of the person who runs the tests stay out."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    own = {"HOME": str(tmp_path), "PATH": tools, "LANG": "C.UTF-8", "SEEDFRAME_BACKEND": "emulator"}
    work = tmp_path / "work"
    work.mkdir()
    return work, {**kept, **own}


def own_pictures(line: str) -> Iterator[str]:
    """The pictures a line takes from the reader's folder: relative names, other than what it writes."""
    words = shlex.split(line, comments=True)
    for before, word in zip(["", *words], words, strict=False):
        if word.endswith((".jpg", ".png")) and before not in {"-o", "--output"} and not word.startswith(("~", "/")):
            yield word


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda path: path.name)
def test_every_command_shown_works(path: Path, home: tuple[Path, dict[str, str]]):
    work, environ = home
    failed = []
    for line in commands(path):
        for name in own_pictures(line):
            if not (work / name).exists():
                Image.linear_gradient("L").resize((900, 1200)).convert("RGB").save(work / name)
        done = subprocess.run(
            ["sh", "-c", line], cwd=work, env=environ, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode != 0:
            failed.append(f"{line}\n  exit {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
    assert not failed, "\n".join(failed)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_reference_validator_of_the_skills_specification_accepts_the_skill(tmp_path: Path):
    folder = tmp_path / "seedframe"
    folder.mkdir()
    shutil.copy(SKILL, folder)
    for name in ("references", "prompts"):
        shutil.copytree(ROOT / name, folder / name)
    done = subprocess.run([agentskills(), "validate", str(folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Valid skill")


def agentskills() -> str:
    """The validator's program; installed into an environment of its own where there is none."""
    there = shutil.which("agentskills")
    if there:
        return there
    place = ROOT / ".cache" / "skills-ref"
    if not (place / "bin" / "agentskills").exists():
        venv.create(place, with_pip=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "skills-ref>=0.1.1"], check=True)
    return str(place / "bin" / "agentskills")
