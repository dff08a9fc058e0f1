"""Every way a call can fail, as the answer Ark would give: status, envelope, and whether a repetition is safe.

In: an error and the request's id. Out: an `ErrorAnswer`. The official SDKs repeat a POST by themselves on 408, 409, 429
and 5xx; all of them obey `x-should-retry`, which says yes only where repeating cannot pay a second time.
Never in here: raising or counting errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from seedframe.catalog import api_errors
from seedframe.errors import ApiError, InvalidRequest, SeedreamError
from seedframe.messages import Language, Message
from seedframe.package_data import data_json


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """The answer a program gets instead of pictures."""

    status: int
    code: str
    type: str
    message: str
    param: str = ""
    again: bool = False
    retry_after: float | None = None

    def body(self, request_id: str) -> dict[str, Any]:
        """Ark's envelope; the message carries the request's id as Ark's own do."""
        message = f"{self.message.rstrip('. 。')}. Request id: {request_id}"
        return {"error": {"code": self.code, "message": message, "param": self.param, "type": self.type}}

    @property
    def headers(self) -> dict[str, str]:
        """What SDKs that repeat by themselves must know."""
        headers = {"x-should-retry": "true" if self.again else "false"}
        return headers if self.retry_after is None else {**headers, "retry-after": f"{self.retry_after:g}"}


class RequestRefused(SeedreamError):
    """The gateway itself refuses a request; `reason` names the row of the table."""

    def __init__(self, reason: str, message: Message) -> None:
        super().__init__(message)
        self.reason = reason


def error_answer(error: SeedreamError, language: Language) -> ErrorAnswer:
    """The answer to a request that ended with this error."""
    if isinstance(error, ApiError):
        return _from_service(error, language)
    row = _row(error)
    param = error.field if isinstance(error, InvalidRequest) else ""
    message = _text(error, language)
    param = _table()["fields"].get(param, param)
    if row["code"] == "InvalidParameter" and param:
        message = f"The parameter `{param}` specified in the request is not valid: {message}"
    return ErrorAnswer(row["status"], row["code"], row["type"], message, param, row["again"])


def _from_service(error: ApiError, language: Language) -> ErrorAnswer:
    """The service's own refusal, with its status also where it came inside a success."""
    known = next((row for row in api_errors() if row.code == error.code), None)
    status = error.status if error.status >= 400 else known.status if known else 500
    again = error.retry == "later" and error.facts.get("billed", "no") == "no"
    words = error.message.values.get("original")
    message = f"{words} {error.advice.text(language) if error.advice else ''}" if words else _text(error, language)
    kind = known.type if known else ""
    code = error.code or "InternalServiceError"
    return ErrorAnswer(status, code, kind, message.strip(), error.param or "", again, error.retry_after)


def _row(error: SeedreamError) -> Mapping[str, Any]:
    rows = _table()["errors"]
    if isinstance(error, RequestRefused):
        return dict(rows[error.reason])
    if isinstance(error, InvalidRequest) and error.field == "model":
        return dict(rows["UnknownModel"])
    return dict(next(rows[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in rows))


def _text(error: SeedreamError, language: Language) -> str:
    messages = [error.message, error.advice] if error.advice else [error.message]
    return " ".join(message.text(language) for message in messages)


@cache
def _table() -> dict[str, Any]:
    return dict(data_json("gateway.json"))
