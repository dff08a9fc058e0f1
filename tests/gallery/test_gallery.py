"""`seedframe gallery`: what was made, for this machine only, from sidecars only."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from browsers import SCROLL, Chromium, main_thread_work
from seedframe.emulator import running
from seedframe.gallery.made_pictures import Gallery, describe_record
from seedframe.gallery.previews import Previews
from seedframe.gallery.site import gallery_site

pytestmark = pytest.mark.anyio

SECRET = "not-to-be-guessed"
Get = Callable[..., Any]


def put(folder: Path, name: str, *, size: tuple[int, int] = (120, 80), colour: str = "#336699", **told: Any) -> Path:
    """A picture with its sidecar, as the studio leaves them."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    sidecar = {
        "seedframe": 1,
        "status": "done",
        "id": "d1aaaa",
        "tool": "generate_image",
        "model": "5.0-lite",
        "backend": "ark",
        "prompt": "雨夜的灯笼",
        "frame": {"asked": "2048x1365", "ratio": "3:2"},
        "cost": {"amount": "0.44", "currency": "CNY", "pictures": 2},
        "created": "2026-11-20T10:00:00+00:00",
        "warnings": [],
        "findings": [],
        "picture": {"id": "seedframe:d1aaaa-1", "path": str(path), "width": size[0], "height": size[1], "ratio": "3:2"},
        **told,
    }
    path.with_name(name.rpartition("/")[2] + ".json").write_text(json.dumps(sidecar), encoding="utf-8")
    return path


def described(folder: Path) -> list[dict[str, Any]]:
    gallery = Gallery(folder)
    return [describe_record(record, gallery) for record in gallery.records()]


