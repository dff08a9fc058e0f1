"""Stands between an MCP host and the server: gives the static answers itself and passes everything else through.

In: a host's lines on descriptor 0, the known answers, how to start the worker. Out: lines on descriptor 1, unchanged
where they come from the worker. The worker is started by the first call that needs it, soon after the lists where they
are those that came with the program, or at once when no answers are known. This process may end at any time: the
worker then finishes paid calls and ends.
Never in here: the SDK, a tool, a line changed on its way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from seedframe.front.first_answers import first_answers
from seedframe.front.kept_answers import Answers, answers_file, read_answers
from seedframe.front.worker_process import WorkerProcess, start

LONGEST_READ = 65_536
"""Longer lines are passed on in pieces and never held whole."""

INTERNAL_ERROR = -32603
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_HELLO, _READY = "initialize", "notifications/initialized"
_GROWING = frozenset({"resources/list"})
"""What may have grown since a worker has begun."""

_META = "io.modelcontextprotocol/"
_HOST_BEGINS_SECONDS = 1.0
"""Seconds after the first answer until a worker starts that keeps its own: the host starts up until then."""

_ERRORS_KEPT = 2_000
"""The last bytes of what the worker wrote to stderr; they say why it could not start."""


class _Thread(Protocol):
    def start(self) -> None: ...

    def join(self, timeout: float | None = None) -> None: ...


def serve(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run `seedframe serve` with these arguments; returns the exit code."""
    path = answers_file(environ)

    def start_worker() -> WorkerProcess:
        from subprocess import PIPE

        return start([*words, "--keep-answers", path], environ, stdin=PIPE)

    kept = read_answers(path)
    return Relay(kept or first_answers(environ), start_worker, renews=not kept).serve()


class Relay:
    """One host's connection. `renews`: whether a worker is started that keeps its own answers for the next start."""

    def __init__(self, answers: Answers, start_worker: Callable[[], WorkerProcess], *, renews: bool = False) -> None:
        from threading import RLock

        self._answers = answers
        self._start_worker = start_worker
        self._renews = renews
        self._lock = RLock()
        self._worker: WorkerProcess | None = None
        self._copying: tuple[_Thread, ...] = ()
        self._open: dict[str, bytes] = {}
        self._unread = False
        self._handshake: list[bytes] = []
        self._version = ""
        self._hidden: Any = None
        self._spoken = False
        self._errors = b""

    def serve(self) -> int:
        """Serve until the host closes its end; returns the exit code."""
        if not self._answers:
            self._started()
        for line, whole in _lines():
            self._take(line, whole=whole)
        return self._finish()

    def _finish(self) -> int:
        """Wait for a worker with calls under way or without any output yet; not for an idle one."""
        with self._lock:
            unasked = self._renews and self._worker is None
            worker = self._started() if unasked else self._worker  # whether it can start at all is then the answer
            waiting = bool(self._open) or self._unread or unasked or not (self._spoken or self._answers)
        if worker is None:
            return 0
        _close(worker)
        if not waiting:
            return 0
        for thread in self._copying:
            thread.join()
        return worker.exit_code()

    def _take(self, line: bytes, *, whole: bool) -> None:
        message = _parsed(line) if whole else None
        if message is not None and self._answered(message, line):
            return
        self._forward(line, message)

    def _answered(self, message: dict[str, Any], line: bytes) -> bool:
        """Whether a kept answer was given, or none is needed."""
        method, params = message.get("method"), message.get("params") or {}
        if method == _HELLO and self._worker is None:
            version = str(params.get("protocolVersion"))
            if not (_is_hello(params) and self._answer(message, version)):
                return False
            self._handshake, self._version, self._hidden = [line], version, message["id"]
            return True
        if method == _READY and self._worker is None and self._handshake:
            self._handshake.append(line)
            return True
        if "id" not in message:
            return self._worker is None  # no call is under way that it could refer to
        if method in _GROWING and self._worker is not None:
            return False
        return self._answer(message, _version_of(params, self._version))

    def _answer(self, message: dict[str, Any], version: str) -> bool:
        kept = self._answers.get(version, {}).get(message.get("method", ""))
        if kept is None or not isinstance(message.get("id"), int | str):
            return False
        self._write(b'{"jsonrpc":"2.0","id":' + _json(message["id"]) + b"," + kept.encode() + b"\n")
        if self._renews:
            self._renew()
        return True

    def _renew(self) -> None:
        """Start a worker soon: it keeps the answers that the next start gives."""
        from threading import Timer

        def begin() -> None:
            with self._lock:
                if self._worker is None:
                    self._started()

        self._renews = False
        timer = Timer(_HOST_BEGINS_SECONDS, begin)
        timer.daemon = True
        timer.start()

    def _forward(self, line: bytes, message: dict[str, Any] | None) -> None:
        with self._lock:
            if message is None:
                self._unread = True
            elif "method" in message and "id" in message:
                self._open[repr(message["id"])] = _json(message["id"])
            if message is not None and message.get("method") == _HELLO:
                self._handshake = []
            worker = self._worker or self._started()
            self._remember(line, message or {})
        try:
            _send(worker, line)
        except OSError:
            return  # it has ended; the thread that copies its output answers for it

    def _remember(self, line: bytes, message: dict[str, Any]) -> None:
        """Remember the handshake for a later worker."""
        if message.get("method") == _HELLO:
            self._handshake, self._hidden = [line], message.get("id")
        elif message.get("method") == _READY and self._handshake:
            self._handshake.append(line)

    def _started(self) -> WorkerProcess:
        """The worker, after it has received the handshake that was answered in its place."""
        from threading import Thread

        worker = self._worker = self._start_worker()
        self._spoken = False
        swallowed = self._hidden if self._handshake else None
        self._copying = (
            Thread(target=self._copy, args=(worker, swallowed), daemon=True),
            Thread(target=self._copy_errors, args=(worker,), daemon=True),
        )
        for thread in self._copying:
            thread.start()
        if swallowed is not None:
            for line in self._handshake:
                _send(worker, line)
        return worker

    def _copy(self, worker: WorkerProcess, swallowed: Any) -> None:
        for line in iter(worker.stdout.readline, b""):
            message = _parsed(line) or {}
            self._spoken = True
            if swallowed is not None and "method" not in message and message.get("id") == swallowed:
                swallowed = None
                continue
            with self._lock:
                self._write(line)
                if "method" not in message:
                    self._open.pop(repr(message.get("id")), None)
        self._ended(worker)

    def _copy_errors(self, worker: WorkerProcess) -> None:
        """Copy stderr of the worker; it goes on when nobody reads that."""
        self._errors, reading = b"", True
        for piece in iter(lambda: os.read(worker.stderr.fileno(), LONGEST_READ), b""):
            self._errors = (self._errors + piece)[-_ERRORS_KEPT:]
            try:
                if reading:
                    _write_all(_STDERR, piece)
            except OSError:
                reading = False

    def _ended(self, worker: WorkerProcess) -> None:
        """A first worker without output could not start: end as well. After any other, answer its open calls."""
        code = worker.exit_code()
        errors = self._copying[1]
        if code and not self._spoken:
            errors.join(1.0)
        if code and not (self._spoken or self._answers):
            os._exit(code)
        with self._lock:
            self._worker = None if self._worker is worker else self._worker
            error = _json({"code": INTERNAL_ERROR, "message": self._why_ended(code)})
            for id in self._open.values():
                self._write(b'{"jsonrpc":"2.0","id":' + id + b',"error":' + error + b"}\n")
            self._open.clear()

    def _why_ended(self, code: int) -> str:
        """In words for a model; where the worker could not start, those it wrote to stderr."""
        said = self._errors.decode(errors="replace").strip()
        if said and not self._spoken:
            return f"Seedframe could not start (exit code {code}): {said}"
        words = f"Seedframe's worker process ended (exit code {code}). A call that was sent is in "
        return words + "`seedframe journal list`; the identical call brings what was saved and pays nothing twice."

    def _write(self, data: bytes) -> None:
        """Write to the host; one that no longer reads has left."""
        with self._lock:
            try:
                _write_all(_STDOUT, data)
            except OSError:
                os._exit(0)


