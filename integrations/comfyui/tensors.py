"""Pictures as ComfyUI passes them: torch tensors of shape [batch, height, width, channels], float32 from 0 to 1.

In: raw RGB bytes and a shape, or a tensor. Out: the other. Only torch, which ComfyUI brings along, is used.
"""

from __future__ import annotations

from typing import Any

Shape = tuple[int, int, int, int]


def tensor_of(pixels: bytes, shape: Shape) -> Any:
    """RGB bytes, 0 to 255, row by row, as a tensor."""
    torch = _torch()
    return torch.frombuffer(bytearray(pixels), dtype=torch.uint8).reshape(shape).to(torch.float32) / 255.0


def pixels_of(tensor: Any) -> tuple[bytes, Shape]:
    """The RGB bytes of a tensor and its shape; values outside 0 to 1 are cut."""
    torch = _torch()
    whole = tensor.detach().cpu()[..., :3].clamp(0, 1).mul(255).round().to(torch.uint8).contiguous()
    return whole.numpy().tobytes(), tuple(whole.shape)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise RuntimeError(
            "Seedframe's nodes need ComfyUI's own Python environment: torch is not installed."
        ) from error
    return torch
