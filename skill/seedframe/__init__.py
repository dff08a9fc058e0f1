"""Seedframe: pictures from ByteDance's Seedream models, paid once, framed exactly, saved truly.

Start reading in `seedframe.studio.pipeline`. In Python:

    async with Studio.open(Settings.read(os.environ)) as studio:
        async with studio.make("generate_image", {"prompt": "…", "ratio": "9:16"}) as result:
            print(result.paths)
"""

__version__ = "0.1.0"
