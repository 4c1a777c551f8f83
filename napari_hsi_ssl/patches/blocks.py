"""Windows of one frame split by guarded blocks, so that no test window shares a pixel with a training window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import PatchConfig

_DRAWS = 32

_Extent = tuple[int, int]


def split_by_blocks(
    foreground: NDArray[np.bool_], y: NDArray[np.int32], x: NDArray[np.int32], config: PatchConfig, generator: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.uint8]] | None:
    """Assign blocks of a frame to train and test and keep the windows that lie in one split alone.

    The box around the foreground is cut evenly into blocks of at least ``config.block`` pixels a side (twice the window by
    default); where that leaves no test or no training window, the blocks shrink, down to the window itself. A window
    stays when it, widened by ``config.guard`` pixels on every side, touches blocks of one split only. Of several random
    assignments the one is taken that loses fewest windows and comes nearest to ``config.test_share``.

    Parameters
    ----------
    foreground : bool array (y, x)
    y, x : int32 array (n,)
        Top-left corners of the windows.
    config : PatchConfig
    generator : numpy.random.Generator

    Returns
    -------
    kept : int array (k,)
        Which windows stay, ascending.
    split : uint8 array (k,)
        0 = train, 1 = test.
    None
        When no block size leaves both a train and a test window.
    """
    rows, columns = np.flatnonzero(foreground.any(axis=1)), np.flatnonzero(foreground.any(axis=0))
    box = (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)
    tried: set[tuple[int, int]] = set()
    for side in range(config.block or 2 * config.size, config.size - 1, -1):
        grid = (max(1, (box[0][1] - box[0][0]) // side), max(1, (box[1][1] - box[1][0]) // side))
        if grid in tried or grid == (1, 1):
            continue
        tried.add(grid)
        found = _best_draw(box, grid, (y, x), config, generator)
        if found is not None:
            return found
    return None


def _best_draw(
    box: tuple[_Extent, _Extent],
    grid: tuple[int, int],
    windows: tuple[NDArray[np.int32], NDArray[np.int32]],
    config: PatchConfig,
    generator: np.random.Generator,
) -> tuple[NDArray[np.intp], NDArray[np.uint8]] | None:
    top, bottom = _blocks_touched(box[0], grid[0], windows[0], config)
    left, right = _blocks_touched(box[1], grid[1], windows[1], config)
    touched = (bottom - top) * (right - left)
    best, best_score = None, 0.0
    for scattered, test in _assignments(grid, config.test_share, generator):
        if best is not None and not scattered:
            break  # a band tests one side of the scene only
        sums = np.zeros((grid[0] + 1, grid[1] + 1), dtype=np.int64)
        sums[1:, 1:] = test.cumsum(axis=0).cumsum(axis=1)
        in_test = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        held_out, train = in_test == touched, in_test == 0
        # How many windows this draw is worth when the share of test windows is to be the wanted one.
        score = min(held_out.sum() / config.test_share, train.sum() / (1 - config.test_share))
        if score > best_score:
            kept = np.flatnonzero(held_out | train)
            best, best_score = (kept, held_out[kept].astype(np.uint8)), score
    return best


def _blocks_touched(extent: _Extent, count: int, start: NDArray[np.int32], config: PatchConfig) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first block that a window with its guard touches along one axis, and the one after the last."""
    borders = np.round(np.linspace(*extent, count + 1)).astype(np.int64)[1:-1]  # the outer blocks reach to the frame's edge
    first = np.searchsorted(borders, start - config.guard, side="right")
    last = np.searchsorted(borders, start + config.size - 1 + config.guard, side="right")
    return first, last + 1


def _assignments(grid: tuple[int, int], share: float, generator: np.random.Generator) -> Iterator[tuple[bool, NDArray[np.bool_]]]:
    """Yield which blocks are test: random draws first (True), then whole bands of blocks (False), which have the fewest borders."""
    blocks = grid[0] * grid[1]
    least = max(1, round(share * blocks))
    for draw in range(_DRAWS):
        # Test blocks lie scattered and lose more windows at their borders than training blocks do, so some draws take more of them.
        count = min(least + draw % (least // 2 + 2), blocks - 1)
        test = np.zeros(blocks, dtype=bool)
        test[generator.permutation(blocks)[:count]] = True
        yield True, test.reshape(grid)
    for axis in (0, 1):
        for edge in range(1, grid[axis]):
            band = np.arange(grid[axis]) >= edge
            for side in (band, ~band):
                yield False, np.broadcast_to(side[:, None] if axis == 0 else side, grid)