def _lines() -> Iterator[tuple[bytes, bool]]:
    """Each line with True; a line too long to be held, in pieces with False."""
    with os.fdopen(_STDIN, "rb", buffering=LONGEST_READ, closefd=False) as stream:
        whole = True
        while line := stream.readline(LONGEST_READ):
            ends = line.endswith(b"\n")
            yield line, whole and (ends or len(line) < LONGEST_READ)
            whole = ends


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The message of a line; None for one of another shape, about which the server itself complains."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    shaped = isinstance(message.get("params", {}), dict) and isinstance(message.get("method", ""), str)
    return message if shaped and (message.get("method") != _HELLO or "id" in message) else None


def _is_hello(params: dict[str, Any]) -> bool:
    return isinstance(params.get("capabilities"), dict) and _is_client(params.get("clientInfo"))


def _is_client(info: Any) -> bool:
    return isinstance(info, dict) and isinstance(info.get("name"), str) and isinstance(info.get("version"), str)


def _version_of(params: dict[str, Any], agreed: str) -> str:
    """The version a plain request is made in; empty for one that asks for more than the kept answer has."""
    if params.keys() - {"_meta"}:
        return ""
    meta = params.get("_meta") or {}
    if not isinstance(meta, dict):
        return ""
    version = meta.get(f"{_META}protocolVersion")
    if version is None:
        return agreed
    plain = isinstance(meta.get(f"{_META}clientCapabilities"), dict) and _is_client(meta.get(f"{_META}clientInfo"))
    return str(version) if plain else ""


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _send(worker: WorkerProcess, data: bytes) -> None:
    assert worker.stdin is not None
    _write_all(worker.stdin.fileno(), data)


def _close(worker: WorkerProcess) -> None:
    assert worker.stdin is not None
    worker.stdin.close()


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
