"""An asset id of the video model's library is refused by every picture call, with the sentence that helps."""

from __future__ import annotations

import pytest

from asking import asked
from conftest import OpenStudio
from seedframe.emulator import InProcess


@pytest.mark.anyio
@pytest.mark.parametrize("asset", ["asset://20260101abcdef", " ASSET://x"])
async def test_an_asset_id_is_refused_before_anything_is_sent(
    open_studio: OpenStudio, service: InProcess, asset: str
) -> None:
    heard = await asked(open_studio, "edit_image", {"prompt": "换成夜晚", "images": [asset]})

    assert heard.is_error
    assert "Seedance" in heard.text
    assert "keep the asset id for the video step" in heard.text
    assert service.app.state.request_log.posts == 0
