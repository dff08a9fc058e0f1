"""ArcReel's own image backend, from its source, makes one picture and one edit: `BASE CHECKOUT OUT` → JSON.

Its packages are entered past their `__init__`, which load every vendor it knows.
"""

import asyncio
import json
import sys
import types
from pathlib import Path

base, checkout, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
for name in ("lib", "lib.image_backends", "lib.video_backends"):
    package = types.ModuleType(name)
    package.__path__ = [str(checkout / name.replace(".", "/"))]
    sys.modules[name] = package

from lib.image_backends.ark import ArkImageBackend  # noqa: E402
from lib.image_backends.base import ImageGenerationRequest, ReferenceImage  # noqa: E402


async def main():
    backend = ArkImageBackend(api_key="test-key", base_url=f"{base}/api/v3")
    words = "雨后的江南小巷，一位撑油纸伞的少女走过青石板路。"
    first = await backend.generate(
        ImageGenerationRequest(prompt=words, output_path=out / "first.png", aspect_ratio="9:16")
    )
    second = await backend.generate(
        ImageGenerationRequest(
            prompt="把图1的油纸伞换成红色的。",
            output_path=out / "second.png",
            aspect_ratio="16:9",
            reference_images=[ReferenceImage(path=str(first.image_path))],
        )
    )
    sys.stdout.write(json.dumps([str(one.image_path) for one in (first, second)]))


asyncio.run(main())
