"""The journey with `arkruntime`."""

from typing import Any

from arkruntime import Ark
from journey import walk


def connect(base: str, retries: int) -> Any:
    return Ark.volc(base_url=f"{base}/api/v3", api_key="test-key", max_retries=retries)


def generate(client: Any, **arguments: Any) -> Any:
    return client.images.generate(model="doubao-seedream-4-5-251128", **arguments)


walk(connect, generate)
