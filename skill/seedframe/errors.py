"""Every error of Seedframe.

    SeedreamError(RuntimeError)     str() starts "Seedream generation failed: "
    ├── InvalidRequest              the arguments cannot become a request; nothing was sent
    ├── PromptRejected              the prompt breaks a rule that would waste the payment; nothing was sent
    ├── NotConfigured               a setting is missing or wrong; nothing was sent
    ├── SpendingRefused             budget, confirmation or an open question about money; nothing was sent
    │   ├── BudgetExceeded
    │   ├── ConfirmationNeeded
    │   ├── EarlierOutcomeUnknown   the same request was sent before and its outcome is not known
    │   └── PaidAndLost             the same request was paid before and its picture can no longer be fetched
    ├── ApiError                    the service refused the request
    ├── ConnectionFailed            the request was never sent; nothing was billed
    ├── OutcomeUnknown              the request was sent and no trustworthy answer came; it may be billed
    ├── Undelivered                 paid; the picture is still at the service: fetched free for 24 hours
    ├── PictureError                a picture is damaged, too large or not what it claims
    └── StoreError                  a file could not be written or found

In: messages and the facts an agent needs to do better. Out: exceptions. Never in here: catching, retrying, printing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from seedframe.messages import Language, Message
from seedframe.redaction import redact

_TEXTS = {
    (True, True): "errors.failed-with-advice",
    (True, False): "errors.failed",
    (False, True): "errors.stopped-with-advice",
    (False, False): "errors.stopped",
}


class SeedreamError(RuntimeError):
    """What happened (`message`), what to try (`advice`), and facts for machines (`facts`: JSON-ready)."""

    def __init__(
        self, message: Message, *, advice: Message | None = None, facts: Mapping[str, Any] | None = None
    ) -> None:
        self.message = message
        self.advice = advice
        self.facts = dict(facts or {})
        super().__init__(message, advice)

    def redact(self, secrets: Iterable[str]) -> None:
        """Take keys out of what it says and of its facts, before it is handed to a caller's program."""
        known = tuple(secrets)
        self.message = _redacted(self.message, known)
        self.facts = redact(self.facts, known, long_words=True)
        self.args = (self.message, self.advice)

    def text(self, language: Language = "en", *, generating: bool = True) -> str:
        """The whole text in one language; "generation failed" is added only where one was requested."""
        key = _TEXTS[generating, self.advice is not None]
        return Message(key, what=self.message, advice=self.advice).text(language)

    def __str__(self) -> str:
        return self.text()

    @property
    def kind(self) -> str:
        """The name machines read, e.g. `InvalidRequest`."""
        return type(self).__name__


def _redacted(value: Any, secrets: tuple[str, ...]) -> Any:
    if isinstance(value, Message):
        return Message(value.key, **{name: _redacted(item, secrets) for name, item in value.values.items()})
    if isinstance(value, list | tuple):
        return [_redacted(item, secrets) for item in value]
    return redact(value, secrets, long_words=True) if isinstance(value, str) else value


class InvalidRequest(SeedreamError):
    """An argument is wrong: `field` names it, `got` is the value, `allowed` what is accepted."""

    def __init__(self, message: Message, *, field: str, got: Any, allowed: Any, advice: Message | None = None) -> None:
        super().__init__(message, advice=advice, facts={"field": field, "got": got, "allowed": allowed})
        self.field, self.got, self.allowed = field, got, allowed


class _Noticed(Protocol):
    """What the styler noticed; it is worded in a language when it is shown."""

    def as_dict(self, language: Language = ...) -> dict[str, Any]: ...


class PromptRejected(SeedreamError):
    """The lint found errors. `findings` are all of them, `needs_host` the words only the host can write."""

    def __init__(
        self,
        message: Message,
        *,
        advice: Message | None = None,
        findings: Sequence[_Noticed] = (),
        needs_host: Sequence[_Noticed] = (),
    ) -> None:
        self.findings, self.needs_host = tuple(findings), tuple(needs_host)
        super().__init__(message, advice=advice, facts=self.noticed("en"))

    def noticed(self, language: Language) -> dict[str, Any]:
        """`{findings, needs_host}` in one language, JSON-ready."""
        groups = {"findings": self.findings, "needs_host": self.needs_host}
        return {name: [item.as_dict(language) for item in items] for name, items in groups.items()}


class NotConfigured(SeedreamError):
    """A setting is missing or cannot be understood."""


class SpendingRefused(SeedreamError):
    """A rule about money refuses the call; the caller decides how to go on."""


class BudgetExceeded(SpendingRefused):
    """The day's budget does not cover the price of this request."""


class ConfirmationNeeded(SpendingRefused):
    """The price is above the threshold and nobody has agreed to it."""


class EarlierOutcomeUnknown(SpendingRefused):
    """The same request was sent before and its outcome is unknown: paying again needs an explicit argument."""


class PaidAndLost(SpendingRefused):
    """The same request was paid for and its picture is lost: paying again needs an explicit argument."""


class ApiError(SeedreamError):
    """The service refused or failed. `retry` is whether the error table proves that nothing was billed."""

    def __init__(
        self,
        message: Message,
        *,
        code: str,
        status: int,
        kind: str,
        retry: str = "never",
        param: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        advice: Message | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        known = {"code": code, "status": status, "class": kind, "param": param, "request_id": request_id}
        super().__init__(message, advice=advice, facts={**{k: v for k, v in known.items() if v}, **(facts or {})})
        self.code, self.status, self.error_class, self.retry = code, status, kind, retry
        self.param, self.request_id, self.retry_after = param, request_id, retry_after


class ConnectionFailed(SeedreamError):
    """No connection was made, so nothing was sent and nothing billed."""


class OutcomeUnknown(SeedreamError):
    """The request was sent and its outcome is unknown. Never repeated automatically."""


class Undelivered(SeedreamError):
    """A paid picture is not on disk yet: the same request, or `seedframe fetch`, downloads it free."""


class PictureError(SeedreamError):
    """Bytes that are not the expected picture."""


class StoreError(SeedreamError):
    """A file could not be written or found."""
