"""Room 3: requests become HTTP bodies, replies become values or errors. Pure: no socket, no file, no clock.

`calls` builds; `scanner` takes base64 pictures out of a body while it arrives; `replies` and `events` read the rest;
`failures` turns a no into an `ApiError` by the error table.
"""

from seedframe.wire.calls import Call, build
from seedframe.wire.events import read_event
from seedframe.wire.failures import failure, request_id
from seedframe.wire.replies import Layer, Reply, Slot, SlotError, read_reply
from seedframe.wire.scanner import Piece, Scanner

__all__ = [
    "Call",
    "Layer",
    "Piece",
    "Reply",
    "Scanner",
    "Slot",
    "SlotError",
    "build",
    "failure",
    "read_event",
    "read_reply",
    "request_id",
]
