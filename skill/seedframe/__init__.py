"""Seedframe: pictures from ByteDance's Seedream models, paid once, framed exactly, verified on disk.

    import seedframe

    result = seedframe.generate("a lighthouse at dusk, wide shot, 35mm lens", model="4.5", ratio="9:16")
    print(result.paths, result.cost.amount, result.cost.currency)

`references/python-api.md` shows the rest. To read the code, start in `seedframe.studio.pipeline`.
Every name is loaded when it is first used: importing the package loads nothing else.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedframe.api import edit, generate, open_studio
    from seedframe.errors import (
        ApiError,
        BudgetExceeded,
        ConfirmationNeeded,
        ConnectionFailed,
        EarlierOutcomeUnknown,
        InvalidRequest,
        NotConfigured,
        OutcomeUnknown,
        PaidAndLost,
        PictureError,
        PromptRejected,
        SeedreamError,
        SpendingRefused,
        StoreError,
        Undelivered,
    )
    from seedframe.settings import Money, Settings
    from seedframe.studio.pipeline import Studio
    from seedframe.studio.types import Cost, Finding, MissingPicture, Picture, Result

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "BudgetExceeded",
    "ConfirmationNeeded",
    "ConnectionFailed",
    "Cost",
    "EarlierOutcomeUnknown",
    "Finding",
    "InvalidRequest",
    "MissingPicture",
    "Money",
    "NotConfigured",
    "OutcomeUnknown",
    "PaidAndLost",
    "Picture",
    "PictureError",
    "PromptRejected",
    "Result",
    "SeedreamError",
    "Settings",
    "SpendingRefused",
    "StoreError",
    "Studio",
    "Undelivered",
    "edit",
    "generate",
    "open_studio",
]

_HOMES = {
    "seedframe.api": ("edit", "generate", "open_studio"),
    "seedframe.settings": ("Money", "Settings"),
    "seedframe.studio.pipeline": ("Studio",),
    "seedframe.studio.types": ("Cost", "Finding", "MissingPicture", "Picture", "Result"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'seedframe' has no attribute {name!r}")
    from importlib import import_module

    home = next((module for module, names in _HOMES.items() if name in names), "seedframe.errors")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return [*__all__, "__all__", "__doc__", "__file__", "__name__", "__path__", "__version__"]
