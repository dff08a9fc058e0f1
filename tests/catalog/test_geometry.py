"""Sizes, ratios and cuts: exact, legal, never under a minimum, never outside the picture."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import isqrt

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seedframe.catalog import catalog
from seedframe.errors import InvalidRequest
from seedframe.geometry import (
    CENTER,
    Anchor,
    Box,
    FrameGeometry,
    Limits,
    Size,
    align_box,
    crop_box,
    exact_size,
    fit_limits,
    frame_plan,
    frame_size,
    mismatch,
    nearest_named,
    parse_ratio,
)
from shapes import ANCHORS, RATIOS, TABLE

WIDE = (Fraction(1, 16), Fraction(16))
LITE = Limits(3_686_400, 16_777_216, *WIDE)
PRO = Limits(921_600, 4_624_220, *WIDE)
GATEWAY = Limits(3_686_400, 16_777_216, *WIDE, max_side=4096)
LIMITS = pytest.mark.parametrize("limits", [LITE, PRO, GATEWAY], ids=["lite", "pro", "gateway"])
PORTRAIT = Fraction(9, 16)

ratios = st.builds(Fraction, st.integers(1, 400), st.integers(1, 400)).filter(lambda r: WIDE[0] <= r <= WIDE[1])
sizes = st.builds(Size, st.integers(1, 7000), st.integers(1, 7000))


@pytest.mark.parametrize(
    "text", ["1440x2560", "1440X2560", "1440*2560", "1440×2560", " 1440 x 2560 ", "１４４０ｘ２５６０"]
)
def test_a_size_is_read_however_people_write_it(text: str) -> None:
    assert Size.parse(text) == Size(1440, 2560)


@pytest.mark.parametrize("text", ["", "2K", "1440", "0x10", "-1x5", "1440x2560x3", "1e3x2", "x", "9:16", "1" * 400])
def test_an_unreadable_size_names_its_field(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        frame_size(text)
    assert caught.value.field == "frame"


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("9:16", PORTRAIT),
        ("9/16", PORTRAIT),
        ("0.5625", PORTRAIT),
        (0.5625, PORTRAIT),
        ("2.39:1", Fraction(239, 100)),
        ("９：１６", PORTRAIT),
    ],
)
def test_a_ratio_is_read_exactly(text: str | float, ratio: Fraction) -> None:
    assert parse_ratio(text) == ratio


@pytest.mark.parametrize("text", ["", "9x16", "0:1", "1:0", "-9:16", "a:b", "9:16:3", "nan", "inf", "1e5", "9" * 50])
def test_an_unreadable_ratio_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_ratio(text)
    assert caught.value.field == "ratio"


def test_anchors_are_names_or_points() -> None:
    assert Anchor.parse("Center") == CENTER
    assert Anchor.parse("bottom right") == Anchor.parse("right-bottom") == Anchor(1.0, 1.0)
    assert Anchor.parse("0.3, 0.7") == Anchor(0.3, 0.7)
    for wrong in ("middle-earth", "1.5,0", "0.3", ""):
        with pytest.raises(InvalidRequest) as caught:
            Anchor.parse(wrong)
        assert caught.value.field == "anchor"


@pytest.mark.parametrize(
    ("ratio", "near", "limits", "size"),
    [
        ("9:16", 3_686_400, LITE, "1440x2560"),
        ("9:16", 4_194_304, LITE, "1584x2816"),
        ("9:16", 9_437_184, LITE, "2304x4096"),
        ("9:16", 16_777_216, LITE, "3024x5376"),
        ("9:16", 16_777_216, GATEWAY, "2304x4096"),
        ("9:16", 9_437_184, PRO, "1584x2816"),
        ("1:1", 4_194_304, LITE, "2048x2048"),
        ("16:9", 3_686_400, LITE, "2560x1440"),
        ("16:1", 4_194_304, LITE, "8192x512"),
        ("997:1009", 4_194_304, LITE, "1994x2018"),
    ],
)
def test_the_size_to_ask_for_has_exactly_the_ratio(ratio: str, near: int, limits: Limits, size: str) -> None:
    assert exact_size(parse_ratio(ratio), near, limits) == Size.parse(size)


def test_a_ratio_without_a_legal_multiple_gets_the_closest_pixels() -> None:
    ratio = parse_ratio("0.5623")
    size = exact_size(ratio, 4_194_304, LITE)
    assert LITE.allow(size)
    assert 0 < mismatch(size, ratio) < 1e-5


@pytest.mark.slow
@LIMITS
@given(ratio=ratios, near=st.integers(1, 30_000_000))
def test_every_legal_ratio_has_a_legal_size(limits: Limits, ratio: Fraction, near: int) -> None:
    low, high = limits.ratios
    assume(low <= ratio <= high)
    size = exact_size(ratio, near, limits)
    assert limits.allow(size)
    assert mismatch(size, ratio) <= 2e-2 * float(max(ratio, 1))


@pytest.mark.slow
@LIMITS
@given(ratio=ratios, pixels=st.integers(4_000_000, 4_600_000))
def test_where_a_legal_multiple_exists_the_ratio_is_exact(limits: Limits, ratio: Fraction, pixels: int) -> None:
    k = isqrt(pixels // (ratio.numerator * ratio.denominator))
    known = Size(ratio.numerator * k, ratio.denominator * k)
    assume(k and limits.allow(known))
    found = exact_size(ratio, known.pixels, limits)
    assert found.ratio == ratio
    assert abs(found.pixels - known.pixels) <= 0.125 * known.pixels


@pytest.mark.parametrize("ratio", ["20:1", "1:17"])
def test_an_illegal_ratio_is_refused_with_the_limits_and_the_nearest_legal_one(ratio: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        exact_size(parse_ratio(ratio), 4_194_304, LITE)
    assert caught.value.facts == {"field": "ratio", "got": ratio, "allowed": "1:16..16:1"}
    assert ("16:1" if ratio == "20:1" else "1:16") in str(caught.value.advice)


def test_a_longest_side_narrows_the_ratios() -> None:
    with pytest.raises(InvalidRequest) as caught:
        exact_size(Fraction(16), 4_194_304, GATEWAY)
    assert caught.value.allowed == "225:1024..1024:225"


@pytest.mark.parametrize(
    ("wanted", "legal"),
    [
        ("1920x1080", "2560x1440"),
        ("720x1280", "1440x2560"),
        ("1080x1920", "1440x2560"),
        ("1024x1024", "1920x1920"),
        ("768x1344", "1472x2576"),
        ("1500x1501", "1920x1921"),
        ("2048x2048", "2048x2048"),
        ("6240x2656", "6240x2656"),
        ("8000x4000", "5792x2896"),
    ],
)
def test_a_size_outside_the_limits_is_moved_inside(wanted: str, legal: str) -> None:
    assert fit_limits(Size.parse(wanted), LITE) == Size.parse(legal)


@pytest.mark.slow
@LIMITS
@given(size=sizes)
def test_a_moved_size_is_legal_and_keeps_its_ratio(limits: Limits, size: Size) -> None:
    low, high = limits.ratios
    assume(low <= size.ratio <= high)
    moved = fit_limits(size, limits)
    assert limits.allow(moved)
    shorter = min(moved.width, moved.height)
    assert abs(moved.ratio / size.ratio - 1) <= Fraction(2, shorter)
    assert moved == size or not limits.allow(size)


@pytest.mark.slow
def test_no_size_of_a_sweep_lands_under_the_minimum() -> None:
    for width, height in product(range(256, 2048, 17), range(256, 2048, 19)):
        moved = fit_limits(Size(width, height), LITE)
        assert LITE.min_pixels <= moved.pixels <= 1.25 * LITE.min_pixels or moved == Size(width, height)


def test_a_size_of_an_illegal_ratio_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        fit_limits(Size(2000, 100), LITE)
    assert caught.value.field == "size"


def test_a_square_is_cropped_to_nine_by_sixteen_at_full_height() -> None:
    assert crop_box(Size(2048, 2048), PORTRAIT) == Box(448, 0, 1152, 2048)


@pytest.mark.parametrize("size", ["1440x2560", "2304x4096", "1600x2848", "1584x2816", "800x1424"])
def test_a_near_ratio_is_left_untouched(size: str) -> None:
    assert crop_box(Size.parse(size), PORTRAIT) is None


def test_the_4k_preset_misses_nine_by_sixteen_and_is_cropped() -> None:
    assert crop_box(Size(3040, 5504), PORTRAIT) == Box(0, 50, 3040, 5404)


def test_the_table_has_every_size_of_the_models() -> None:
    sizes = {str(size) for model in catalog().models for preset in model.presets.values() for size in preset.values()}
    assert sizes <= set(TABLE)
    assert len(RATIOS) == 20


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("ratio", RATIOS)
def test_every_size_of_the_tables_is_cut_exactly_at_full_height_or_width(ratio: str, anchor: str) -> None:
    wanted, point = parse_ratio(ratio), Anchor.parse(anchor)
    for text in TABLE:
        size = Size.parse(text)
        box = crop_box(size, wanted, point)
        if box is None:
            assert mismatch(size, wanted) <= 0.01
            continue
        assert box.inside(size)
        assert mismatch(box.size, wanted) <= 1e-3
        # A few pixels of the full side are given up only where whole pixels could not reach the ratio.
        assert min(size.width - box.width, size.height - box.height) <= 6
        for mcu in ((16, 16), (16, 8), (8, 8), (1, 1)):
            moved, pixels = align_box(box, mcu, size)
            assert moved.inside(size)
            assert moved.size == box.size
            assert (moved.left % mcu[0], moved.top % mcu[1]) == (0, 0)
            assert pixels < max(mcu)


@pytest.mark.slow
@given(size=sizes, ratio=ratios, x=st.floats(0, 1), y=st.floats(0, 1))
def test_a_cut_lies_inside_and_never_is_the_whole_picture(size: Size, ratio: Fraction, x: float, y: float) -> None:
    box = crop_box(size, ratio, Anchor(x, y))
    assert box is None or (box.inside(size) and box.size != size)


@given(size=st.builds(Size, st.integers(64, 4096), st.integers(64, 4096)), ratio=ratios)
def test_a_centred_cut_moves_at_most_half_a_block_onto_the_grid(size: Size, ratio: Fraction) -> None:
    box = crop_box(size, ratio)
    assert box is None or align_box(box, (16, 16), size)[1] <= 8


def test_a_focus_point_becomes_the_middle_as_far_as_the_edges_allow() -> None:
    assert crop_box(Size(2048, 2048), PORTRAIT, Anchor(0.4, 0.5)) == Box(243, 0, 1152, 2048)
    assert crop_box(Size(2048, 2048), PORTRAIT, Anchor(0.1, 0.5)) == Box(0, 0, 1152, 2048)


def test_an_exact_size_needs_no_plan() -> None:
    assert frame_plan(Size(1440, 2560), ratio=PORTRAIT) == FrameGeometry(None, None, 0.0, 0.0)
    assert frame_plan(Size(1440, 2560), ratio=PORTRAIT).untouched


def test_a_square_for_nine_by_sixteen_loses_seven_sixteenths() -> None:
    plan = frame_plan(Size(2048, 2048), ratio=PORTRAIT)
    assert plan == FrameGeometry(Box(448, 0, 1152, 2048), None, 0.4375, 0.0)


def test_an_exact_frame_is_cut_to_its_ratio_and_shrunk() -> None:
    plan = frame_plan(Size(1600, 2848), frame=Size(1080, 1920))
    assert plan.crop == Box(0, 2, 1600, 2844)
    assert plan.resize == Size(1080, 1920)
    assert plan.ratio_error == 0.0


def test_nothing_is_enlarged_to_reach_a_frame() -> None:
    plan = frame_plan(Size(720, 1280), frame=Size(1080, 1920))
    assert (plan.resize, plan.too_small) == (None, True)


def test_the_everyday_ratio_nearest_to_a_size_is_named() -> None:
    assert nearest_named(Size(1600, 2848).ratio) == "9:16"
    assert nearest_named(Size(3136, 1344).ratio) == "21:9"
