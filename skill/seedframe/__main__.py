"""The program: `seedframe`, `python -m seedframe`, and the worker that a front starts.

In: the command line and the environment. Out: an exit code. Commands that a host or a shell waits for, or may
kill, start through `front`, which loads little and leaves the work to a worker; everything else is the CLI.
"""

from __future__ import annotations

import os
import sys

_PAID = {"generate", "edit"}
_AT_ONCE = {"-h", "--help", "--dry-run"}
_BACKEND = "--backend"


def main() -> None:
    """Run the program with the arguments of the command line."""
    words = sys.argv[1:]
    plain, environ = _without_backend(words)
    if os.name != "nt" and plain == ["serve"]:
        import signal

        from seedframe.front import relay

        signal.signal(signal.SIGINT, signal.SIG_DFL)
        sys.exit(relay.serve(words, environ))
    if os.name != "nt" and _PAID & set(plain[:1]) and not _AT_ONCE & set(plain):
        from seedframe.front import command

        sys.exit(command.run(words, environ))
    _run_cli()


def work(channel: int | None, arguments: list[str]) -> None:
    """The worker: the CLI with these arguments; its exit code is reported to the parent."""
    from seedframe.front.worker_process import detach

    parent = detach(channel)
    sys.argv = ["seedframe", *arguments]
    code = 1
    try:
        _run_cli()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        raise
    finally:
        if parent is not None:
            parent.report_end(code)


def _run_cli() -> None:
    from seedframe.cli import main as run

    run()


def _without_backend(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """The arguments without `--backend`, and the environment with it."""
    environ = dict(os.environ)
    plain: list[str] = []
    left = iter(words)
    for word in left:
        name, given, value = word.partition("=")
        if name != _BACKEND:
            plain.append(word)
        elif (chosen := value if given else next(left, "")).strip():
            environ["SEEDFRAME_BACKEND"] = chosen
    return plain, environ


if __name__ == "__main__":
    main()
