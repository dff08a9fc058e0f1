"""From what the service sent to what lies on the disk: shapes, originals, trust, and nothing of a damaged picture."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from seedframe.catalog import catalog
from seedframe.errors import PictureError
from seedframe.images import MAX_PIXELS
from seedframe.mcp_server.content import PREVIEW_BUDGET, answer
from seedframe.service.replies import Layer, Slot
from seedframe.service.request import check
from seedframe.settings import Settings
from seedframe.studio.postprocess import Destination, finish
from seedframe.studio.store import Store
from seedframe.studio.types import AskedFrame, Cost, Picture, RequestSummary, Result, Trust

MOMENT = datetime(2026, 11, 20, 8, tzinfo=UTC)
NEVER = {"eligible": False, "expires_at": None}


def arrived(folder: Path, size: tuple[int, int], **options: Any) -> Path:
    part = folder / "arrived.part"
    Image.frombytes("RGB", (8, 8), random.Random(1).randbytes(192)).resize(size).save(part, "JPEG", **options)
    return part


def landed(folder: Path, part: Path, slot: Slot | None = None, *, backend: str = "ark", **arguments: Any) -> Picture:
    settings = Settings.read({"SEEDFRAME_BACKEND": backend, "SEEDFRAME_OUTPUT_DIR": str(folder)})
    given = {"prompt": "海边的灯塔", "model": "5.0-lite", **arguments}
    request = check(
        "edit_image" if "images" in arguments else "generate_image", given, catalog=catalog(), settings=settings
    )
    place = Destination(0, "seedframe:X-1", folder / "shot")
    return finish(part, slot or Slot(0, part=0), request, place, Store(folder), MOMENT).described("en")


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_what_fits_lands_byte_for_byte(tmp_path: Path):
    part = arrived(tmp_path, (144, 256))
    sum_ = hashlib.sha256(part.read_bytes()).hexdigest()
    facts = landed(tmp_path, part, ratio="9:16").as_dict()
    assert (facts["method"], facts["crop"], facts["sha256"]) == ("bytes", "untouched", sum_)
    assert hashlib.sha256((tmp_path / "shot.jpg").read_bytes()).hexdigest() == sum_
    assert names(tmp_path) == ["arrived.part", "shot.jpg"]
    assert "ratio_error" not in facts


def test_what_nearly_fits_is_left_alone_and_says_how_nearly(tmp_path: Path):
    facts = landed(tmp_path, arrived(tmp_path, (1600, 2848)), ratio="9:16").as_dict()
    assert (facts["crop"], facts["ratio_error"]) == ("untouched", 0.0007)


@pytest.mark.parametrize(
    ("arguments", "crop", "size"),
    [
        ({"ratio": "9:16"}, (112, 0, 400, 512), "288x512"),
        ({"ratio": "9:16", "anchor": "left"}, (0, 0, 288, 512), "288x512"),
        ({"ratio": "9:16", "anchor": "0.9,0.5"}, (224, 0, 512, 512), "288x512"),
        ({"ratio": "2:1", "anchor": "bottom"}, (0, 256, 512, 512), "512x256"),
        ({"frame": "180x320"}, (112, 0, 400, 512), "180x320"),
    ],
)
def test_what_does_not_fit_is_cut_and_the_original_stays_beside_it(
    tmp_path: Path, arguments: dict[str, str], crop: tuple[int, ...], size: str
):
    part = arrived(tmp_path, (512, 512))
    sum_ = hashlib.sha256(part.read_bytes()).hexdigest()
    picture = landed(tmp_path, part, **arguments)
    assert (picture.crop, picture.size, picture.received) == (crop, size, "512x512")
    assert names(tmp_path) == ["arrived.part", "shot.jpg", "shot.original.jpg"]
    assert hashlib.sha256((tmp_path / "shot.original.jpg").read_bytes()).hexdigest() == sum_
    with Image.open(tmp_path / "shot.jpg") as saved:
        assert f"{saved.width}x{saved.height}" == size


def test_a_picture_smaller_than_its_frame_is_cut_and_never_enlarged(tmp_path: Path):
    picture = landed(tmp_path, arrived(tmp_path, (512, 512)), frame="1080x1920")
    assert picture.size == "288x512"
    assert any("not enlarged" in note for note in picture.notes)


def test_a_layer_keeps_its_own_shape(tmp_path: Path):
    slot = Slot(0, part=0, layer=Layer(1, None, "sky", None))
    assert landed(tmp_path, arrived(tmp_path, (512, 100)), slot, ratio="9:16").method == "bytes"


@pytest.mark.parametrize("arguments", [{"ratio": "9:16"}, {"ratio": "1:1"}, {"frame": "180x320"}], ids=str)
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_of_a_cut_off_picture_nothing_is_left(tmp_path: Path, arguments: dict[str, str], share: float):
    part = arrived(tmp_path, (512, 512))
    part.write_bytes(part.read_bytes()[: int(part.stat().st_size * share)])
    with pytest.raises(PictureError):
        landed(tmp_path, part, **arguments)
    assert names(tmp_path) == []


def test_a_pixel_bomb_from_the_service_is_refused_undecoded(tmp_path: Path):
    part = arrived(tmp_path, (64, 64))
    data = bytearray(part.read_bytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\x00\xff\x00"
    part.write_bytes(data)
    with pytest.raises(PictureError, match=f"{MAX_PIXELS}"):
        landed(tmp_path, part, ratio="1:1")


@pytest.mark.parametrize(
    ("arguments", "trust"),
    [
        ({"ratio": "1:1"}, {"eligible": True, "reason": "original", "expires_at": "2026-12-20T08:00:00+00:00"}),
        ({"ratio": "9:16"}, {**NEVER, "reason": "changed"}),
        ({"frame": "180x180"}, {**NEVER, "reason": "changed"}),
        ({"ratio": "1:1", "backend": "emulator"}, {**NEVER, "reason": "backend"}),
        ({"ratio": "1:1", "images": ["https://example.com/a.png"]}, {**NEVER, "reason": "references"}),
        ({"ratio": "1:1", "model": "4.5"}, {**NEVER, "reason": "model"}),
    ],
    ids=lambda value: value.get("reason") if "reason" in value else None,
)
def test_seedance_trusts_only_untouched_originals_of_some_models(
    tmp_path: Path, arguments: dict[str, Any], trust: dict[str, Any]
):
    assert landed(tmp_path, arrived(tmp_path, (512, 512)), **arguments).as_dict()["trust"] == trust


@pytest.mark.parametrize(("count", "side", "shown"), [(1, 1568, 1), (2, 1568, 1), (15, 320, 1), (4, 320, 4)])
def test_previews_of_a_result_stay_within_what_a_host_takes(tmp_path: Path, count: int, side: int, shown: int):
    noise = Image.frombytes("RGB", (side, side), random.Random(2).randbytes(side * side * 3))
    paths = []
    for number in range(count):
        paths.append(tmp_path / f"{number}.jpg")
        noise.save(paths[-1], quality=60)
    pictures = tuple(
        Picture(
            f"seedframe:X-{n + 1}", path, side, side, "image/jpeg", 1, "", "bytes", None, "1:1", Trust(False, "model")
        )
        for n, path in enumerate(paths)
    )
    asked = RequestSummary("generate_image", "4.5", "id", "ark", "a lighthouse", AskedFrame("2K", "as given"))
    previews = tuple(path.read_bytes()[:480_000] for path in paths)
    result = Result("done", asked, Cost(Decimal(0), "CNY", count, "2026-11"), pictures=pictures, previews=previews)
    blocks = [block for block in answer(result, "en").content if block.type == "image"]
    assert len(blocks) == shown
    assert sum(len(block.data) for block in blocks) <= PREVIEW_BUDGET == 700_000
