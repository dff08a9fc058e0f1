"""Three nodes: make pictures, change pictures, take a finished frame of a storyboard.

In: widgets and tensors of ComfyUI. Out: tensors, file paths, words. The pictures are made by Seedframe's public Python
API, so budget, payment record, exact sizes and settings are those of every other entry point.
Never in here: a key, a price, a second way to pay.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

import seedframe
from seedframe.catalog import catalog

from .tensors import Shape, pixels_of, tensor_of

MODELS = ("default", *(model.name for model in catalog().models))
RATIOS = ("9:16", "16:9", "1:1", "3:4", "4:3", "2:3", "3:2", "21:9")
OWN_RATIO = "as image 1"
ROLES = ("first_frame", "last_frame", "reference_image")
LARGEST_MANIFEST = 64 * 1024 * 1024
MOST_PICTURES = 15
WORDS = {"multiline": True, "default": ""}
SEED = ("INT", {"default": -1, "min": -1, "max": 2**31 - 1, "tooltip": "-1: the service chooses"})

Inputs = dict[str, dict[str, tuple[Any, ...]]]


class _Pictures:
    """What the nodes share. The two converters may be replaced where there is no torch."""

    CATEGORY = "Seedframe"
    FUNCTION = "run"
    tensor: ClassVar[Callable[[bytes, Shape], Any]] = staticmethod(tensor_of)
    pixels: ClassVar[Callable[[Any], tuple[bytes, Shape]]] = staticmethod(pixels_of)

    def _batch(self, paths: Sequence[Path]) -> Any:
        """Files of one size as one tensor; RuntimeError when their sizes differ."""
        pictures = [_rgb(path) for path in paths]
        sizes = {size for _, size in pictures}
        if len(sizes) != 1:
            told = ", ".join(f"{width}x{height}" for width, height in sorted(sizes))
            raise RuntimeError(f"The pictures differ in size ({told}), so they cannot be one batch.")
        width, height = sizes.pop()
        return self.tensor(b"".join(pixels for pixels, _ in pictures), (len(pictures), height, width, 3))


class Generate(_Pictures):
    """Pictures from words."""

    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("images", "paths")
    DESCRIPTION = "Seedream pictures from words, paid once and saved whole. Costs money unless the backend is emulator."

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802 - the name is ComfyUI's
        """The widgets."""
        return {
            "required": {"prompt": ("STRING", WORDS), "ratio": (RATIOS,), "model": (MODELS,)},
            "optional": {"count": ("INT", {"default": 1, "min": 1, "max": MOST_PICTURES}), "seed": SEED},
        }

    def run(self, prompt: str, ratio: str, model: str, count: int = 1, seed: int = -1) -> tuple[Any, str]:
        """Make them; seedframe.SeedreamError says what stands in the way."""
        options = _chosen(ratio=ratio, model=model, count=count, seed=seed)
        result = _waited(lambda: seedframe.generate(prompt, **options))
        return self._batch(result.paths), _lines(result.paths)


class Edit(_Pictures):
    """Changed pictures, or new ones after one to four pictures."""

    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("images", "paths")
    DESCRIPTION = "Change pictures, or combine up to four: the prompt calls them 图1 … 图4, or image 1 … image 4."

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802 - the name is ComfyUI's
        """The widgets and inputs."""
        required = {
            "image_1": ("IMAGE",),
            "prompt": ("STRING", WORDS),
            "ratio": ((OWN_RATIO, *RATIOS),),
            "model": (MODELS,),
        }
        return {"required": required, "optional": {**{f"image_{n}": ("IMAGE",) for n in (2, 3, 4)}, "seed": SEED}}

    def run(self, image_1: Any, prompt: str, ratio: str, model: str, seed: int = -1, **others: Any) -> tuple[Any, str]:
        """Change them; the first picture of each batch is taken."""
        given = [image_1, *(others[name] for name in sorted(others) if others[name] is not None)]
        options = _chosen(ratio=None if ratio == OWN_RATIO else ratio, model=model, seed=seed)
        with tempfile.TemporaryDirectory(prefix="seedframe-comfyui-") as folder:
            images = [self._file(image, Path(folder) / f"image_{n}.png") for n, image in enumerate(given, 1)]
            settings = seedframe.Settings.read(os.environ)
            settings = replace(settings, input_roots=(*settings.input_roots, Path(folder)))
            result = _waited(lambda: seedframe.edit(prompt, images, settings=settings, **options))
        return self._batch(result.paths), _lines(result.paths)

    def _file(self, image: Any, path: Path) -> Path:
        pixels, (_, height, width, _) = self.pixels(image)
        Image.frombytes("RGB", (width, height), pixels[: width * height * 3]).save(path)
        return path


class BoardFrame(_Pictures):
    """A finished keyframe of a storyboard, with what the video step needs beside it."""

    RETURN_TYPES = ("IMAGE", "STRING", "FLOAT")
    RETURN_NAMES = ("frame", "video_prompt", "seconds")
    DESCRIPTION = "The chosen take of a shot from a folder that `seedframe storyboard run` has filled. Costs nothing."

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802 - the name is ComfyUI's
        """The widgets."""
        text = ("STRING", {"default": ""})
        return {"required": {"folder": text, "shot": text, "role": (ROLES,)}}

    @classmethod
    def IS_CHANGED(cls, folder: str, shot: str, role: str) -> str:  # noqa: N802 - the name is ComfyUI's
        """The checksum of the take: another one that was picked is noticed."""
        return str(_take(Path(folder), shot, role)[0]["sha256"])

    def run(self, folder: str, shot: str, role: str) -> tuple[Any, str, float]:
        """Read it; RuntimeError when the shot has no such frame, or its file is not the one that was recorded."""
        frame, described = _take(Path(folder), shot, role)
        path = Path(folder) / Path(frame["file"]).name
        if hashlib.sha256(path.read_bytes()).hexdigest() != frame["sha256"]:
            raise RuntimeError(f"{path} is not the picture that was recorded for {frame['key']}.")
        job = described["job"] or {}
        prompt = job.get("prompt", {})
        words = prompt if isinstance(prompt, str) else prompt.get("zh") or prompt.get("en") or ""
        return self._batch([path]), words, float(described["duration"] or 0)


def _take(folder: Path, shot: str, role: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The frame to use and its shot: the picked take, else the first that is done."""
    path = folder / "manifest.json"
    if not path.is_file() or path.stat().st_size > LARGEST_MANIFEST:
        raise RuntimeError(f"{folder} has no manifest.json: run `seedframe storyboard run BOARD --out {folder}` first.")
    shots = {one["id"]: one for one in json.loads(path.read_text(encoding="utf-8"))["shots"]}
    if shot not in shots:
        raise RuntimeError(f"{shot!r} is no shot of this board; its shots are {', '.join(list(shots)[:20])}.")
    done = [one for one in shots[shot]["frames"] if one["role"] == role and one["status"] == "done" and one["file"]]
    if not done:
        raise RuntimeError(f"{shot} has no finished {role}; `seedframe storyboard status {folder}` says why.")
    return next((one for one in done if one["picked"]), done[0]), shots[shot]


