"""Small operations on Pillow images: plain modes, a white background, turning upright.

In: a Pillow image. Out: another. Never in here: files, formats, sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_WHITE = (255, 255, 255)
_RGB_LIKE = frozenset({"RGB", "RGBA", "P", "YCbCr"})
_GRAY_OF_16_BITS = 1 / 256


def plain(image: Image) -> Image:
    """Bring any mode to one that scales well: L, RGB, YCbCr, or RGBA where something is transparent."""
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value * _GRAY_OF_16_BITS).convert("L")
    if image.mode in {"I", "F"}:
        return image.convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in {"L", "RGB", "YCbCr"} else image.convert("RGB")


def rgb_profile(image: Image) -> bytes | None:
    """Get the colour profile if it still describes the picture once it is RGB (one for CMYK or gray does not)."""
    profile: bytes | None = image.info.get("icc_profile")
    return profile if image.mode in _RGB_LIKE else None


def on_white(image: Image) -> Image:
    """Lay a plain image on white; the result is RGB."""
    from PIL import Image

    if image.mode == "RGB":
        return image
    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGB", image.size, _WHITE)
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def turned(image: Image, orientation: int) -> Image:
    """Turn a stored picture upright by its EXIF orientation."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image
