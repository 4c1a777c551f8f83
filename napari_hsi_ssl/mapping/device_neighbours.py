"""The candidates among which the nearest neighbours are, found where torch is faster at it than NumPy: on a GPU, or in bfloat16."""

from __future__ import annotations

import threading
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from napari_hsi_ssl.learning.devices import has_bf16
from napari_hsi_ssl.metrics.neighbours import InSingle, MakeFinder, bound


def finder_on(device: torch.device) -> MakeFinder | None:
    """Return what finds candidates fastest on a device; None for a CPU without units for bfloat16, where NumPy does it."""
    if device.type == "cpu":
        return InHalf if has_bf16(on_gpu=False) else None
    return partial(OnDevice, device=device)


class OnDevice:
    """Finds the samples that could be among the nearest, as `metrics.neighbours.Finder` says.

    Parameters
    ----------
    samples : float32 array (n, d)
    device : torch.device
    """

    chunk_bytes: ClassVar[int] = 256 * 2**20
    side_by_side: ClassVar[bool] = False

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


class InHalf:
    """Finds candidates by products in bfloat16, a quarter of the time of float32 where the processor has units for it.

    Its eight digits are few, but how far off they are is known: what rounding took from every vector has a length. Values are shifted so that
    none is negative: then they are ordered as the whole numbers of the same bits, which NumPy compares in no time.

    Parameters
    ----------
    samples : float32 array (n, d)
        The last column, against which every query has 1, holds squares.
    """

    chunk_bytes: ClassVar[int] = 32 * 2**20  # two of four are used; torch is the faster the more it is given at a time
    side_by_side: ClassVar[bool] = True

    def __init__(self, samples: NDArray[np.float32]) -> None:
        vectors, squares = samples[:, :-1], samples[:, -1:]
        half = torch.from_numpy(vectors).bfloat16()
        self._single = InSingle(samples)
        self._samples = torch.cat((half, _digits(squares), torch.ones((len(samples), _DIGITS), dtype=torch.bfloat16)), dim=1).T.contiguous()
        self._lost, self._longest = _longest(vectors - half.float().numpy()), _longest(vectors)
        self._own = threading.local()

    def near(self, asked: NDArray[np.float32], slack: NDArray[np.float64], k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return query and sample (p,) of every pair at or below the query's k-th smallest product and its slack, and some more."""
        if not hasattr(self._own, "alone"):
            torch.get_num_threads()  # torch sets its threads when it is first used in a thread of ours; from then on it takes one
            self._own.alone = threadpool_limits(limits=1, user_api="openmp")
        vectors = asked[:, :-1]
        half = torch.from_numpy(vectors).bfloat16()
        lost = np.linalg.norm(vectors - half.float().numpy(), axis=1)
        # The smallest product lies below zero by the query's own square, a quarter of that of -2 times it.
        squares = (vectors.astype(np.float64) ** 2).sum(axis=1) / 4
        wrong = lost * self._longest + (2 * np.sqrt(squares) + lost) * self._lost  # of the vectors' own rounding
        wrong += np.where(np.isfinite(slack), slack, 0) + (len(self._samples) + 8) * 2.0**-23 * squares  # of the sums in single precision
        shift = (squares + wrong) * (1 + _ROUNDING)
        ones = torch.ones((len(asked), _DIGITS), dtype=torch.bfloat16)
        product = torch.cat((half, ones, _digits(shift[:, None].astype(np.float32))), dim=1) @ self._samples
        bits = product.view(torch.int16).numpy()
        nearest = torch.from_numpy(bound(bits, k)).view(torch.bfloat16).double().numpy()
        limit = ((nearest * (1 + _ROUNDING) + 2 * wrong) * (1 + _ROUNDING)).astype(np.float32)
        limit = np.where(np.isfinite(slack), limit, np.float32(np.inf))
        found = np.flatnonzero(bits <= _upwards(limit)[:, None])
        if found.size > _MANY * (k + 8) * len(asked):  # vectors of very different lengths: few digits say too little of the short ones
            return self._single.near(asked, slack, k)
        return np.divmod(found, bits.shape[1])


_DIGITS = 3  # numbers of bfloat16 that hold one of float32
_ROUNDING = 2.0**-8  # of bfloat16, and some more
_MANY = 16


def _digits(values: NDArray[np.float32]) -> torch.Tensor:
    """Return float32 numbers (n, 1) as sums of bfloat16 ones (n, 3)."""
    left, parts = torch.from_numpy(values), []
    for _ in range(_DIGITS):
        parts.append(left.bfloat16())
        left = left - parts[-1].float()
    return torch.cat(parts, dim=1)


def _longest(vectors: NDArray[np.float32]) -> float:
    return float(np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1).max()))


def _upwards(values: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return the bits of the bfloat16 numbers next above float32 numbers that are not negative."""
    return ((values.view(np.uint32) + np.uint32(0xFFFF)) >> np.uint32(16)).astype(np.int16)
