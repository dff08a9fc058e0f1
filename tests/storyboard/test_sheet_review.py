"""The contact sheet as a review tool, in a real browser under its own policy; decisions come back to the folder."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from browsers import SCROLL, Chromium, main_thread_work
from seedframe.cli import program
from seedframe.messages import LANGUAGES, sentences
from seedframe.settings import Settings
from seedframe.storyboard.board import example, read_board
from seedframe.storyboard.board_folder import keep_board, publish
from seedframe.storyboard.frames import FrameResult, frames_of
from seedframe.storyboard.names import file_name
from seedframe.storyboard.picks import read_picks
from seedframe.storyboard.types import Board
from sheet_pages import one_page

pytestmark = pytest.mark.anyio

FIRST, TAKES = "E01_SC01_SH010_ff", "E01_SC01_SH040_ff"


def thumbnail(colour: str) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (90, 160), colour).save(target, "JPEG")
    return target.getvalue()


def story() -> Board:
    return read_board("example.yaml", text=example("yaml"))


def made(board: Board, **failed: str) -> dict[str, FrameResult]:
    return {
        task.key: FrameResult(
            task.key, "failed" if task.key in failed else "done", path=f"{task.key}.jpg", prompt="画面"
        )
        for task in frames_of(board)
    }


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """The example's sheet: one frame failed, take 2 of a shot picked, one picture stale, one file beside the page."""
    board = story()
    results = made(board, E01_SC02_SH050_ff_v01="x")
    results[f"{TAKES}_v02"] = replace(results[f"{TAKES}_v02"], picked=True)
    small = {key: thumbnail("#336699") for key, result in results.items() if result.status == "done"}
    stale = frozenset({"E01_SC01_SH030_ff_v01"})
    html = one_page(board, results, thumbnails=small, stale=stale)
    Image.new("RGB", (900, 1600), "#336699").save(tmp_path / f"{FIRST}_v01.jpg")
    page = tmp_path / "sheet.html"
    page.write_text(html, encoding="utf-8")
    return page


async def command(page: Any) -> str:
    return str(await page.locator(".bar code").inner_text())


@pytest.mark.slow
async def test_takes_are_picked_un_picked_and_handed_over(sheet: Path, browser: Chromium):
    async with browser.page(accept_downloads=True) as (page, trouble):
        await page.goto(sheet.as_uri())
        await page.click(f"[data-key={FIRST}_v01] .take")
        await page.click(f"[data-key={TAKES}_v02] .take")
        changed = await command(page)
        await page.reload()
        kept = await command(page)
        await page.click("#E01_SC01_SH020 .note summary")
        await page.fill("#E01_SC01_SH020 textarea", "lantern too bright")
        async with page.expect_download() as download:
            await page.click("[data-do=download]")
        approvals = json.loads(Path(await (await download.value).path()).read_text(encoding="utf-8"))
        await page.click("[data-do=reset]")
        hidden = await page.locator(".bar").is_hidden()

    assert changed == kept == f"seedframe storyboard pick {FIRST}_v01 {TAKES} none"
    assert approvals["schema"] == "seedframe/picks/1"
    assert (approvals["picks"][FIRST], approvals["picks"][TAKES]) == (f"{FIRST}_v01", None)
    assert approvals["notes"] == {"E01_SC01_SH020": "lantern too bright"}
    assert hidden
    assert trouble == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shots"),
    [
        ("failed", ["E01_SC02_SH050"]),
        ("stale", ["E01_SC01_SH030"]),
        ("noted", []),
        ("unpicked", 11),
    ],
)
async def test_a_filter_leaves_the_shots_it_names(sheet: Path, browser: Chromium, name: str, shots: Any):
    async with browser.page() as (page, trouble):
        await page.goto(sheet.as_uri())
        await page.click(f"[data-filter={name}]")
        shown = await page.eval_on_selector_all("article:not([hidden])", "(found) => found.map(({ id }) => id)")
        told = await page.locator("[role=status]").inner_text()

    assert shots in (shown, len(shown))
    assert told == f"{len(shown)} of 12 shots shown"
    assert trouble == []


