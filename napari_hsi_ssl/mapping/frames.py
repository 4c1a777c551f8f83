"""A cube as a network sees it, one part at a time: filled, scaled and mirrored at its frame, whatever its size on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from napari_hsi_ssl import files
from napari_hsi_ssl.errors import ConfigError, RunError
from napari_hsi_ssl.learning.data import background_level, prepare_inputs
from napari_hsi_ssl.learning.inlets import inlet_scores

Tile = tuple[slice, slice]
"""Rows and columns of a cube."""


class Stored(Protocol):
    """Stored values (y, x, k) of a cube, in memory, on disk or made as they are asked for; NaN where not measured."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, channels."""

    def __getitem__(self, which: Any, /) -> NDArray[Any]:  # noqa: ANN401 - rows, or rows and columns
        """Return the values of some rows, or of some rows and columns."""


class ThroughInlet:
    """The scores (y, x, k) of a cube with a learned inlet, made of its bands where they are asked for.

    Parameters
    ----------
    model : module
        With ``inlets``.
    domain : str
        Of the cube.
    bands : array (y, x, B)
        NaN where not measured.
    """

    def __init__(self, model: nn.Module, domain: str, bands: NDArray[np.floating]) -> None:
        self._model, self._domain, self._bands = model, domain, bands
        channels = inlet_scores(model, domain, bands[:1, :1]).shape[2]  # says so when the model has no such inlet
        self.shape = (*bands.shape[:2], channels)

    def __getitem__(self, which: Any) -> NDArray[np.float32]:  # noqa: ANN401
        """Return the scores of some rows, or of some rows and columns."""
        return inlet_scores(self._model, self._domain, self._bands[which])


@dataclass(frozen=True)
class Margin:
    """How many pixels of the surroundings a tile is read with, above and left, below and right."""

    before: int
    after: int

    @property
    def both(self) -> int:
        """Pixels that it adds to a side."""
        return self.before + self.after


@dataclass(frozen=True, eq=False)
class Part:
    """A tile of a cube as network input.

    Attributes
    ----------
    tile : (slice, slice)
    values : float32 array (h + margin, w + margin, k)
        Finite everywhere.
    used : bool array (h, w)
        Pixels of the area that are measured.
    """

    tile: Tile
    values: NDArray[np.float32]
    used: NDArray[np.bool_]


class Frame:
    """A cube's stored values, turned into network input a part at a time, exactly as `prepare_inputs` does it for the whole.

    Parameters
    ----------
    scores : array (y, x, k)
        As stored; NaN where not measured.
    card : dict
        Of the model.
    area : bool array (y, x)
        Which pixels are used.

    Raises
    ------
    RunError
        When the area is of another cube.
    """

    def __init__(self, scores: Stored, card: Mapping[str, Any], area: NDArray[np.bool_]) -> None:
        if scores.shape[:2] != area.shape:
            raise RunError(f"the mask has shape {area.shape}, expected {scores.shape[:2]} as the scores have; make the PCA again.")
        self._scores, self._card, self._area = scores, card, area
        self._level: NDArray[np.float64] | None = None
        self.shape = area.shape

    def part(self, tile: Tile, margin: Margin) -> Part:
        """Return a tile and its surroundings, mirrored where they reach beyond the cube."""
        if self._level is None:
            self._level = background_level(self._scores, self._card, self._area)  # type: ignore[arg-type]  # reads rows alone
        places = [_mirrored(some.start - margin.before, some.stop + margin.after, side) for some, side in zip(tile, self.shape, strict=True)]
        there = tuple(slice(int(place.min()), int(place.max()) + 1) for place in places)
        values = np.array(self._scores[there])
        files.let_go(self._scores)
        inputs = prepare_inputs(values, self._card, self._area[there], level=self._level)
        y, x = (place - box.start for place, box in zip(places, there, strict=True))
        inner = tuple(slice(some.start - box.start, some.stop - box.start) for some, box in zip(tile, there, strict=True))
        return Part(tile, inputs[np.ix_(y, x)], self._area[tile] & np.isfinite(values[inner]).all(axis=-1))


def _mirrored(start: int, stop: int, side: int) -> NDArray[np.intp]:
    """Return which pixel of an axis stands at each place from ``start`` to ``stop``, as NumPy's padding "reflect" has it."""
    period = max(1, 2 * (side - 1))
    place = np.abs(np.arange(start, stop)) % period
    return np.where(place < side, place, period - place)


def grid(shape: tuple[int, int], memory: int, pixel: int, margin: Margin, step: int) -> list[Tile]:
    """Divide a cube into tiles of about one size that together need the fewest pixels of surroundings.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the cube.
    memory : int
        Bytes that a tile may take, its margin included.
    pixel : int
        Bytes that a pixel takes.
    margin : Margin
    step : int
        Every tile begins at a multiple of it.

    Raises
    ------
    ConfigError
        When even the smallest tile with its margin takes more.
    """
    limit = memory // pixel
    height, width = shape
    best: tuple[int, int, int] | None = None
    for across in range(1, -(-width // step) + 1):
        wide = -(-width // (across * step)) * step
        highest = limit // (wide + margin.both) - margin.both
        if highest < step:
            continue
        down = -(-height // (highest // step * step))
        high = -(-height // (down * step)) * step
        needed = -(-height // high) * (high + margin.both) * -(-width // wide) * (wide + margin.both)
        if best is None or needed < best[0]:
            best = needed, high, wide
    if best is None:
        least = (step + margin.both) ** 2 * pixel / 2**20
        raise ConfigError(
            f"a tile of the map may take {memory / 2**20:.2f} MiB, but with the {margin.both} rows and columns of surroundings that its pixels are judged by "
            f"the smallest takes {least:.2f}; allow it more (--memory)."
        )
    _, high, wide = best
    return [(slice(top, min(height, top + high)), slice(left, min(width, left + wide))) for top in range(0, height, high) for left in range(0, width, wide)]
