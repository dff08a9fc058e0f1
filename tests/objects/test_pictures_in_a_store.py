"""Pictures of single calls in an object store: stored with proof before anybody is told that they are."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import mcp.types as t
import pytest
from click.testing import CliRunner
from mcp import Client

from s3_server import S3Server, s3_server
from seedframe.cli import program
from seedframe.emulator import InProcess, emulator, running
from seedframe.errors import NotConfigured
from seedframe.mcp_server.app import build_server
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio
from seedframe.studio.remote_copies import NotUploaded

OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]
ALLEY = {"prompt": "雨后的江南小巷", "ratio": "9:16"}


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def places(s3: S3Server, tmp_path: Path) -> dict[str, str]:
    return {**s3.environ(), "SEEDFRAME_S3_CACHE": str(tmp_path / "cache")}


async def opened(link: str | None) -> httpx.Response:
    """What a browser gets, without any key."""
    async with httpx.AsyncClient() as browser:
        return await browser.get(str(link))


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_picture_is_stored_before_its_sidecar_and_the_result_has_its_address(
    open_studio: OpenStudio, s3: S3Server, places: dict[str, str], tmp_path: Path
) -> None:
    async with open_studio(**places) as studio, studio.make("generate_image", ALLEY) as result:
        (picture,) = result.pictures

    name = f"film/{picture.path.name}"
    assert s3.puts == [name, f"{name}.json"]
    assert hashlib.sha256(s3.objects[name]).hexdigest() == picture.sha256
    assert json.loads(s3.objects[f"{name}.json"])["picture"]["sha256"] == picture.sha256
    assert picture.path.parent == tmp_path / "cache" / "boards" / "film"
    assert (picture.url, result.as_dict()["pictures"][0]["url"]) == (f"{s3.url}/boards/{httpx.URL(name)}",) * 2
    assert picture.link is not None
    assert "X-Amz-Signature=" in picture.link
    assert (await opened(picture.link)).content == s3.objects[name]
    assert "X-Amz" not in json.dumps(result.as_dict())


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_host_gets_a_link_that_opens_and_the_model_gets_no_signature(
    open_studio: OpenStudio, s3: S3Server, places: dict[str, str]
) -> None:
    async with Client(build_server(lambda: open_studio(**places), "en")) as client:
        result = await client.call_tool("generate_image", ALLEY)

    (link,) = [block for block in result.content if isinstance(block, t.ResourceLink)]
    (text,) = [block.text for block in result.content if isinstance(block, t.TextContent)]
    assert (await opened(link.uri)).status_code == 200
    assert f'"url":"{s3.url}/boards/film/' in text
    assert "X-Amz" not in text


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["refuse", "half", "damage"])
async def test_what_the_store_did_not_take_stays_here_and_the_same_call_uploads_it_free(
    open_studio: OpenStudio, service: InProcess, s3: S3Server, places: dict[str, str], fault: str
) -> None:
    s3.faults = [fault] * (9 if fault == "half" else 1)
    async with open_studio(**places) as studio:
        with pytest.raises(NotUploaded, match="paid and saved") as told:
            async with studio.make("generate_image", ALLEY):
                pytest.fail("a picture that is not stored is no success")
        (kept,) = told.value.facts["paths"]
        assert Path(kept).is_file()
        s3.faults = []
        if fault == "damage":
            s3.objects.clear()

        async with studio.make("generate_image", ALLEY) as result:
            (picture,) = result.pictures

    assert service.app.state.request_log.posts == 1
    assert (str(picture.path), s3.puts[-2:]) == (kept, [f"film/{picture.path.name}", f"film/{picture.path.name}.json"])


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_slow_store_is_waited_for(
    open_studio: OpenStudio, service: InProcess, s3: S3Server, places: dict[str, str]
) -> None:
    s3.faults = ["slow", "slow"]
    async with open_studio(**places) as studio, studio.make("generate_image", ALLEY) as result:
        assert result.status == "done"
    assert (service.app.state.request_log.posts, len(s3.puts)) == (1, 2)


@pytest.mark.slow
@pytest.mark.anyio
async def test_another_machines_picture_of_the_same_name_is_never_overwritten(
    open_studio: OpenStudio, s3: S3Server, places: dict[str, str]
) -> None:
    s3.objects["film/alley.jpg"] = b"somebody else's picture"
    alley = {**ALLEY, "save_as": "alley"}
    async with open_studio(**places) as studio, studio.make("generate_image", alley) as result:
        (picture,) = result.pictures

    assert s3.objects["film/alley.jpg"] == b"somebody else's picture"
    assert picture.url is not None
    assert picture.url.endswith(f"/film/alley-{picture.id.partition(':')[2]}.jpg")
    assert (await opened(picture.link)).status_code == 200


@pytest.mark.slow
@pytest.mark.anyio
async def test_the_cache_is_bounded_and_what_left_it_is_brought_back_when_it_is_needed(
    open_studio: OpenStudio, s3: S3Server, places: dict[str, str]
) -> None:
    async with open_studio(**places, SEEDFRAME_S3_CACHE_MB="0.3") as studio:
        paths = []
        for number in range(4):
            async with studio.make("generate_image", {**ALLEY, "prompt": f"第{number}条小巷", "size": "2K"}) as result:
                paths.append(result.pictures[0].path)
        there = [path.exists() for path in paths]
        sizes = [len(s3.objects[f"film/{path.name}"]) for path in paths]
        assert there == [sum(sizes[n:]) <= 300_000 for n in range(4)]
        assert not there[0]

        first = "seedframe:" + json.loads(s3.objects[f"film/{paths[0].name}.json"])["picture"]["id"].partition(":")[2]
        async with studio.make("edit_image", {"prompt": "换成夜晚", "images": [first]}) as result:
            assert result.status == "done"


@pytest.mark.slow
def test_a_store_that_refuses_is_found_before_paying_and_one_that_fails_later_costs_nothing_twice(
    s3: S3Server, places: dict[str, str], environ: dict[str, str]
) -> None:
    service = emulator(paint="instant")
    with running(service) as base:
        settings = Settings.read({**environ, **places, "SEEDFRAME_EMULATOR_BASE": base})

        def typed(*words: str) -> tuple[int, str]:
            done = CliRunner().invoke(program("en"), list(words), obj=settings)
            return done.exit_code, done.output

        s3.refuses = True
        code, said = typed("generate", "雨后的江南小巷", "--ratio", "9:16")
        assert (code, "paid and saved as" in said, "AccessDenied" in said or "403" in said) == (1, False, True), said
        assert service.state.request_log.posts == 0
        s3.refuses = False
        s3.faults = ["refuse"] * 9
        code, said = typed("generate", "雨后的江南小巷", "--ratio", "9:16")
        assert (code, "paid and saved as" in said, "AccessDenied" in said or "403" in said) == (1, True, True), said
        s3.faults = []
        code, said = typed("fetch", "--all")

    assert (code, f"Link: {s3.url}/boards/film/" in said) == (0, True), said
    assert service.state.request_log.posts == 1
    assert len(s3.puts) == 2


@pytest.mark.parametrize("wrong", ["s3://", "s3://B/x", "s3://boards/../x", "s3://boards/a\\b"])
def test_a_place_that_is_none_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(NotConfigured, match="s3://bucket/prefix"):
        Settings.read({"SEEDFRAME_OUTPUT_DIR": wrong})


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://tos-s3-cn-beijing.volces.com", "https://boards.tos-s3-cn-beijing.volces.com/film/a%20b.jpg"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/boards/film/a%20b.jpg"),
        (None, "https://boards.s3.amazonaws.com/film/a%20b.jpg"),
    ],
)
def test_addresses_are_those_of_the_store(endpoint: str | None, expected: str, tmp_path: Path) -> None:
    from seedframe.objects.mirror import Mirror

    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    given = {"SEEDFRAME_OUTPUT_DIR": "s3://boards/film", "SEEDFRAME_S3_CACHE": str(tmp_path)}
    settings = Settings.read({**given, **keys, **({"SEEDFRAME_S3_ENDPOINT": endpoint} if endpoint else {})})
    mirror = Mirror.of(settings.output_dir, settings)

    assert mirror is not None
    assert mirror.address(settings.output_dir / "a b.jpg") == expected


@pytest.mark.anyio
async def test_without_a_key_for_the_store_nothing_is_sent_and_no_machine_role_is_asked(
    open_studio: OpenStudio, service: InProcess, places: dict[str, str]
) -> None:
    keyless = {name: value for name, value in places.items() if not name.startswith("AWS_")}
    with pytest.raises(NotConfigured) as refused:
        async with open_studio(**keyless) as studio, studio.make("generate_image", ALLEY):
            pass

    assert "AWS_ACCESS_KEY_ID" in refused.value.text("en")
    assert service.app.state.request_log.posts == 0


COME_AND_GO = """
import os, sys
while True:
    os.makedirs(sys.argv[1] + "/take/shot")
    os.removedirs(sys.argv[1] + "/take/shot")
"""


def test_a_full_cache_is_trimmed_while_another_worker_makes_and_removes_folders_in_it(
    places: dict[str, str], tmp_path: Path
) -> None:
    from seedframe.objects.mirror import Mirror

    settings = Settings.read(places)
    mirror = Mirror.of(settings.output_dir, settings)
    assert mirror is not None
    (mirror.folder / "kept").mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", COME_AND_GO, str(mirror.folder)]) as other:
        try:
            while not (mirror.folder / "take").exists():
                assert other.poll() is None
            for _ in range(1000):
                mirror.trim()
            assert other.poll() is None
        finally:
            other.kill()
