"""What must not get slower or heavier: ratios against the comparators of the bench, with room for a busy machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from bench import memory, startup, walls
from bench.crowds import sustained
from bench.figures import Series
from bench.photos import save_photo
from bench.service import Scene, serving

pytestmark = [pytest.mark.slow, pytest.mark.timed, pytest.mark.timeout(600)]

SIZES = ((180, 320), (1440, 2560), (2048, 2048))


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("photos")
    for size in SIZES:
        save_photo(folder, *size, "jpeg")
    save_photo(folder, 2048, 2048, "png")
    with serving(folder) as address:
        yield address


def ratios(provider: str, scene: Scene, rounds: int, *, extras: bool) -> Mapping[str, float]:
    times = walls.measure(provider, [scene], rounds, extras=extras)[scene.path]
    assert times.differing == 0
    return {name: times.series["ours"].over(other) for name, other in times.series.items()}


@pytest.mark.parametrize("how", ["url", "b64"])
def test_an_untouched_picture_is_faster_than_the_careful_way(provider: str, how: str):
    found = ratios(provider, Scene("1440x2560-7.jpeg", how), 9, extras=False)
    assert found["naive"] < 0.5
    assert found["careful"] < 0.9


@pytest.mark.parametrize(("extras", "most"), [(True, 1.0), (False, 1.4)])
def test_a_cut_picture_is_about_as_fast_as_the_careful_way(provider: str, extras: bool, most: float):
    assert ratios(provider, Scene("2048x2048-7.jpeg", "url"), 9, extras=extras)["careful"] < most


def test_a_cut_png_takes_half_the_usual_time(provider: str):
    assert ratios(provider, Scene("2048x2048-7.png", "url"), 3, extras=False)["naive"] < 0.6


@pytest.mark.skipif(not memory.measurable(), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize(("count", "most"), [(1, 0.25), (15, 0.15)])
def test_a_reply_of_pictures_never_is_in_memory(provider: str, count: int, most: float):
    scene = Scene("1440x2560-7.jpeg", "b64", count)
    ours, naive = (memory.measured(name, provider, scene) for name in ("product", "naive"))
    assert ours["peak"] < most * naive["peak"]


def test_more_pictures_go_through_than_the_usual_way(provider: str):
    scene = Scene("1440x2560-7.jpeg", "url")
    ours, naive = (sustained(name, provider, scene, 24) for name in ("product", "naive"))
    assert ours > 2 * naive


def test_the_server_is_up_as_soon_as_a_bare_one():
    times = {name: Series([startup.started(command)[0] for _ in range(7)]) for name, command in startup.SERVERS.items()}
    assert times["ours"].over(times["bare"]) < 1.15
