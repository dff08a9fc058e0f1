"""The static answers of the server on disk: the handshake and the lists, for every protocol version.

In: an environment. Out: the exact text of an answer, or nothing where none was kept for this version of the program
and these settings. The server writes the file (`mcp_server.spoken_answers`); a test holds both equal byte for byte.
Never in here: the SDK, the making of an answer, the value of a setting (only its digest is kept).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping

from seedframe import __version__

PREFIX = "SEEDFRAME_"
LANGUAGE = ("LC_ALL", "LC_MESSAGES", "LANG")
MOST_KEPT = 40
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
_TEXTS = ("prompts", "references", "SKILL.md")

Answers = dict[str, dict[str, str]]
"""Protocol version → method → the text that follows the id in the answer's line."""


def read_answers(path: str) -> Answers:
    """The kept answers; empty when there are none or they cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is not loaded here
            kept = json.load(file)
    except (OSError, ValueError):
        return {}
    return dict(kept) if isinstance(kept, dict) else {}


def keep_answers(path: str, answers: Answers) -> None:
    """Write them atomically and remove the oldest files beside them. OSError when that fails."""
    folder = os.path.dirname(path)  # noqa: PTH120
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
    fresh = f"{path}.{os.getpid()}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(answers, file)
    os.replace(fresh, path)  # noqa: PTH105
    _sweep(folder)


def answers_file(environ: Mapping[str, str]) -> str:
    """The file of the answers for this program and these settings."""
    digest = hashlib.blake2b(json.dumps(_key(environ)).encode(), digest_size=12).hexdigest()
    return os.path.join(user_folder("cache", environ), f"answers-{digest}.json")  # noqa: PTH118


def user_folder(kind: str, environ: Mapping[str, str]) -> str:
    """The user's folder for our `cache` or `config`, as `platformdirs` names it, which takes too long to load here."""
    home = os.path.expanduser("~")  # noqa: PTH111
    if sys.platform == "win32":
        base = environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")  # noqa: PTH118
        return os.path.join(base, "seedframe", *(["Cache"] if kind == "cache" else []))  # noqa: PTH118
    if sys.platform == "darwin":
        place = {"cache": "Caches", "config": "Application Support"}[kind]
        return os.path.join(home, "Library", place, "seedframe")  # noqa: PTH118
    name, usual = {"cache": ("XDG_CACHE_HOME", ".cache"), "config": ("XDG_CONFIG_HOME", ".config")}[kind]
    base = environ.get(name, "").strip() or os.path.join(home, usual)  # noqa: PTH118
    return os.path.join(base, "seedframe")  # noqa: PTH118


def config_file(environ: Mapping[str, str]) -> str:
    """The file that `seedframe setup` writes; it counts among the settings."""
    return os.path.join(user_folder("config", environ), "settings.json")  # noqa: PTH118


def _key(environ: Mapping[str, str]) -> list[object]:
    """Everything the answers depend on: the program, the SDK, and every setting, even those that change no list."""
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    settings = sorted((name, value) for name, value in given.items() if name.startswith(PREFIX) or name in LANGUAGE)
    return [__version__, sys.version_info[:3], *_program(), _stamp(config_file(environ)), settings]


def _program() -> Iterator[tuple[int, int]]:
    """Newest change and size of our own files and of the SDK, so that an edited checkout counts as another program."""
    checkout = os.path.dirname(os.path.dirname(_PACKAGE))  # noqa: PTH120
    for root in (_PACKAGE, *(os.path.join(checkout, name) for name in _TEXTS)):  # noqa: PTH118
        stamps = list(_stamps(root))
        yield max((stamp for stamp, _ in stamps), default=0), sum(size for _, size in stamps)
    yield next(filter(any, (_stamp(os.path.join(place, "mcp", "__init__.py")) for place in sys.path)), (0, 0))  # noqa: PTH118


def _stamps(root: str) -> Iterator[tuple[int, int]]:
    try:
        entries = list(os.scandir(root))
    except OSError:
        yield _stamp(root)
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if entry.name != "__pycache__":
                yield from _stamps(entry.path)
        else:
            found = entry.stat()
            yield found.st_mtime_ns, found.st_size


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _sweep(folder: str) -> None:
    with contextlib.suppress(OSError):
        files = [entry for entry in os.scandir(folder) if entry.name.startswith("answers-")]
        for entry in sorted(files, key=lambda one: -one.stat().st_mtime)[MOST_KEPT:]:
            os.unlink(entry.path)  # noqa: PTH108
