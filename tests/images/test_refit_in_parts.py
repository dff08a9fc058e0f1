"""A large input picture that must be written anew: read in parts, in little memory, or refused with the way out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from children import system
from seedframe.catalog import ReferenceLimits
from seedframe.errors import PictureError
from seedframe.images import fit_reference, inspect

MOST_MIB = 64
SIDE = 5990
READ_IN_PARTS = {
    "photo.jpg": {"quality": 92},
    "plain.png": {"compress_level": 1},
    "plain.bmp": {},
    "plain.tiff": {},
    "palette.gif": {},
}
DECODED_WHOLE = {
    "progressive.jpg": {"quality": 92, "progressive": True},
    "packed.tiff": {"compression": "tiff_lzw"},
    "lossy.webp": {"quality": 80, "method": 0},
}
PEAK = """
import sys
from pathlib import Path
from seedframe.catalog import ReferenceLimits
from seedframe.images import fit_reference

def mib(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) / 1024

source, small, target = map(Path, sys.argv[1:])
fit_reference(small, target, ReferenceLimits(formats=("none",)))
Path("/proc/self/clear_refs").write_text("5")
rest = mib("VmHWM")
fit_reference(source, target, ReferenceLimits(formats=("none",), max_pixels=10_000_000))
print(mib("VmHWM") - rest)
"""


def gradients(width: int, height: int) -> Image.Image:
    across = Image.linear_gradient("L").resize((width, height))
    down = Image.linear_gradient("L").rotate(90).resize((width, height))
    return Image.merge("RGB", (across, down, across.rotate(180)))


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured by Linux's /proc")
@pytest.mark.parametrize("name", READ_IN_PARTS)
def test_a_source_of_36_megapixels_is_refitted_in_64_mib(name: str, tmp_path: Path):
    picture = gradients(SIDE, SIDE)
    source, small = tmp_path / name, tmp_path / f"small-{name}"
    (picture.quantize(64) if name.endswith("gif") else picture).save(source, **READ_IN_PARTS[name])
    gradients(400, 300).save(small)
    command = [sys.executable, "-c", PEAK, str(source), str(small), str(tmp_path / "fitted")]
    done = subprocess.run(command, env=system(), capture_output=True, text=True, timeout=110)

    assert done.returncode == 0, done.stderr
    assert float(done.stdout) <= MOST_MIB
    fitted = inspect(tmp_path / "fitted")
    assert fitted["width"] * fitted["height"] <= 10_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", DECODED_WHOLE)
def test_what_can_only_be_decoded_whole_is_refused_with_the_way_out(name: str, tmp_path: Path):
    source = tmp_path / name
    gradients(SIDE, SIDE).save(source, **DECODED_WHOLE[name])
    with pytest.raises(PictureError) as refused:
        fit_reference(source, tmp_path / "fitted", ReferenceLimits(max_pixels=10_000_000))

    assert "JPEG" in refused.value.text("en")
    assert refused.value.facts["got"] == f"{SIDE}x{SIDE}"
    assert not (tmp_path / "fitted").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["L.bmp", "P.bmp", "RGB.bmp", "L.tiff", "P.tiff", "RGB.tiff", "RGBA.tiff"])
def test_rows_that_are_not_compressed_are_read_as_pillow_reads_them(name: str, tmp_path: Path):
    mode = name.partition(".")[0]
    source = tmp_path / name
    picture = gradients(1700, 1301)
    picture.paste((200, 30, 30), (300, 200, 900, 700))
    (picture.quantize(32) if mode == "P" else picture.convert(mode)).save(source)
    fit_reference(source, tmp_path / "fitted", ReferenceLimits(formats=("png",), max_pixels=36_000_000))

    with Image.open(tmp_path / "fitted") as fitted, Image.open(source) as stored:
        shown = "RGBA" if mode == "RGBA" else "RGB"
        difference = ImageChops.difference(fitted.convert(shown), stored.convert(shown))
        assert fitted.size == stored.size
        assert max(high for _, high in difference.getextrema()) < 24


def test_an_uncompressed_file_that_ends_early_is_damaged(tmp_path: Path):
    source = tmp_path / "cut.bmp"
    gradients(1700, 1301).save(source)
    source.write_bytes(source.read_bytes()[:-5000])
    with pytest.raises(PictureError):
        fit_reference(source, tmp_path / "fitted", ReferenceLimits(formats=("png",)))

    assert not (tmp_path / "fitted").exists()
