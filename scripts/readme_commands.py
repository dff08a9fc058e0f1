"""Run every command that README.md shows, on whichever system this is: what a reader types must work there.

In: the fenced `sh` blocks that are not marked `norun`. Out: each command's end, exit 1 when one failed. Pictures a
command takes from the reader's folder are made first. The backend is the emulator. Never in here: a command.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```sh *(norun)?\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^seedframe\b")
PICTURES = (".jpg", ".png")


def commands(page: str) -> Iterator[list[str]]:
    """The words of every `seedframe …` line, as a POSIX shell would split them."""
    for norun, block in BLOCK.findall(page):
        if not norun:
            lines = block.replace("\\\n", " ").splitlines()
            yield from (shlex.split(line, comments=True) for line in lines if COMMAND.match(line))


def run(words: list[str], work: Path) -> int:
    """The exit code of one command in an own folder."""
    for before, word in pairwise(words):
        if word.endswith(PICTURES) and before not in {"-o", "--output"} and not (work / word).exists():
            _draw(work / word)
    environ = {**os.environ, "SEEDFRAME_BACKEND": "emulator", "SEEDFRAME_OUTPUT_DIR": str(work / "pictures")}
    return subprocess.run([sys.executable, "-m", *words], cwd=work, env=environ, check=False).returncode


def main() -> None:
    """All of README.md, or of the pages named."""
    pages = [Path(name) for name in sys.argv[1:]] or [ROOT / "README.md"]
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for page in pages:
            for words in commands(page.read_text(encoding="utf-8")):
                code = run(words, Path(folder))
                print(f"{'ok  ' if code == 0 else f'!! {code}'} {' '.join(words)[:100]}", flush=True)
                failed += [words] if code else []
    sys.exit(1 if failed else 0)


def _draw(path: Path) -> None:
    from PIL import Image

    Image.linear_gradient("L").resize((900, 1200)).convert("RGB").save(path)


if __name__ == "__main__":
    main()
