"""The candidates among which the nearest neighbours are, found on a GPU: the product of `metrics.neighbours` made by torch."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hsi_ssl.metrics.neighbours import MakeFinder


def finder_on(device: torch.device) -> MakeFinder | None:
    """Return what finds candidates on a device; None for the CPU, where NumPy does it."""
    return None if device.type == "cpu" else partial(OnDevice, device=device)


class OnDevice:
    """Finds the samples that could be among the nearest, as `metrics.neighbours.Finder` says.

    Parameters
    ----------
    samples : float32 array (n, d)
    device : torch.device
    """

    chunk_bytes: ClassVar[int] = 256 * 2**20

    def __init__(self, samples: NDArray[np.float32], device: torch.device) -> None:
        self._samples = torch.from_numpy(samples).to(device).T

    def near(self, asked: NDArray[np.float32], slack: NDArray[np.float64], k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return query and sample (p,) of every pair at or below the query's k-th smallest product and its slack."""
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")  # the slack is for all the digits of single precision
        try:
            rough = torch.from_numpy(asked).to(self._samples.device) @ self._samples
        finally:
            torch.set_float32_matmul_precision(precision)
        bound = rough.topk(k, dim=1, largest=False).values.amax(dim=1).cpu().numpy()
        limit = np.nextafter((bound + slack).astype(np.float32), np.float32(np.inf))
        pairs = (rough <= torch.from_numpy(limit).to(rough.device)[:, None]).nonzero().cpu().numpy()
        return pairs[:, 0], pairs[:, 1]
