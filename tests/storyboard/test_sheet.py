"""The contact sheet: nothing loads, nothing smuggled in runs, everything is there in story order."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from seedframe.storyboard.board import example, read_board
from seedframe.storyboard.frames import FrameResult, frames_of
from seedframe.storyboard.sheet.image import MOST_PIXELS, chinese_font, sheet_png
from seedframe.storyboard.sheet.page import render_sheets
from seedframe.storyboard.types import Board
from sheet_pages import one_page

EVIL = "</p></script><script>alert('x')</script><img src=https://evil.example/x.png onerror=alert(1)>\"'"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


def story() -> Board:
    return read_board("example.yaml", text=example("yaml"))


def thumbnail(colour: str = "#336699") -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (90, 160), colour).save(target, "JPEG")
    return target.getvalue()


def results(board: Board) -> dict[str, FrameResult]:
    found = {
        task.key: FrameResult(
            task.key,
            "done",
            path=f"frames/{task.key}.jpg",
            width=2304,
            height=4096,
            prompt="视频静帧画面",
            model="5.0-lite",
            backend="ark",
            cost={"amount": 0.22, "currency": "CNY"},
        )
        for task in frames_of(board)
    }
    failed = {"code": "X", "severity": "error", "message": {"en": "The service said no.", "zh": "服务拒绝了。"}}
    found["E01_SC02_SH050_ff_v01"] = FrameResult("E01_SC02_SH050_ff_v01", "failed", findings=(failed,))
    found["E01_SC01_SH040_ff_v02"] = replace(found["E01_SC01_SH040_ff_v02"], picked=True)
    return found


def pictures(found: dict[str, FrameResult]) -> dict[str, bytes]:
    return {key: thumbnail() for key, result in found.items() if result.status == "done"}


def sheet(board: Board | None = None, found: dict[str, FrameResult] | None = None, language: str = "en") -> str:
    board = board or story()
    found = results(board) if found is None else found
    return one_page(board, found, language="zh" if language == "zh" else "en", thumbnails=pictures(found))


@dataclass
class Page(HTMLParser):
    """What a browser would see: tags with attributes, and text outside of style and script."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    raw: dict[str, str] = field(default_factory=dict)
    inside: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if self.inside in ("style", "script"):
            self.raw[self.inside] = self.raw.get(self.inside, "") + data
        elif data.strip():
            self.texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def all(self, name: str) -> list[str]:
        return [value or "" for _, attributes in self.tags for key, value in attributes.items() if key == name]

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.tags)


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    return page


@pytest.mark.slow
def test_frames_stand_in_story_order():
    assert read(sheet()).all("data-key") == [task.key for task in frames_of(story())]


def test_takes_of_one_frame_share_a_slot_so_that_one_is_picked():
    slots = read(sheet()).all("data-slot")
    assert slots.count("E01_SC01_SH040_ff") == 2
    assert slots.count("E01_SC01_SH040_lf") == 2


def test_prompt_size_cost_finding_and_pick_are_told_in_both_languages():
    page = read(sheet())
    described = set(page.texts)
    assert {
        "视频静帧画面",
        "2304×4096 · 0.22 CNY",
        "The service said no.",
        "服务拒绝了。",
        "picked",
        "已选",
    } <= described
    assert {"3.52 CNY", "The Hedgehog Who Mended the Moon", "补月亮的刺猬"} <= described
    picked = [attributes for tag, attributes in page.tags if "picked" in (attributes.get("class") or "").split()]
    assert [attributes["data-key"] for attributes in picked] == ["E01_SC01_SH040_ff_v02"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_opens_in_the_language_asked_for(language: str):
    attributes = next(attributes for tag, attributes in read(sheet(language=language)).tags if tag == "html")
    assert attributes == {"lang": language, "data-language": language}


def test_nothing_is_loaded_from_anywhere():
    page = read(sheet())
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.all("src"))
    assert all(not re.match(r"(?i)[a-z]+:|//", target) for target in page.all("href"))
    assert "@import" not in page.raw["style"]
    assert "url(" not in page.raw["style"]