@pytest.mark.slow
async def test_a_picture_opens_at_full_size_and_takes_stand_side_by_side(sheet: Path, browser: Chromium):
    async with browser.page() as (page, _):
        await page.goto(sheet.as_uri())
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await page.wait_for_function("document.querySelector('.stage img').naturalWidth === 900")
        await page.keyboard.press("z")
        drawn = await page.evaluate("document.querySelector('.stage img').getBoundingClientRect().width")
        for _step in range(3):
            await page.keyboard.press("ArrowRight")
        await page.keyboard.press("c")
        compared = await page.locator(".stage figcaption b").all_inner_texts()
        await page.keyboard.press("1")
        await page.keyboard.press("Escape")
        changed = await command(page)

    assert drawn == 900
    assert compared == [f"{TAKES}_v01", f"{TAKES}_v02"]
    assert changed == f"seedframe storyboard pick {TAKES}_v01"


@pytest.mark.slow
async def test_the_animatic_plays_shots_for_their_time_with_their_dialogue(sheet: Path, browser: Chromium):
    async with browser.page() as (page, trouble):
        await page.clock.install()
        await page.goto(sheet.as_uri())
        await page.keyboard.press("a")
        seen = []
        for seconds in (1, 5, 4):
            await page.clock.run_for(seconds * 1000)
            seen.append(
                [await page.locator("#animatic-title .id").inner_text(), await page.locator(".subtitle").inner_text()]
            )
        length = await page.locator(".animatic output").inner_text()
        await page.keyboard.press("ArrowLeft")
        back = await page.locator("#animatic-title .id").inner_text()

    assert seen == [["E01_SC01_SH010", ""], ["E01_SC01_SH020", "咦？月亮掉下来了。"], ["E01_SC01_SH030", ""]]
    assert length.endswith(" / 0:59")
    assert back == "E01_SC01_SH020"
    assert trouble == []


@pytest.mark.slow
@pytest.mark.parametrize(("panels", "pages"), [(6, 2), (12, 1)])
async def test_panels_fill_printed_pages(sheet: Path, browser: Chromium, panels: int, pages: int):
    async with browser.page() as (page, _):
        await page.goto(sheet.as_uri())
        await page.evaluate("window.print = () => { document.body.dataset.printed = 'yes'; }")
        await page.click(f"[data-print='{panels}']")
        await page.locator("body[data-printed]").wait_for()
        laid_out = await page.locator(".panels .panel").count()
        printed = await page.pdf(prefer_css_page_size=True)
        left = await page.locator(".panels .panel").count()

    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == pages
    assert (laid_out, left) == (12, 0)


@pytest.mark.slow
async def test_everything_has_a_name_for_a_screen_reader_in_the_language_shown(sheet: Path, browser: Chromium):
    unnamed = """() => [...document.querySelectorAll('button, a, select, textarea, input')]
      .filter((found) => found.checkVisibility({ visibilityProperty: true }))
      .filter((found) => !found.ariaLabel && !found.innerText.trim()
        && !found.querySelector('img[alt]') && !found.closest('label')).map((found) => found.outerHTML)"""
    async with browser.page() as (page, _):
        await page.goto(sheet.as_uri())
        names = [await page.evaluate(unnamed)]
        await page.keyboard.press("l")
        names.append(await page.evaluate(unnamed))
        heading = await page.locator("h1").inner_text()

    assert names == [[], []]
    assert heading == "补月亮的刺猬"


@pytest.mark.timed
@pytest.mark.slow
async def test_five_hundred_shots_scroll_and_pick_smoothly(tmp_path: Path, browser: Chromium):
    board = story()
    shots = tuple(
        replace(board.shots[n % 12], id=f"E01_SC{n // 10 + 1:02}_SH{n % 10 + 1:02}0", prev=None) for n in range(500)
    )
    board = replace(board, shots=shots)
    results = made(board)
    page_file = tmp_path / "sheet.html"
    small = dict.fromkeys(results, thumbnail("#336699"))
    page_file.write_text(one_page(board, results, thumbnails=small), encoding="utf-8")
    async with browser.page() as (page, trouble):
        await page.goto(page_file.as_uri())
        work = await main_thread_work(page, SCROLL)
        await page.evaluate("document.querySelectorAll('.take')[400].focus()")
        pressed = await main_thread_work(
            page,
            """() => Array.from({ length: 20 }, () => {
              for (const key of ['p', 'ArrowDown']) {
                document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
              }
            })""",
        )

    assert work < 60, "milliseconds of script, style and layout for each frame"
    assert pressed < 120, "and for each pick with a step down"
    assert trouble == []


