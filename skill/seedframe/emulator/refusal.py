"""How the emulated service says no: a row of the error table with the words of this one case.

In: a row's name and what the case adds. Out: an exception the app turns into a reply. Never in here: HTTP.
"""

from __future__ import annotations

from functools import cache

from seedframe.catalog import ApiErrorRow, api_errors

PLURAL = frozenset({"model", "sequential_image_generation"})
"""Parameters about which the service was recorded saying "are not valid" (2026-09-19); all others "is not valid"."""

BLANKS = {
    "param": "size",
    "model": "doubao-seedream-5-0-260128",
    "limit": 14,
    "url": "https://example.com/picture.png",
    "account": "2100000000",
    "when": "2026-11-20 18:00:00 +0800 CST",
}
"""What fills a scripted message about nothing in particular."""


class Refusal(Exception):
    """The answer is no. `row` names the kind, `param` the parameter, `detail` replaces the row's own words."""

    def __init__(self, row: str, *, param: str = "", detail: str = "", **values: object) -> None:
        super().__init__(row, param, detail)
        self.row = error_rows()[row]
        self.param = param or self.row.param
        self.detail = detail
        self.values = {key: value for key, value in values.items() if value is not None}

    @property
    def message(self) -> str:
        """The sentence before the request id."""
        if self.detail:
            verb = "are" if self.param in PLURAL else "is"
            return f"The parameter `{self.param}` specified in the request {verb} not valid: {self.detail}"
        blanks = BLANKS | self.values | ({"param": self.param} if self.param else {})
        return self.row.message.format(**blanks)


def unsupported(param: str) -> Refusal:
    """Refuse a parameter the vendor knows and this model does not take."""
    detail = f"the parameter `{param}` is not supported by the current model"
    return Refusal("parameter-not-supported", param=param, detail=detail)


def invalid(param: str, detail: str = "") -> Refusal:
    """Refuse a value; without a detail in the short form recorded for wrong JSON types."""
    return Refusal("invalid-parameter", param=param, detail=detail)


@cache
def error_rows() -> dict[str, ApiErrorRow]:
    """Give the error table by row name."""
    return {row.name: row for row in api_errors()}