def test_the_policy_lets_only_this_style_and_this_script_run():
    page = read(sheet())
    policy = page.all("content")[0]
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.raw[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:")


@pytest.mark.slow
def test_prompts_and_board_texts_are_told_and_never_run():
    board = story()
    shot = replace(
        board.shots[0],
        brief={**board.shots[0].brief, "action": {"en": EVIL, "zh": EVIL}},
        dialogue=EVIL,
        title={"en": EVIL},
    )
    board = replace(board, title={"en": EVIL, "zh": EVIL}, shots=(shot, *board.shots[1:]))
    found = results(board)
    key = "E01_SC01_SH010_ff_v01"
    evil = {"code": EVIL, "severity": EVIL, "message": EVIL}
    found[key] = replace(
        found[key], prompt=EVIL, negative=EVIL, model=EVIL, path=f"javascript:{EVIL}", findings=(evil,)
    )
    clean, page = read(sheet()), read(sheet(board, found))
    assert [page.count(tag) for tag in ("script", "img")] == [clean.count(tag) for tag in ("script", "img")]
    assert page.texts.count(EVIL) >= 5
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not [target for target in page.all("href") if target.startswith("javascript:")]


def test_links_to_pictures_are_relative_to_where_the_sheet_will_be(tmp_path: Path):
    board = story()
    found = results(board)
    key = "E01_SC01_SH010_ff_v01"
    found[key] = replace(found[key], path=str(tmp_path / "out" / "a b#1.jpg"))
    page = read(one_page(board, found, folder=tmp_path))
    assert "out/a%20b%231.jpg" in page.all("href")


def test_a_board_nobody_has_run_yet_has_a_sheet_too():
    page = read(sheet(found={}))
    assert len(page.all("data-key")) == 17
    assert page.texts.count("planned") == 18


def test_a_long_board_has_several_pages_that_lead_to_each_other_and_loads_no_more_than_one_at_a_time():
    board = story()
    many = tuple(replace(board.shots[0], id=f"E01_SC01_SH{number:04}") for number in range(25))
    board = replace(board, shots=many)
    asked: list[int] = []

    def thumbnails(keys: Sequence[str]) -> dict[str, bytes]:
        asked.append(len(keys))
        return {}

    pages = dict(render_sheets(board, {}, thumbnails=thumbnails, most=10))
    read_pages = {name: read(html) for name, html in pages.items()}
    assert list(pages) == ["sheet.html", "sheet-002.html", "sheet-003.html"]
    assert asked == [10, 10, 5]
    drawn = [key for page in read_pages.values() for key in page.all("data-key")]
    assert drawn == [task.key for task in frames_of(board)]
    for page in read_pages.values():
        assert set(pages) <= set(page.all("href"))
    assert [page.all("data-project")[0] for page in read_pages.values()] == [
        "moonmender",
        "moonmender#2",
        "moonmender#3",
    ]


@pytest.mark.slow
def test_the_picture_of_the_sheet_has_every_frame_in_a_grid():
    board = story()
    found = results(board)
    with Image.open(io.BytesIO(sheet_png(board, found, thumbnails=pictures(found)))) as image:
        colours = {image.getpixel((x, 300)) for x in range(0, image.width, 5)}
        assert image.format == "PNG"
        assert image.width > image.height / 2
    assert any(
        abs(red - 51) < 4 and abs(blue - 153) < 4 for red, _, blue in (c for c in colours if isinstance(c, tuple))
    )


@pytest.mark.slow
def test_the_picture_of_a_huge_board_stays_within_its_pixels():
    board = story()
    many = tuple(replace(board.shots[0], id=f"E01_SC01_SH{number:04}") for number in range(10, 3010))
    with Image.open(io.BytesIO(sheet_png(replace(board, shots=many), {}, thumbnails={}))) as image:
        assert image.width * image.height <= MOST_PIXELS


def test_the_picture_of_the_sheet_does_without_chinese_glyphs():
    assert sheet_png(story(), {}, thumbnails={}, language="zh", font=None)


@pytest.fixture
def chromium(tmp_path: Path) -> list[str]:
    if BROWSER is None:
        pytest.skip("chromium is not installed")
    return [
        BROWSER,
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--window-size=1400,1200"),
        f"--user-data-dir={tmp_path / 'profile'}",
    ]


def browse(command: list[str], *arguments: str) -> str:
    done = subprocess.run([*command, *arguments], capture_output=True, timeout=90, check=True)
    return done.stdout.decode()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_in_chromium_in_light_and_dark(chromium: list[str], tmp_path: Path, scheme: str):
    page, shot = tmp_path / "sheet.html", tmp_path / "shot.png"
    page.write_text(sheet(language="zh"), encoding="utf-8")
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    browse(chromium, *dark, f"--screenshot={shot}", page.as_uri())
    with Image.open(shot) as image:
        brightness = image.convert("L").getpixel((700, 3))
        found = image.convert("RGB").getcolors(1_000_000) or []
    assert isinstance(brightness, int)
    assert (brightness > 200) == (scheme == "light")
    thumbnails = sum(count for count, (red, green, blue) in found if (red // 8, green // 8, blue // 8) == (6, 12, 19))
    assert thumbnails > 100_000


@pytest.mark.slow
def test_keys_move_pick_and_change_the_language_in_chromium(chromium: list[str], tmp_path: Path):
    script = """
      const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      press("ArrowDown"); press("ArrowRight"); press("p"); press("l");
      const take = document.activeElement.closest("figure");
      document.title = [take.dataset.key, take.className, document.documentElement.lang,
        document.querySelector(".bar code").textContent].join("|");
    """
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", sheet())
    page = tmp_path / "sheet.html"
    page.write_text(html.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    dom = browse(chromium, "--dump-dom", page.as_uri())
    described = re.search(r"<title>(.*?)</title>", dom)
    assert described is not None
    assert described[1] == ("E01_SC01_SH020_ff_v01|done picked|zh|seedframe storyboard pick E01_SC01_SH020_ff_v01")


@pytest.mark.slow
def test_the_page_runs_under_its_own_policy_and_prints(chromium: list[str], tmp_path: Path):
    page, printed = tmp_path / "sheet.html", tmp_path / "sheet.pdf"
    page.write_text(sheet(), encoding="utf-8")
    assert 'aria-pressed="true"' in browse(chromium, "--dump-dom", page.as_uri())
    # The script has run: only it gives the bar its command line.
    assert ">seedframe storyboard pick</code>" in browse(chromium, "--dump-dom", page.as_uri())
    browse(chromium, "--no-pdf-header-footer", f"--print-to-pdf={printed}", page.as_uri())
    assert printed.read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_chinese_is_drawn_when_a_font_is_there():
    font = chinese_font()
    if font is None:
        pytest.skip("no font with Chinese glyphs is installed")
    board = replace(story(), title={"zh": "补月亮"})
    with_font = sheet_png(board, {}, thumbnails={}, language="zh", font=font)
    assert with_font != sheet_png(replace(board, title={"zh": "补太阳"}), {}, thumbnails={}, language="zh", font=font)
