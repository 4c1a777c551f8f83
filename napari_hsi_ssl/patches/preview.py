"""What a cut of patches would give, before it is made: counts at every stage, how the mask is covered, and examples."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import PatchConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.patches.index import TEST, TRAIN, PatchIndex, PatchSource, build_index, foreground_in_windows, least_foreground

Counts = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Windows:
    """The windows of one cube's grid.

    Attributes
    ----------
    total : int
        All that fit into the frame.
    empty : int
        Those without any foreground.
    too_little : int
        Those with some, but less than the least coverage.
    enough : int
        The rest: candidates for patches.
    """

    total: int
    empty: int
    too_little: int
    enough: int


@dataclass(frozen=True, eq=False)
class PatchPreview:
    """What a cut would give.

    Attributes
    ----------
    config : PatchConfig
    index : PatchIndex or None
        None where nothing would be cut; ``trouble`` says why.
    windows : dict of str to Windows
        By cube.
    domains : dict of str
        The domain of each cube.
    before, after : dict of str
        ``{domain: {"train": n, "test": n}}`` before and after at most ``per_domain`` patches a domain are drawn.
    lost : dict of str to int
        By domain: windows with enough foreground that the split by blocks leaves out, since they touch both of its parts.
    covered : dict of str to float
        By cube: share of its foreground pixels that lie in a patch.
    left_out : dict of str
        Cube → why it gives no patches.
    trouble : str
    """

    config: PatchConfig
    index: PatchIndex | None
    windows: dict[str, Windows]
    domains: dict[str, str]
    before: Counts
    after: Counts
    lost: dict[str, int]
    covered: dict[str, float]
    left_out: dict[str, str]
    trouble: str = ""
    notes: tuple[str, ...] = field(default=())

    def report(self) -> dict[str, Any]:
        """Return the figures alone, JSON-able; the keys of a cut are among them."""
        return {
            "count": 0 if self.index is None else len(self.index),
            "size": self.config.size,
            "per_domain": self.after,
            "before": self.before,
            "lost": self.lost,
            "windows": {cube: vars(windows) for cube, windows in self.windows.items()},
            "covered": self.covered,
            "left_out": self.left_out,
            "notes": list(self.notes),
            "trouble": self.trouble,
            "settings": self.config.model_dump(mode="json"),
        }


def preview(sources: Sequence[PatchSource], config: PatchConfig) -> PatchPreview:
    """Count what `build_index` would cut; settings that give nothing are told of, not raised.

    Parameters
    ----------
    sources : sequence of PatchSource
    config : PatchConfig
    """
    windows = {source.name: count_windows(source.foreground, config) for source in sources}
    domains = {source.name: source.domain for source in sources}
    try:
        whole, left_out = build_index(sources, config.model_copy(update={"per_domain": None}))
        index = whole if config.per_domain is None else build_index(sources, config)[0]
    except ConfigError as error:
        # A reason for each cube that the windows themselves explain; what the split refuses is in the sentence.
        return PatchPreview(config, None, windows, domains, {}, {}, {}, {}, _reasons(windows, config), str(error))
    before = whole.counts()
    candidates = {domain: sum(windows[cube].enough for cube in whole.cubes if domains[cube] == domain) for domain in whole.domains}
    lost = {domain: count - sum(before[domain].values()) for domain, count in candidates.items()}
    covered = {}
    for source in sources:
        used = int(source.foreground.sum())
        inside = int((patches_over_pixels(index, source.name, source.foreground.shape)[source.foreground] > 0).sum())
        covered[source.name] = inside / used if used else 0.0
    return PatchPreview(config, index, windows, domains, before, index.counts(), lost, covered, left_out, notes=index.notes)


def count_windows(foreground: NDArray[np.bool_], config: PatchConfig) -> Windows:
    """Count the windows (see `Windows`) of a frame's foreground (y, x)."""
    inside = foreground_in_windows(foreground, config.size, config.step)[2]
    enough = int((inside >= least_foreground(config)).sum())
    empty = int((inside == 0).sum())
    return Windows(inside.size, empty, inside.size - empty - enough, enough)


