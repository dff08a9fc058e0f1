"""Cuts a JPEG without decoding it to pixels, with libturbojpeg where it is installed.

In: JPEG bytes and a box on the block grid. Out: JPEG bytes, all coefficients as they were; TurboError when the library
refuses, None from `turbojpeg_version` when there is no library. Never in here: Pillow, alignment, metadata, files other
than the library itself. Only the functions that versions 2 and 3 share are used.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_ubyte, c_ulong, c_void_p
from functools import cache
from pathlib import Path

from seedframe.geometry import Box

_CROP, _COPY_NO_METADATA = 4, 64
_LIMIT_SCANS = 32768
_NO_OPERATION = 0

_NAMES = {
    "linux": ("libturbojpeg.so.0", "libturbojpeg.so"),
    "darwin": (
        "libturbojpeg.dylib",
        "/opt/homebrew/opt/jpeg-turbo/lib/libturbojpeg.dylib",
        "/usr/local/opt/jpeg-turbo/lib/libturbojpeg.dylib",
    ),
    "win32": ("turbojpeg.dll", "libturbojpeg.dll", r"C:\libjpeg-turbo64\bin\turbojpeg.dll"),
}


class TurboError(Exception):
    """The library refused this file; the caller cuts its pixels instead."""


class _Transform(ctypes.Structure):
    """`tjtransform` of turbojpeg.h, its region written out."""

    _fields_ = (
        ("x", c_int),
        ("y", c_int),
        ("w", c_int),
        ("h", c_int),
        ("op", c_int),
        ("options", c_int),
        ("data", c_void_p),
        ("filter", c_void_p),
    )


def turbojpeg_version() -> str | None:
    """The generation of the library found (`2.x` or `3.x`), None when there is none."""
    library = _library()
    if library is None:
        return None
    return "3.x" if hasattr(library, "tj3Init") else "2.x"


def lossless_crop(data: bytes, box: Box) -> bytes:
    """Cut on the block grid without touching a coefficient. Metadata is left out: versions differ in what they copy."""
    library = _library()
    handle = library.tjInitTransform() if library else None
    if library is None or not handle:
        raise TurboError("no library")
    arguments = _Transform(
        box.left, box.top, box.width, box.height, _NO_OPERATION, _CROP | _COPY_NO_METADATA, None, None
    )
    buffer, length = POINTER(c_ubyte)(), c_ulong(0)
    try:
        # Any non-zero answer counts, warnings too: they mean that the coded data is damaged somewhere.
        if library.tjTransform(
            handle, data, len(data), 1, byref(buffer), byref(length), byref(arguments), _LIMIT_SCANS
        ):
            raise TurboError(library.tjGetErrorStr2(handle).decode("utf-8", "replace"))
        return ctypes.string_at(buffer, length.value)
    finally:
        library.tjFree(buffer)
        library.tjDestroy(handle)


@cache
def _library() -> ctypes.CDLL | None:
    """Load the first library with the functions we need."""
    for name in _candidates():
        try:
            return _declared(ctypes.CDLL(name))
        except (OSError, AttributeError):
            # Missing, for another processor, or older than version 2: try the next candidate.
            continue
    return None


def _candidates() -> Iterator[str]:
    yield from _NAMES.get(sys.platform, ("libturbojpeg.so",))
    # The wheel `turbojpeg` carries its own copy beside the module, under a name with a hash.
    spec = importlib.util.find_spec("turbojpeg")
    if spec and spec.origin:
        for folder in ("turbojpeg.libs", ".dylibs", "turbojpeg"):
            for file in sorted((Path(spec.origin).parent / folder).glob("*turbojpeg*")):
                yield str(file)


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """State the signatures; AttributeError when the library lacks one."""
    library.tjInitTransform.restype = c_void_p
    library.tjInitTransform.argtypes = []
    library.tjTransform.restype = c_int
    library.tjTransform.argtypes = [
        c_void_p,
        c_char_p,
        c_ulong,
        c_int,
        POINTER(POINTER(c_ubyte)),
        POINTER(c_ulong),
        POINTER(_Transform),
        c_int,
    ]
    library.tjGetErrorStr2.restype = c_char_p
    library.tjGetErrorStr2.argtypes = [c_void_p]
    library.tjFree.argtypes = [POINTER(c_ubyte)]
    library.tjFree.restype = None
    library.tjDestroy.argtypes = [c_void_p]
    library.tjDestroy.restype = c_int
    return library