def _chosen(*, ratio: str | None, model: str, seed: int, **options: Any) -> dict[str, Any]:
    """The options that were really chosen."""
    given = {"ratio": ratio, "model": None if model == "default" else model, "seed": None if seed < 0 else seed}
    return {name: value for name, value in {**options, **given}.items() if value is not None}


def _waited(work: Callable[[], Any]) -> Any:
    """Done in a thread of its own: ComfyUI may call a node from inside its event loop."""
    with ThreadPoolExecutor(1, thread_name_prefix="seedframe") as pool:
        result = pool.submit(work).result()
    if not result.paths:
        raise RuntimeError("No picture came.")
    return result


def _rgb(path: Path) -> tuple[bytes, tuple[int, int]]:
    with Image.open(path) as picture:
        return picture.convert("RGB").tobytes(), picture.size


def _lines(paths: Sequence[Path]) -> str:
    return "\n".join(str(path) for path in paths)


NODE_CLASS_MAPPINGS = {"SeedframeGenerate": Generate, "SeedframeEdit": Edit, "SeedframeBoardFrame": BoardFrame}
NODE_DISPLAY_NAME_MAPPINGS = {
    "SeedframeGenerate": "Seedframe: generate",
    "SeedframeEdit": "Seedframe: edit",
    "SeedframeBoardFrame": "Seedframe: storyboard frame",
}