def patches_over_pixels(index: PatchIndex, cube: str, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return how many patches cover each pixel (y, x) of a cube."""
    rows = index.cube == index.cubes.index(cube) if cube in index.cubes else np.zeros(len(index), dtype=bool)
    return _stacked(shape, index.y[rows], index.x[rows], index.size, np.ones(int(rows.sum()), dtype=np.int64)).astype(np.int32)


def share_over_pixels(foreground: NDArray[np.bool_], config: PatchConfig) -> NDArray[np.float32]:
    """Return the mean share of foreground of the windows over each pixel (y, x); NaN where no window reaches.

    All windows of the grid count, those with too little foreground too: it shows where the least coverage cuts.
    """
    ys, xs, inside = foreground_in_windows(foreground, config.size, config.step)
    y, x = (axis.ravel() for axis in np.meshgrid(ys, xs, indexing="ij"))
    total = _stacked(foreground.shape, y, x, config.size, inside.ravel())
    number = _stacked(foreground.shape, y, x, config.size, np.ones(y.size, dtype=np.int64))
    share = np.full(foreground.shape, np.nan, dtype=np.float32)
    np.divide(total, number * config.size**2, out=share, where=number > 0, casting="unsafe")
    return share


def _stacked(shape: tuple[int, ...], y: NDArray[np.integer], x: NDArray[np.integer], size: int, weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sum (y, x) of the weights of the windows over each pixel, by their corners alone (a two-dimensional prefix sum)."""
    height, width = shape
    corners = np.zeros((height + 1, width + 1), dtype=np.int64)
    for dy, dx, sign in ((0, 0, 1), (size, 0, -1), (0, size, -1), (size, size, 1)):
        np.add.at(corners, (y + dy, x + dx), sign * weight)
    summed: NDArray[np.int64] = corners.cumsum(axis=0).cumsum(axis=1)[:-1, :-1]
    return summed


def examples(index: PatchIndex, count: int = 4, seed: int = 0) -> dict[str, NDArray[np.intp]]:
    """Draw patches to look at: ``count`` rows of the index a domain, half of them held out where there are such, training ones first."""
    chosen: dict[str, NDArray[np.intp]] = {}
    for number, domain in enumerate(index.domains):
        generator = np.random.default_rng([seed, zlib.crc32(domain.encode())])
        train, test = (np.flatnonzero((index.domain == number) & (index.split == code)) for code in (TRAIN, TEST))
        held_out = min(test.size, max(count // 2, count - train.size))
        parts = [generator.choice(rows, min(rows.size, wanted), replace=False) for rows, wanted in ((train, count - held_out), (test, held_out))]
        chosen[domain] = np.concatenate([np.sort(part) for part in parts]).astype(np.intp)
    return chosen


def fill(window: NDArray[np.floating], foreground: NDArray[np.bool_], background: str, level: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return a window (y, x, channel) as the network gets it: background and unmeasured pixels at ``level``, or kept as they are.

    Parameters
    ----------
    window : float array (y, x, channel)
        NaN where not measured.
    foreground : bool array (y, x)
    background : {"mean", "zero", "keep"}
    level : float array (channel,)
        The mean of the cube's foreground for "mean"; the neutral value otherwise.
    """
    measured = np.isfinite(window).all(axis=-1)
    kept = measured if background == "keep" else measured & foreground
    return np.where(kept[..., None], window, level)


def _reasons(windows: dict[str, Windows], config: PatchConfig) -> dict[str, str]:
    found = {}
    for cube, counted in windows.items():
        if not counted.total:
            found[cube] = f"its frame is smaller than the window of {config.size}×{config.size}"
        elif not counted.enough:
            found[cube] = f"no window has {config.coverage:.0%} foreground" if counted.too_little else "its mask is empty"
    return found
