"""Cubes that stay in a device's own memory, so that a batch is gathered there and only addresses travel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SHARE: Final = 0.5
"""Of the free memory of a GPU; a training step takes the rest."""


def room(device: torch.device) -> int:
    """Return the bytes of cubes that may stay on a device; 0 for the CPU, whose memory they are in already."""
    return int(torch.cuda.mem_get_info(device)[0] * _SHARE) if device.type == "cuda" else 0


class Resident:
    """Images of one type and number of channels, end to end on one device.

    Parameters
    ----------
    images : iterable of array (y, x, k)
        Sent one after another, so that no second copy of all of them is made here.
    shapes : sequence of tuple of int
        Theirs.
    dtype : numpy.dtype
        Theirs.
    device : torch.device
    """

    def __init__(self, images: Iterable[NDArray[Any]], shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any], device: torch.device) -> None:
        ends = np.cumsum([shape[0] * shape[1] for shape in shapes])
        self._starts, self._widths = np.append(0, ends[:-1]), np.array([shape[1] for shape in shapes])
        kind = torch.from_numpy(np.empty(0, dtype)).dtype
        self._pixels = torch.empty((int(ends[-1]), shapes[0][2]), dtype=kind, device=device)
        for image, start, end in zip(images, self._starts, ends, strict=True):
            self._pixels[start:end] = torch.from_numpy(np.ascontiguousarray(image)).reshape(-1, shapes[0][2])

    def windows(self, cube: NDArray[np.integer], y: NDArray[np.integer], x: NDArray[np.integer], size: int) -> Tensor:
        """Return windows (n, size, size, k) by their top-left corners."""
        device, k = self._pixels.device, self._pixels.shape[1]
        widths = self._widths[cube]
        corners = torch.from_numpy(self._starts[cube] + y.astype(np.int64) * widths + x).to(device)
        line = torch.arange(size, device=device)
        rows = corners[:, None] + torch.from_numpy(widths).to(device)[:, None] * line  # (n, size): where each row of a window begins
        return self._pixels.index_select(0, (rows[..., None] + line).ravel()).view(-1, size, size, k)
