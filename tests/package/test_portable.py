"""Nothing in the package works on one system only: calls of POSIX are guarded, text files name their encoding."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from children import system

CODE = Path(__file__).resolve().parents[2] / "skill" / "seedframe"

POSIX_MODULES = {"crypt", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
POSIX_ONLY = {
    "os": {
        *("O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC", "chown", "chroot", "fchmod"),
        *("fchown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getloadavg", "getpgid", "getuid", "kill"),
        *("killpg", "lchown", "mkfifo", "mknod", "nice", "openpty", "posix_spawn", "pread", "pwrite", "rename"),
        *("sched_getaffinity", "setgid", "setpgid", "setsid", "setuid", "statvfs", "sync", "sysconf", "uname"),
        *("wait", "wait3", "wait4", "waitpid"),
    },
    "signal": {
        *("SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGTSTP", "SIGUSR1"),
        *("SIGUSR2", "alarm", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "sigwait"),
    },
    "time": {"tzset"},
    "socket": {"AF_UNIX", "SO_REUSEPORT"},
}
"""What Windows lacks, or does differently: there `os.kill` ends any process and `os.rename` replaces nothing."""

ONLY_ON_POSIX = {"add_signal_handler", "remove_signal_handler"}
POSIX_KEYWORDS = {"preexec_fn", "pass_fds"}
GUARDS = (
    "hasattr(",
    "os.name",
    "sys.platform",
    "platform.system",
    "BY_HANDLE",
    "NotImplementedError",
    "AttributeError",
)


ENTERED_ON_POSIX = {"front/command.py", "front/worker_process.py"}
"""Called by `__main__` behind `os.name != "nt"` alone."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(CODE.rglob("*.py")):
        yield str(path.relative_to(CODE)), ast.parse(path.read_text(encoding="utf-8"))


def unguarded(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node that no condition, `try` or `suppress` about the system stands around or beside."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if not is_guard(node):
            yield node
            waiting += ast.iter_child_nodes(node)


def is_guard(node: ast.AST) -> bool:
    if isinstance(node, ast.If | ast.IfExp):
        asked = ast.unparse(node.test)
    elif isinstance(node, ast.BoolOp):
        asked = ast.unparse(node)
    elif isinstance(node, ast.Try):
        asked = " ".join(ast.unparse(handler.type) for handler in node.handlers if handler.type)
    elif isinstance(node, ast.With):
        asked = " ".join(ast.unparse(item.context_expr) for item in node.items)
    else:
        return False
    return any(guard in asked for guard in GUARDS)


def posix_calls(tree: ast.Module) -> Iterator[str]:
    for node in unguarded(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in POSIX_MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in POSIX_MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Attribute):
            home = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr in POSIX_ONLY.get(home, set()) or node.attr in ONLY_ON_POSIX:
                yield ast.unparse(node)
        elif isinstance(node, ast.keyword) and node.arg in POSIX_KEYWORDS:
            yield node.arg


@pytest.mark.slow
def test_what_only_posix_has_is_guarded():
    found = {name: calls for name, tree in modules() if (calls := sorted(set(posix_calls(tree))))}

    assert {name: calls for name, calls in found.items() if name not in ENTERED_ON_POSIX} == {}
    assert (CODE / "__main__.py").read_text(encoding="utf-8").count('if os.name != "nt" and') == 2


def test_the_guard_is_looked_for():
    bare = ast.parse("import fcntl, os\nos.getuid()\nos.kill(1, 0)\nloop.add_signal_handler(1, f)")
    guarded = ast.parse(
        "mine = not hasattr(os, 'getuid') or os.getuid() == 0\n"
        "with suppress(NotImplementedError):\n    loop.add_signal_handler(1, f)\n"
        "if os.name != 'nt':\n    import fcntl\n"
    )

    assert sorted(posix_calls(bare)) == ["fcntl", "loop.add_signal_handler", "os.getuid", "os.kill"]
    assert list(posix_calls(guarded)) == []


def unnamed_encodings(tree: ast.Module) -> Iterator[int]:
    """Lines that open a text file in whatever encoding the system prefers, which on Windows is not UTF-8."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            words = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if (is_text(node, words) or words.get("text") == "True") and not {"encoding", None} & set(words):
                yield node.lineno


def is_text(node: ast.Call, words: dict[str | None, str]) -> bool:
    """Whether a call reads or writes text: of a path, or the built-in `open` without `b` in its mode."""
    called = ast.unparse(node.func)
    owner, _, name = called.rpartition(".")
    if name in {"read_text", "write_text"}:
        return owner != "self" and "store" not in owner.lower()  # the store's own, which names it
    if name != "open" or owner not in {"", "path", "file", "part", "target"}:
        return False
    place = 0 if owner else 1
    given = ast.unparse(node.args[place]) if len(node.args) > place else "'r'"
    return "b" not in words.get("mode", given)


@pytest.mark.slow
def test_every_text_file_is_utf_8():
    assert {name: lines for name, tree in modules() if (lines := list(unnamed_encodings(tree)))} == {}


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_chinese_is_written_where_the_system_has_a_code_page_without_it(encoding: str, environ: dict[str, str]):
    kept = system()
    done = subprocess.run(
        [sys.executable, "-m", "seedframe", "style", "雪地里坐着一只红狐狸", "--model", "5.0", "--ratio", "16:9"],
        env={**kept, **environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
    )

    assert done.returncode == 0, done.stderr
    assert "红狐狸" in done.stdout.decode("utf-8")