@pytest.fixture
def get(tmp_path: Path) -> Get:
    """Requests to the app over `tmp_path`, as a browser on this machine would send them."""
    app = gallery_site(Gallery(tmp_path), secret=SECRET, language="en")

    async def asked(path: str, *, secret: str = SECRET, **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.get(f"/{secret}{path}", headers=headers)

    return asked


def test_a_picture_is_described_by_its_sidecar_alone(tmp_path: Path):
    before = put(tmp_path, "before.png")
    path = put(
        tmp_path,
        "sub/after.png",
        tool="edit_image",
        created="2026-11-21T10:00:00+00:00",
        references=[str(before)],
        warnings=["mind the crop"],
        findings=[{"code": "X", "severity": "warning", "message": "two suns"}],
    )
    newest, oldest = described(tmp_path)

    assert newest == {
        "id": newest["id"],
        "name": "after.png",
        "path": str(path),
        "folder": "sub",
        "width": 120,
        "height": 80,
        "bytes": None,
        "ratio": "3:2",
        "handle": "seedframe:d1aaaa-1",
        "call": "d1aaaa",
        "tool": "edit_image",
        "model": "5.0-lite",
        "backend": "ark",
        "emulated": False,
        "created": "2026-11-21T10:00:00+00:00",
        "prompt": "雨夜的灯笼",
        "negative": None,
        "seed": None,
        "price": "0.22",
        "currency": "CNY",
        "notices": ["mind the crop", "two suns"],
        "references": [{"path": str(before), "id": oldest["id"]}],
        "variation": {
            "tool": "edit_image",
            "arguments": {
                "prompt": "雨夜的灯笼",
                "images": [str(before)],
                "model": "5.0-lite",
                "ratio": "3:2",
                "as_is": True,
            },
        },
    }


def test_a_moved_folder_still_knows_its_references(tmp_path: Path):
    put(tmp_path, "before.png")
    put(tmp_path, "after.png", references=["C:\\old\\place\\before.png"])
    references = {picture["name"]: picture["references"] for picture in described(tmp_path)}

    assert references["after.png"][0]["path"] == str(tmp_path / "before.png")


@pytest.mark.parametrize(
    "sidecar",
    ["", "{", "[]", '{"seedframe": 2}', "[" * 100_000, '{"seedframe": 1', "\x00", '{"a": ' + "1" * 5_000 + "}"],
    ids=range(8),
)
def test_a_sidecar_that_is_none_is_left_out(tmp_path: Path, sidecar: str):
    put(tmp_path, "good.png")
    odd = put(tmp_path, "odd.png")
    odd.with_name("odd.png.json").write_text(sidecar, encoding="utf-8")

    assert [picture["name"] for picture in described(tmp_path)] == ["good.png"]


def test_odd_fields_of_a_sidecar_are_left_out_one_by_one(tmp_path: Path):
    odd = {"prompt": ["no text"], "cost": {"amount": "NaN"}, "findings": "none", "references": {"a": 1}, "picture": 7}
    put(tmp_path, "odd.png", **odd)
    [picture] = described(tmp_path)

    assert {name: picture[name] for name in ("prompt", "price", "notices", "references", "width", "variation")} == {
        "prompt": None,
        "price": None,
        "notices": [],
        "references": [],
        "width": None,
        "variation": None,
    }


def test_hidden_folders_foreign_files_and_links_out_of_the_folder_are_not_seen(tmp_path: Path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    secret = put(outside, "secret.png")
    put(inside, ".seedframe/part.png")
    put(inside, "seen.png")
    (inside / "linked").symlink_to(outside)
    (inside / "link.png.json").symlink_to(secret.with_name("secret.png.json"))
    (inside / "link.png").symlink_to(secret)
    (inside / "notes.txt").write_text("private")

    assert [picture["name"] for picture in described(inside)] == ["seen.png"]


async def test_a_picture_that_became_a_link_out_of_the_folder_is_not_served(tmp_path: Path, get: Get):
    put(tmp_path / "elsewhere", "secret.png")
    put(tmp_path, "seen.png")
    [picture] = [p for p in (await get("/pictures")).json()["pictures"] if p["name"] == "seen.png"]
    (tmp_path / "seen.png").unlink()
    (tmp_path / "seen.png").symlink_to("/etc/passwd")

    assert (await get(f"/picture/{picture['id']}")).status_code == 404
    assert (await get(f"/preview/{picture['id']}/480")).status_code == 404


@pytest.mark.slow
async def test_files_are_served_as_they_are_and_small(tmp_path: Path, get: Get):
    path = put(tmp_path, "one.png", size=(3000, 2000))
    [picture] = (await get("/pictures")).json()["pictures"]
    whole, small = await get(f"/picture/{picture['id']}"), await get(f"/preview/{picture['id']}/480")

    assert whole.content == path.read_bytes()
    assert (whole.headers["content-type"], small.headers["content-type"]) == ("image/png", "image/jpeg")
    with Image.open(io.BytesIO(small.content)) as image:
        assert max(image.size) <= 480
    assert (await get(f"/sidecar/{picture['id']}")).json()["prompt"] == "雨夜的灯笼"
    assert (await get(f"/preview/{picture['id']}/4000")).status_code == 404


@pytest.mark.parametrize(
    "path", ["/picture/..%2f..%2fetc%2fpasswd", "/picture/one.png", "/preview/x/480", "/etc/passwd"]
)
async def test_only_ids_that_were_given_out_lead_to_a_file(tmp_path: Path, get: Get, path: str):
    put(tmp_path, "one.png")

    assert (await get(path)).status_code == 404


async def test_nobody_without_the_secret_and_no_other_site_gets_in(get: Get):
    answers = {
        "ours": await get("/"),
        "same origin": await get("/pictures", origin="http://127.0.0.1:8000"),
        "no secret": await get("/", secret="guessed"),
        "a name that leads here": await get("/", host="evil.example"),
        "another site": await get("/pictures", origin="https://evil.example"),
        "a sandboxed frame": await get("/pictures", origin="null"),
    }

    assert {name: answer.status_code for name, answer in answers.items()} == {
        "ours": 200,
        "same origin": 200,
        "no secret": 404,
        "a name that leads here": 421,
        "another site": 403,
        "a sandboxed frame": 403,
    }


async def test_the_page_may_load_only_from_where_it_came(get: Get):
    page = await get("/")
    policy = page.headers["content-security-policy"]

    assert policy.startswith("default-src 'none'; img-src 'self' data:; style-src 'sha256-")
    assert policy.endswith("; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    assert "unsafe" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_keys_in_a_sidecar_do_not_leave(tmp_path: Path, get: Get):
    key = "Bearer abcdefghijklmnopqrstuvwxyz0123456789"
    put(tmp_path, "one.png", request={"Authorization": key}, prompt=f"a lamp {key}")

    assert "abcdefghijklmnopqrstuvwxyz" not in (await get("/pictures")).text
    [picture] = (await get("/pictures")).json()["pictures"]
    assert "abcdefghijklmnopqrstuvwxyz" not in (await get(f"/sidecar/{picture['id']}")).text


def test_previews_stay_within_their_memory(tmp_path: Path):
    for number in range(6):
        put(tmp_path, f"{number}.png", size=(400, 300))
    records = Gallery(tmp_path).records()
    one = Previews().preview(records[0], 480)
    assert one is not None
    previews = Previews(most_bytes=3 * len(one))
    made = [previews.preview(record, 480) for record in records]

    assert all(made)
    assert sum(map(len, previews.held())) <= 3 * len(one)


def test_new_pictures_appear_and_removed_ones_go(tmp_path: Path):
    gallery = Gallery(tmp_path)
    first = put(tmp_path, "first.png")
    seen = [[record.path.name for record in gallery.records()]]
    put(tmp_path, "second.png", created="2026-11-22T00:00:00+00:00")
    first.unlink()
    seen.append([record.path.name for record in gallery.records()])

    assert seen == [["first.png"], ["second.png"]]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        environ = {**os.environ, "SEEDFRAME_LANG": "en", "HOME": str(tmp_path)}
        process = subprocess.Popen(
            [sys.executable, "-m", "seedframe", "gallery", "--no-open", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.terminate()
        process.communicate()


@pytest.mark.slow
def test_the_command_prints_a_loopback_address_with_a_secret_and_serves(tmp_path: Path, started: Any):
    put(tmp_path / "out", "one.png")
    process = started(str(tmp_path / "out"))
    address = process.stdout.readline().strip()
    answer = httpx.get(f"{address}pictures", trust_env=False)

    assert address.startswith("http://127.0.0.1:")
    assert len(address.rstrip("/").rpartition("/")[2]) >= 20
    assert [picture["name"] for picture in answer.json()["pictures"]] == ["one.png"]


@pytest.mark.slow
def test_the_command_says_which_folder_is_missing(tmp_path: Path, started: Any):
    process = started(str(tmp_path / "nowhere"))
    _, complaint = process.communicate(timeout=30)

    assert process.returncode == 2
    assert f"There is no folder {tmp_path / 'nowhere'}." in complaint


@pytest.mark.slow
async def test_pictures_are_found_opened_compared_and_asked_for_again_in_chromium(tmp_path: Path, browser: Chromium):
    before = put(tmp_path, "before.png", colour="#114477", created="2026-11-20T00:00:01+00:00")
    put(tmp_path, "take-2.png", colour="#225588", seed=7, created="2026-11-20T00:00:02+00:00")
    evil = "</script><img src=x onerror=alert(1)>"
    put(tmp_path, "after.png", tool="edit_image", prompt=evil, references=[str(before)], model="5.0-pro")
    app = gallery_site(Gallery(tmp_path), secret=SECRET, language="en")
    with running(app) as base:
        async with browser.page(permissions=["clipboard-read", "clipboard-write"]) as (page, trouble):
            await page.goto(f"{base}/{SECRET}/")
            await page.locator("figure img.ready").nth(2).wait_for()
            await page.keyboard.press("ArrowRight")
            await page.keyboard.press("Enter")
            first = await page.locator("aside .prompt p").inner_text()
            await page.keyboard.press("b")
            layers = await page.locator(".both img").count()
            await page.keyboard.press("Escape")
            await page.fill("[name=search]", "灯笼")
            await page.locator("figure").nth(1).wait_for()
            await page.locator("figure").nth(2).wait_for(state="detached")
            await page.locator("figure .open").first.click()
            await page.keyboard.press("c")
            takes = await page.locator(".stage .hold img").count()
            await page.click("[data-as=command]")
            await page.click("[data-copy=variation]")
            copied = await page.evaluate("navigator.clipboard.readText()")
            await page.click(".sidecar summary")
            await page.locator(".sidecar pre", has_text="seedframe").wait_for()
            await page.keyboard.press("Escape")
            await page.click("[data-do=language]")
            heading = await page.locator("h1").inner_text()

    assert (first, layers, takes, heading) == (evil, 2, 2, "图库")
    assert copied == "seedframe generate '雨夜的灯笼' --model 5.0-lite --ratio 3:2 --as-is"
    assert trouble == []


@pytest.mark.timed
@pytest.mark.slow
async def test_a_thousand_pictures_scroll_smoothly_in_chromium(tmp_path: Path, browser: Chromium):
    for number in range(1000):
        size = ((300, 200), (200, 300), (250, 250))[number % 3]
        put(
            tmp_path,
            f"{number:04}.png",
            size=size,
            colour=f"#{number * 4201 % 0xFFFFFF:06x}",
            prompt=f"picture {number}",
            created=f"{3000 - number}",
        )
    app = gallery_site(Gallery(tmp_path), secret=SECRET, language="en")
    with running(app) as base:
        async with browser.page() as (page, trouble):
            await page.goto(f"{base}/{SECRET}/")
            await page.locator("figure img.ready").first.wait_for()
            work = await main_thread_work(page, SCROLL)
            there = await page.locator("figure").count()
            await page.locator("figure img.ready").first.wait_for()
            last = await page.locator("figure .words").last.inner_text()

    assert (last, trouble) == ("picture 999", [])
    assert there < 150, "only what is near the window is in the document"
    assert work < 60, "milliseconds of script, style and layout for each frame"
