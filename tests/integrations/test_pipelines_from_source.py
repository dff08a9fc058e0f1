"""Other people's pipelines, run from the source they publish: clients at the gateway, their models on our files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from boards_elsewhere import files, finished, project
from pipelines import ROOT, checkout, newer_python, typescript_runner
from seedframe.emulator import emulator, running
from seedframe.storyboard.exchange import TOOLS, project_at
from seedframe.storyboard.exchange.project import Filling, Keyframe, NewProject

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STRANGERS = ROOT / "tests" / "strangers"


@contextmanager
def gateway(environ: dict[str, str], service: str) -> Iterator[str]:
    """`seedframe gateway` in front of a service; gives its address."""
    own = {"SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": "test-key", "ARK_API_BASE": service}
    command = [sys.executable, "-m", "seedframe", "gateway", "--port", "0"]
    variables = {"PATH": os.environ["PATH"], **environ, **own}
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield "http://" + process.stderr.readline().partition("//")[2].partition("/")[0]
        finally:
            process.terminate()


def told(*command: str | Path) -> Any:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, encoding="utf-8", timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def size(path: str | Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_arcreels_own_backend_makes_its_pictures_through_the_gateway(environ: dict[str, str], tmp_path: Path):
    python = newer_python()
    source = checkout("ArcReel/ArcReel")
    app = emulator(profile="ark", paint="instant", keys=["test-key"])
    with running(app) as service, gateway(environ, service) as base:
        made = told(python, STRANGERS / "pipeline_arcreel.py", base, source, tmp_path)

    assert [size(path) for path in made] == [(1600, 2848), (2848, 1600)]
    assert app.state.request_log.posts == 2


def test_huobao_dramas_own_adapter_gets_the_shape_it_asks_for_through_the_gateway(
    environ: dict[str, str], tmp_path: Path
):
    adapter = checkout("chatfire-AI/huobao-drama") / "backend" / "src" / "services" / "adapters" / "volcengine-image.ts"
    runner = typescript_runner()
    app = emulator(profile="ark", paint="instant", keys=["test-key"])
    with running(app) as service, gateway(environ, service) as base:
        made = told(runner, STRANGERS / "pipeline_huobao.mjs", base, adapter, tmp_path / "picture")

    width, height = size(tmp_path / "picture")
    assert made == {"isAsync": False, "status": 200}
    assert width * 16 == height * 9
    assert app.state.request_log.posts == 1


def filled(tool: str, home: Path, tmp_path: Path) -> Path:
    """Their project with a picture for every first frame, and the file that was read."""
    finished(home, tmp_path / "out")
    found = project_at(home)
    assert found is not None
    picture = next((tmp_path / "out").glob("*.jpg"))
    frames = {shot.id: [Keyframe("first", picture, {}), Keyframe("last", picture, {})] for shot in found.shots}
    TOOLS[tool].fill(found, Filling(frames))
    return found.source


def anew(tool: str, source: str, tmp_path: Path) -> Path:
    """A board of another tool as a new project of this one; the file that is read."""
    board = finished(project(source, tmp_path), tmp_path / "board")
    return TOOLS[tool].write(NewProject(board, {}, tmp_path / "new"))


WANTED_BY_VIMAX = (
    "shots/0/first_frame.png",
    "shots/1/first_frame.png",
    "shots/1/last_frame.png",
    "shots/2/first_frame.png",
)
"""The frames that ViMax makes for the project: a last one only where much changes within the shot."""

MODEL = """
import json, sys, types
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2].split(","):
    if name:
        package = types.ModuleType(name); package.__path__ = [sys.argv[1] + "/" + name]; sys.modules[name] = package
module = __import__(sys.argv[3], fromlist=["x"])
content = json.load(open(sys.argv[5], encoding="utf-8"))
for one in content if isinstance(content, list) else [content]:
    getattr(module, sys.argv[4]).model_validate(one)
print(json.dumps("valid"))
"""


def validated(
    source: Path, packages: str, module: str, model: str, file: Path, python: str | Path = sys.executable
) -> Any:
    """What their own pydantic model says of a file."""
    return told(python, "-c", MODEL, source, packages, module, model, file)


@pytest.mark.parametrize("made", ["filled", "anew"])
def test_arcreels_own_model_accepts_the_script(tmp_path: Path, made: str):
    source = checkout("ArcReel/ArcReel")
    if made == "filled":
        script = filled("arcreel", project("arcreel", tmp_path), tmp_path)
    else:
        script = anew("arcreel", "vimax", tmp_path)
    assert validated(source, "lib", "lib.script_models", "DramaEpisodeScript", script, newer_python()) == "valid"


def test_vimaxs_own_models_accept_a_new_project(tmp_path: Path):
    source = checkout("HKUDS/ViMax")
    folder = anew("vimax", "arcreel", tmp_path)
    checks = [
        validated(source, "interfaces", f"interfaces.{module}", model, file)
        for module, model, file in (
            ("character", "CharacterInScene", folder / "characters.json"),
            ("shot_description", "ShotBriefDescription", folder / "storyboard.json"),
            ("shot_description", "ShotDescription", folder / "shots" / "0" / "shot_description.json"),
        )
    ]
    assert checks == ["valid", "valid", "valid"]


def test_vimaxs_own_render_step_keeps_every_frame_it_was_given(tmp_path: Path):
    source = checkout("HKUDS/ViMax")
    home = project("vimax", tmp_path)
    filled("vimax", home, tmp_path)
    kept = told(sys.executable, STRANGERS / "pipeline_vimax.py", source, home)

    assert kept == sorted(WANTED_BY_VIMAX)


def test_drama_skills_own_example_gets_a_keyframe_for_each_shot_and_keeps_everything_else(tmp_path: Path):
    examples = sorted((checkout("zenstory-ai/drama-skills") / "evaluations").glob("*/*/剧集/EP*/分镜.md"))
    assert examples
    for number, example in enumerate(examples):
        home = tmp_path / str(number) / "project"
        shutil.copytree(example.parents[2], home)
        before = files(home)
        source = home.joinpath(*example.parts[-3:])
        board = finished(source, tmp_path / str(number) / "out")
        found = project_at(source)
        assert found is not None
        picture = next((tmp_path / str(number) / "out").glob("*.jpg"))
        frames = {shot.id: [Keyframe("first", picture, {})] for shot in found.shots}
        TOOLS["drama-skills"].fill(found, Filling(frames))

        after = files(home)
        shots = re.findall(r"^## (SHOT-\S+)", source.read_text(encoding="utf-8"), re.MULTILINE)
        images = source.relative_to(home).parent / "制作成果" / "images"
        assert len(board.shots) == len(shots)
        assert {name: after[name] for name in before} == before
        assert {(images / f"{shot}-start.png").as_posix() for shot in shots} <= after.keys()


def test_openmontages_own_schemas_accept_plan_and_manifest(tmp_path: Path):
    schemas = checkout("calesthio/OpenMontage") / "schemas" / "artifacts"
    plan = anew("openmontage", "arcreel", tmp_path)
    manifest = filled("openmontage", project("openmontage", tmp_path), tmp_path).with_name("asset_manifest.json")

    for file, name in ((plan, "scene_plan"), (manifest, "asset_manifest")):
        schema = json.loads((schemas / f"{name}.schema.json").read_text(encoding="utf-8"))
        errors = Draft202012Validator(schema).iter_errors(json.loads(file.read_text(encoding="utf-8")))
        assert [error.message for error in errors] == []