def pick(folder: Path, *arguments: str) -> Result:
    settings = Settings.read({"SEEDFRAME_LANG": "en"})
    return CliRunner().invoke(program("en"), ["storyboard", "pick", str(folder), *arguments], obj=settings)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A board's folder after a run, with pictures."""
    board = story()
    out = tmp_path / "board"
    results = {}
    keep_board(board, out)
    for key, result in made(board).items():
        name = file_name(board.project, key, (90, 160), "jpg")
        Image.new("RGB", (90, 160), "#336699").save(out / name)
        results[key] = replace(result, path=str(out / name))
    publish(board, results, out)
    return out


@pytest.mark.slow
def test_a_pick_is_taken_away_with_none(folder: Path):
    pick(folder, f"{TAKES}_v02", f"{FIRST}_v01")
    answer = pick(folder, "E01_SC01_SH040", "none")

    assert answer.exit_code == 0, answer.output
    assert f"{TAKES}: no take is picked" in answer.output
    assert read_picks(folder) == {FIRST: f"{FIRST}_v01"}


@pytest.mark.slow
def test_approvals_of_the_sheet_become_the_picks_of_the_folder(folder: Path, tmp_path: Path):
    pick(folder, f"{TAKES}_v02")
    approvals = tmp_path / "picks.json"
    approvals.write_text(json.dumps({"schema": "seedframe/picks/1", "picks": {FIRST: f"{FIRST}_v01", TAKES: None}}))
    answer = pick(folder, "--file", str(approvals))

    assert answer.exit_code == 0, answer.output
    assert read_picks(folder) == {FIRST: f"{FIRST}_v01"}


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "other", "picks": {}}', '{"schema": "seedframe/picks/1"}'])
def test_another_file_is_no_approvals(folder: Path, tmp_path: Path, text: str):
    approvals = tmp_path / "picks.json"
    approvals.write_text(text)
    answer = pick(folder, "--file", str(approvals))

    assert answer.exit_code == 2
    assert "no approvals file" in answer.output
    assert read_picks(folder) == {}


@pytest.mark.slow
def test_a_picture_made_for_an_older_board_is_marked_stale(folder: Path):
    board = story()
    picture = next(folder.glob(f"*{FIRST}_v01*.jpg"))
    brief = dict(next(task.brief for task in frames_of(board) if task.key == f"{FIRST}_v01"))
    sidecar = picture.with_name(picture.name + ".json")
    marked = []
    for made_from in (brief, {**brief, "mood": "mood.tense"}):
        sidecar.write_text(json.dumps({"seedframe": 1, "brief": made_from, "picture": {}, "references": []}))
        pick(folder, f"{TAKES}_v02")
        html = (folder / "sheet.html").read_text(encoding="utf-8")
        marked.append(f'class="done stale" data-key="{FIRST}_v01"' in html)

    assert marked == [False, True]


PAGES = {"sheet": "storyboard/sheet", "gallery": "gallery", "upload": "mcp_server/upload_site"}


@pytest.mark.parametrize("name", PAGES)
def test_every_word_of_a_page_is_used_by_it(name: str):
    import seedframe

    package = Path(seedframe.__file__).parent
    place = package / PAGES[name]
    pages = "".join(file.read_text(encoding="utf-8") for file in place.iterdir() if file.is_file())
    code = "".join(file.read_text(encoding="utf-8") for file in package.rglob("*.py"))
    parts = ("do-", "filter-", "role-", "paper-", "as-", "fact-")
    of_values = {"planned", "done", "failed", "unknown", "skipped", "role-first", "role-last", "role-ref"}

    def is_used(key: str) -> bool:
        stem = key.removeprefix("live-")
        shorter = next((stem.removeprefix(part) for part in parts if stem.startswith(part)), stem)
        return f'"{shorter}"' in pages or f'"{stem}"' in pages or f"{name}.{key}" in code or key in of_values

    for language in LANGUAGES:
        keys = [key.removeprefix(f"{name}.") for key in sentences(language) if key.startswith(f"{name}.")]
        assert [key for key in keys if not is_used(key)] == []
