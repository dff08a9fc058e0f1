"""The nodes for ComfyUI keep its contract: found when their folder is loaded, typed as documented, batches of pixels.

ComfyUI itself is on no registry, so its loader's steps are done here as its documentation describes them.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

import seedframe
from boards_elsewhere import finished

FOLDER = Path(__file__).resolve().parents[2] / "integrations" / "comfyui"
BOARD = """
project: river
shots:
  - id: E01_SC01_SH010
    action: 一座石桥横在雾里的河面上
    motion: 镜头缓缓推近
    duration: 5
    takes: 2
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[ModuleType]:
    """The folder as ComfyUI loads it: under a name of its own, through its __init__."""
    name = "custom_nodes.seedframe_for_comfyui"
    spec = importlib.util.spec_from_file_location(name, FOLDER / "__init__.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    for loaded in [key for key in sys.modules if key.startswith(name)]:
        del sys.modules[loaded]


@pytest.fixture
def home(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SEEDFRAME_BACKEND", "emulator")
    monkeypatch.delenv("SEEDFRAME_EMULATOR_BASE", raising=False)
    return tmp_path


def without_torch(node: type[Any]) -> Any:
    """The node with tensors that are plain bytes and a shape."""
    converters = {
        "tensor": staticmethod(lambda pixels, shape: (pixels, shape)),
        "pixels": staticmethod(lambda one: one),
    }
    return type(node.__name__, (node,), converters)()


def rgb(path: Path) -> bytes:
    with Image.open(path) as picture:
        return picture.convert("RGB").tobytes()


def test_every_node_is_typed_as_comfyui_reads_it(nodes: ModuleType):
    mappings = nodes.NODE_CLASS_MAPPINGS
    assert set(mappings) == set(nodes.NODE_DISPLAY_NAME_MAPPINGS)
    assert {name: (node.RETURN_TYPES, node.CATEGORY) for name, node in mappings.items()} == {
        "SeedframeGenerate": (("IMAGE", "STRING"), "Seedframe"),
        "SeedframeEdit": (("IMAGE", "STRING"), "Seedframe"),
        "SeedframeBoardFrame": (("IMAGE", "STRING", "FLOAT"), "Seedframe"),
    }
    for node in mappings.values():
        inputs = node.INPUT_TYPES()
        assert set(inputs) <= {"required", "optional"}
        for kind, *options in (one for group in inputs.values() for one in group.values()):
            assert isinstance(kind, tuple) or kind in {"STRING", "INT", "FLOAT", "IMAGE"}
            assert all(isinstance(option, dict) for option in options)
        assert len(node.RETURN_NAMES) == len(node.RETURN_TYPES)
        assert callable(getattr(node, node.FUNCTION))


def test_the_models_to_choose_from_are_those_that_are_known(nodes: ModuleType):
    from seedframe.catalog import catalog

    offered = nodes.NODE_CLASS_MAPPINGS["SeedframeGenerate"].INPUT_TYPES()["required"]["model"][0]
    assert set(offered) == {"default", *(model.name for model in catalog().models)}


@pytest.mark.slow
def test_pictures_come_as_one_batch_of_rgb_with_their_paths(nodes: ModuleType, home: Path):
    node = without_torch(nodes.NODE_CLASS_MAPPINGS["SeedframeGenerate"])
    words = "雨后的江南小巷，一位撑油纸伞的少女走过青石板路。"
    (pixels, shape), paths = node.run(words, "1:1", "4.0", count=2)

    files = [Path(line) for line in paths.splitlines()]
    assert shape[0] == len(files) == 2
    assert shape[1] == shape[2]
    assert pixels == b"".join(rgb(file) for file in files)


@pytest.mark.slow
def test_an_edit_takes_the_batches_it_is_given(nodes: ModuleType, home: Path):
    node = without_torch(nodes.NODE_CLASS_MAPPINGS["SeedframeEdit"])
    picture = (bytes([200, 30, 30]) * 600 * 400, (1, 400, 600, 3))
    (_, shape), paths = node.run(
        picture, "把图1的红色换成图2的颜色。", "as image 1", "default", image_2=picture, image_3=None
    )

    assert shape[0] == 1
    assert shape[2] / shape[1] == pytest.approx(1.5, abs=0.01)
    assert Path(paths).is_file()


@pytest.mark.slow
def test_a_node_that_runs_inside_an_event_loop_makes_its_picture_all_the_same(nodes: ModuleType, home: Path):
    node = without_torch(nodes.NODE_CLASS_MAPPINGS["SeedframeGenerate"])

    async def queue() -> Any:
        return node.run("黄昏的海边灯塔，暖色调。", "16:9", "default")

    assert asyncio.run(queue())[0][1][0] == 1


def test_an_error_of_seedframe_reaches_comfyui_as_it_is(nodes: ModuleType, home: Path):
    node = without_torch(nodes.NODE_CLASS_MAPPINGS["SeedframeGenerate"])
    with pytest.raises(seedframe.SeedreamError, match="prompt"):
        node.run("", "9:16", "default")


def test_a_storyboard_frame_is_the_picked_take_with_its_video_prompt(nodes: ModuleType, tmp_path: Path):
    (tmp_path / "river.yaml").write_text(BOARD, encoding="utf-8")
    out = tmp_path / "out"
    finished(tmp_path / "river.yaml", out)
    node = without_torch(nodes.NODE_CLASS_MAPPINGS["SeedframeBoardFrame"])
    (pixels, shape), words, seconds = node.run(str(out), "E01_SC01_SH010", "first_frame")

    assert (shape, words, seconds) == ((1, 128, 72, 3), "镜头缓缓推近", 5.0)
    assert pixels == rgb(out / "x_E01_SC01_SH010_ff_v01_72x128.jpg")
    assert node.IS_CHANGED(str(out), "E01_SC01_SH010", "first_frame")


@pytest.mark.parametrize(
    ("shot", "role", "said"),
    [
        ("E01_SC01_SH090", "first_frame", "is no shot of this board"),
        ("E01_SC01_SH010", "last_frame", "has no finished last_frame"),
    ],
)
def test_a_frame_that_is_not_there_is_told(nodes: ModuleType, tmp_path: Path, shot: str, role: str, said: str):
    (tmp_path / "river.yaml").write_text(BOARD, encoding="utf-8")
    finished(tmp_path / "river.yaml", tmp_path / "out")
    with pytest.raises(RuntimeError, match=said):
        without_torch(nodes.NODE_CLASS_MAPPINGS["SeedframeBoardFrame"]).run(str(tmp_path / "out"), shot, role)


def test_a_frame_that_was_changed_since_is_refused(nodes: ModuleType, tmp_path: Path):
    (tmp_path / "river.yaml").write_text(BOARD, encoding="utf-8")
    finished(tmp_path / "river.yaml", tmp_path / "out")
    (tmp_path / "out" / "x_E01_SC01_SH010_ff_v01_72x128.jpg").write_bytes(b"x")
    with pytest.raises(RuntimeError, match="not the picture that was recorded"):
        without_torch(nodes.NODE_CLASS_MAPPINGS["SeedframeBoardFrame"]).run(
            str(tmp_path / "out"), "E01_SC01_SH010", "first_frame"
        )


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is here, so nothing is missing")
def test_without_comfyuis_torch_the_error_says_so(nodes: ModuleType):
    with pytest.raises(RuntimeError, match="need ComfyUI's own Python environment"):
        nodes.NODE_CLASS_MAPPINGS["SeedframeGenerate"].tensor(b"", (0, 0, 0, 3))


def test_with_torch_pixels_survive_the_way_there_and_back(nodes: ModuleType):
    pytest.importorskip("torch", reason="torch comes with ComfyUI; run this test in its environment")
    node, pixels = nodes.NODE_CLASS_MAPPINGS["SeedframeGenerate"], bytes(range(24))
    tensor = node.tensor(pixels, (1, 2, 4, 3))

    assert (tuple(tensor.shape), str(tensor.dtype)) == ((1, 2, 4, 3), "torch.float32")
    assert float(tensor.max()) <= 1
    assert node.pixels(tensor) == (pixels, (1, 2, 4, 3))
