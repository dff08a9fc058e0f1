"""Synthetic photographs: detail at every scale, hard edges, sensor noise. Deterministic.

In: a size and a seed. Out: a Pillow image, or a file. No real picture is needed and no array library. A JPEG at quality
95 of 1440x2560 weighs about 1.5 MB, like a photograph; a flat or purely noisy picture would flatter or slander an
encoder.
"""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter

_COARSEST = 4
_FALL = 0.52
"""Each octave has about half the strength of the one before: the spectrum of natural scenes falls as 1/f."""

_GRAY = 128
_SENSOR_NOISE = 5
_TILE = 512


def photo(width: int, height: int, seed: int = 7) -> Image.Image:
    """Paint one picture."""
    dice = random.Random(seed)
    light = _scene(width, height, dice)
    warm, cold = _scene(width // 4, height // 4, dice), _scene(width // 4, height // 4, dice)
    bands = (light, *(band.resize((width, height), Image.Resampling.BICUBIC) for band in (warm, cold)))
    picture = Image.merge("YCbCr", [bands[0], *(_calmed(band) for band in bands[1:])]).convert("RGB")
    _edges(picture, dice)
    picture = picture.filter(ImageFilter.GaussianBlur(0.7))
    grain = Image.merge("RGB", [_noise(width, height, _SENSOR_NOISE, dice) for _ in "RGB"])
    return ImageChops.add(picture, grain, scale=1, offset=-_GRAY)


def save_photo(folder: Path, width: int, height: int, kind: str, *, seed: int = 7) -> Path:
    """Write one as `jpeg` (quality 95, 4:2:0) or `png`."""
    path = folder / f"{width}x{height}-{seed}.{kind}"
    if kind == "jpeg":
        photo(width, height, seed).save(path, "JPEG", quality=95, subsampling="4:2:0")
    else:
        photo(width, height, seed).save(path, "PNG", compress_level=1)
    return path


def _scene(width: int, height: int, dice: random.Random) -> Image.Image:
    """Add up noise from the coarsest octave to the finest."""
    total = Image.new("L", (width, height), _GRAY)
    cells, strength = _COARSEST, 62.0
    while cells < max(width, height):
        small = _noise(
            max(2, cells * width // max(width, height)), max(2, cells * height // max(width, height)), strength, dice
        )
        total = ImageChops.add(total, small.resize((width, height), Image.Resampling.BICUBIC), offset=-_GRAY)
        cells, strength = cells * 2, strength * _FALL
    return total


def _calmed(band: Image.Image) -> Image.Image:
    return band.point(lambda value: _GRAY + (value - _GRAY) // 3)


def _noise(width: int, height: int, strength: float, dice: random.Random) -> Image.Image:
    """Gaussian noise around mid-gray from `dice` alone (Pillow's own effect_noise cannot be seeded)."""
    tile = _tile(strength, dice)
    noise = Image.new("L", (width, height))
    for left in range(0, width, _TILE):
        for top in range(0, height, _TILE):
            turned = tile.transpose(dice.choice(list(Image.Transpose)))
            noise.paste(ImageChops.offset(turned, dice.randrange(_TILE), dice.randrange(_TILE)), (left, top))
    return noise


def _tile(strength: float, dice: random.Random) -> Image.Image:
    """Sum four uniform bytes per pixel: near enough to a bell curve (deviation 37 before scaling)."""
    layers = [Image.frombytes("L", (_TILE, _TILE), dice.randbytes(_TILE * _TILE)) for _ in range(4)]
    mean = Image.blend(Image.blend(layers[0], layers[1], 0.5), Image.blend(layers[2], layers[3], 0.5), 0.5)
    return mean.point(lambda value: max(0, min(255, round(_GRAY + (value - _GRAY) * strength / 37))))


def _edges(picture: Image.Image, dice: random.Random) -> None:
    """Draw things with outlines: houses, poles, wires."""
    pen, (width, height) = ImageDraw.Draw(picture), picture.size
    for _ in range(40):
        left, top = dice.randrange(width), dice.randrange(height)
        wide, high = dice.randrange(8, width // 5), dice.randrange(8, height // 5)
        colour = (dice.randrange(256), dice.randrange(256), dice.randrange(256))
        if dice.random() < 0.5:
            pen.line((left, top, left + wide, top + high), fill=colour, width=dice.randrange(1, 6))
        else:
            pen.polygon([(left, top), (left + wide, top + high // 3), (left + wide // 2, top + high)], outline=colour)
