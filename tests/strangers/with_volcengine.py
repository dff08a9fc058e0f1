"""The journey with `volcengine-python-sdk[ark]`."""

from typing import Any

from journey import walk
from volcenginesdkarkruntime import Ark
from volcenginesdkarkruntime.types.images import SequentialImageGenerationOptions


def connect(base: str, retries: int) -> Any:
    return Ark(base_url=f"{base}/api/v3", api_key="test-key", max_retries=retries)


def generate(client: Any, **arguments: Any) -> Any:
    options = arguments.pop("sequential_image_generation_options", None)
    if options:
        arguments["sequential_image_generation_options"] = SequentialImageGenerationOptions(**options)
    return client.images.generate(model="doubao-seedream-4-5-251128", **arguments)


walk(connect, generate)
