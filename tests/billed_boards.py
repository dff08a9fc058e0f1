"""Boards in processes of their own: the service they pay, a board of any length, and what must hold of every bill."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from seedframe.emulator import emulator, running
from seedframe.storyboard.record.state import BoardState

LATENCY = {"name": "latency", "seconds": 0.3}
PRICE = Decimal("0.22")


@contextmanager
def service(environ: dict[str, str], **options: Any) -> Iterator[Any]:
    """An emulator on a socket, and the variables that lead to it; lends its ledger."""
    app = emulator(paint="instant", **options)
    with running(app) as address:
        environ |= {"SEEDFRAME_EMULATOR_BASE": address, "SEEDFRAME_IPM": "6000"}
        yield app.state.request_log


def large_board(tmp_path: Path, shots: int) -> Path:
    listed = [
        {"id": f"E01_SC{number // 20 + 1:02}_SH{number % 20 + 1:02}0", "action": f"第{number + 1}盏灯亮起"}
        for number in range(shots)
    ]
    path = tmp_path / "board.json"
    described = {"schema": "seedframe/board/1", "project": "lamps", "model": "5.0-lite", "shots": listed}
    path.write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")
    return path


def check_books(state: BoardState, request_log: Any) -> None:
    """Every bill is a picture, a question that was told, or still under way; nothing was paid twice."""
    done = state.count("done")
    open_ = state.count("unknown") + state.count("running")
    prompts = Counter(
        (entry.body["prompt"], entry.body.get("seed")) for entry in request_log.entries if entry.status == 200
    )
    takes = Counter((frame.shot, frame.role) for frame in state.frames)
    assert max(prompts.values(), default=0) <= max(takes.values())
    described = {name: value for name, value in state.as_json().items() if name in {"counts", "stopped"}}
    others = [(frame.state, frame.error) for frame in state.frames if frame.state not in {"done", "unknown"}]
    assert done <= request_log.images <= done + open_, (described, others[:3])
    assert state.count("failed") == 0
    assert all(frame.path is not None and frame.path.exists() for frame in state.frames if frame.state == "done")
    assert PRICE * done <= state.spent <= PRICE * (done + open_)
