"""Names of frames and of their files.

In: shot id, role, take, exact pixels. Out: `E01_SC01_SH010_ff_v01` and `{project}_{key}_{W}x{H}.jpg`, and back.
Never in here: folders, whether a file exists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from seedframe.messages import Message
from seedframe.storyboard.types import Role

SUFFIXES: Mapping[str, str] = MappingProxyType({"first": "ff", "last": "lf", "ref": "ref"})
KEY = re.compile(r"(?P<shot>E\d{2,4}_SC\d{2,4}_SH\d{3,6})_(?P<suffix>ff|lf|ref)_v(?P<take>\d{2,3})")


def frame_slot(shot: str, role: str) -> str:
    """The keyframe without its take: `E01_SC01_SH010_ff`; what `pick` chooses a take for."""
    return f"{shot}_{SUFFIXES[role]}"


def frame_key(shot: str, role: str, take: int) -> str:
    """`E01_SC01_SH010_ff_v01`."""
    return f"{frame_slot(shot, role)}_v{take:02}"


def parts_of_key(key: str) -> tuple[str, Role, int]:
    """(shot, role, take) of a key; ValueError for anything else."""
    match = KEY.fullmatch(key)
    if match is None:
        raise ValueError(str(Message("storyboard.no-key", key=key)))
    role = next(role for role in get_args(Role) if SUFFIXES[role] == match["suffix"])
    return match["shot"], role, int(match["take"])


def file_name(project: str, key: str, size: tuple[int, int], extension: str) -> str:
    """`{project}_E01_SC01_SH010_ff_v01_{W}x{H}.jpg`; `size` is (width, height) of the picture as it is on disk."""
    width, height = size
    return f"{project}_{key}_{width}x{height}.{extension.lstrip('.')}"
