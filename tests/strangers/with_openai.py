"""The journey with `openai`: what it does not know travels in `extra_body`."""

from typing import Any

from journey import walk
from openai import OpenAI

KNOWN = {"prompt", "response_format", "stream", "timeout"}


def connect(base: str, retries: int) -> Any:
    return OpenAI(base_url=f"{base}/api/v3", api_key="test-key", max_retries=retries)


def generate(client: Any, **arguments: Any) -> Any:
    own = {key: value for key, value in arguments.items() if key in KNOWN}
    extra = {key: value for key, value in arguments.items() if key not in KNOWN}
    return client.images.generate(model="doubao-seedream-4-5-251128", extra_body=extra, **own)


walk(connect, generate)
