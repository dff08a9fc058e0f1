"""The journey with `byteplus-python-sdk-v2`."""

from typing import Any

from byteplussdkarkruntime import Ark
from byteplussdkarkruntime.types.images import SequentialImageGenerationOptions
from journey import walk


def connect(base: str, retries: int) -> Any:
    return Ark(base_url=f"{base}/api/v3", api_key="test-key", max_retries=retries)


def generate(client: Any, **arguments: Any) -> Any:
    options = arguments.pop("sequential_image_generation_options", None)
    if options:
        arguments["sequential_image_generation_options"] = SequentialImageGenerationOptions(**options)
    return client.images.generate(model="seedream-4-5-251128", **arguments)


walk(connect, generate)
