"""A trunk run over whole tiles instead of once a pixel.

The trunk has no spatial statistics, so its feature maps of an image hold those of every window in it. Two things differ from
windows cut out one by one: a window's border sees its neighbours instead of zero padding, and where the trunk has strides
the windows that start between two steps are interpolated (`phases` runs the trunk from several starting points to close
that gap). Sampling and pooling are otherwise those of `learning.encoder.Pool`.

Letters: S the trunk's whole stride, m the phases an axis, g = S/m pixels between sampled windows, w the window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from napari_hsi_ssl.config import TrunkConfig
from napari_hsi_ssl.learning.encoder import Pool
from napari_hsi_ssl.mapping.frames import Margin

_SPARE = 3
"""Strides of mirrored image kept beyond the last window, so that its neighbour exists to interpolate with."""


@dataclass(frozen=True)
class Geometry:
    """How a trunk samples an image.

    Attributes
    ----------
    strides : tuple of int
        Pixels between the features of each stage.
    halo : int
        How far, in pixels, a feature sees beyond its own place.
    """

    strides: tuple[int, ...]
    halo: int

    @classmethod
    def of(cls, config: TrunkConfig) -> Geometry:
        """Follow the 3×3 convolutions of `learning.encoder.Trunk`."""
        halo, strides = 1, []
        jump: int = config.stem_stride
        for number in range(len(config.widths)):
            for block in range(config.blocks):
                halo += jump
                jump *= config.stride if number and not block else 1
                halo += jump
            strides.append(jump)
        return cls(tuple(strides), halo)

    def samples(self, window: int, stage: int) -> int:
        """Return how many features an axis a stage has of a window: strided convolutions round up."""
        return -(-window // self.strides[stage])


class StageGrid:
    """The features of one stage around some rows of an image, from all phases.

    Parameters
    ----------
    maps : list of lists of Tensor (1, c, h, w)
        By phase in y and x; those phases that the stage tells apart.
    skip : int
        Rows and columns of each map that belong to the halo above and to the left.
    size : (int, int)
        Rows and columns of pixels to sample.
    stride, samples : int
        Of the stage: its own stride, and features an axis of a window.
    """

    def __init__(self, maps: list[list[Tensor]], skip: int, size: tuple[int, int], stride: int, samples: int) -> None:
        self._maps, self._skip, (self._rows, self._columns) = maps, skip, size
        self._stride, self._samples = stride, samples

    def pooled(self, norm: Callable[[Tensor], Tensor], centre: bool) -> list[Tensor]:
        """Return (c, rows, columns): the window's centre feature where asked for, then its mean."""
        active = [[functional.relu(norm(image)) for image in line] for line in self._maps]
        parts = []
        if centre:
            middle = self._samples // 2
            parts.append(self._at_pixels([[image[:, :, middle:, middle:] for image in line] for line in active]))
        parts.append(self._at_pixels([[_box_mean(image, self._samples) for image in line] for line in active]))
        return parts

    def _at_pixels(self, maps: list[list[Tensor]]) -> Tensor:
        phases = len(maps)
        gap = self._stride // phases
        beyond = int(gap > 1)  # one more to interpolate with
        height, width = -(-self._rows // self._stride) + beyond, -(-self._columns // self._stride) + beyond
        rows, columns = slice(self._skip, self._skip + height), slice(self._skip, self._skip + width)
        cut = [[image[0, :, rows, columns] for image in line] for line in maps]
        # (phase_y, phase_x, c, h, w) → (c, h · phase_y, w · phase_x): the starting points between two strides fall into their places.
        grid = torch.stack([torch.stack(line) for line in cut]).permute(2, 3, 0, 4, 1).reshape(-1, height * phases, width * phases)
        grid = _between(grid, self._rows, gap, 1)
        return _between(grid, self._columns, gap, 2)


def _box_mean(image: Tensor, side: int) -> Tensor:
    """Return the mean of every square of ``side`` pixels, by rows and then by columns: 2 · side additions instead of side²."""
    return functional.avg_pool2d(functional.avg_pool2d(image, (side, 1), 1), (1, side), 1)


def _between(grid: Tensor, count: int, gap: int, axis: int) -> Tensor:
    """Interpolate linearly from samples ``gap`` pixels apart to ``count`` pixels along an axis."""
    if gap == 1:
        return grid.narrow(axis, 0, count)
    place = torch.arange(count, device=grid.device)
    below = torch.div(place, gap, rounding_mode="floor")
    weight = ((place % gap).to(grid.dtype) / gap).reshape([-1 if dim == axis else 1 for dim in range(3)])
    return torch.lerp(grid.index_select(axis, below), grid.index_select(axis, below + 1), weight)


def dense_pool(pool: Pool, stages: Sequence[StageGrid]) -> Tensor:
    """Return what `Pool` gives for the window of every pixel: (rows, columns, dim)."""
    parts: list[Tensor] = []
    for norm, stage in zip(pool.norms, stages[-len(pool.norms) :], strict=True):
        parts += stage.pooled(norm, centre=pool.kind == "centre")
    return torch.cat(parts).permute(1, 2, 0)


def margin(geometry: Geometry, window: int) -> Margin:
    """Return the surroundings with which a tile's windows see what they see in the whole image."""
    stride = geometry.strides[-1]
    halo = -(-geometry.halo // stride) * stride
    # Beyond the last window of a strided trunk lies another one to interpolate with.
    spare = _SPARE * stride if stride > 1 else 0
    return Margin(window // 2 + halo, window - 1 - window // 2 + spare + halo)


def stage_grids(
    trunk: Callable[[Tensor], list[Tensor]], geometry: Geometry, values: Tensor, size: tuple[int, int], window: int, phases: int
) -> list[StageGrid]:
    """Run a trunk over a tile and its surroundings.

    Parameters
    ----------
    trunk : callable
        (1, k, h, w) → one feature map a stage.
    geometry : Geometry
    values : Tensor (1, k, h + margin, w + margin)
        Network input with `margin`. The tile begins at a multiple of the trunk's whole stride.
    size : (int, int)
        Height and width of the tile.
    window : int
    phases : int
        Starting points an axis, 1 … S; a divisor of S.

    Returns
    -------
    list of StageGrid
        The same whatever the size of the tiles.
    """
    stride = geometry.strides[-1]
    halo = -(-geometry.halo // stride) * stride
    shifts = range(0, stride, stride // phases)
    found = {(y, x): trunk(values[:, :, y:, x:]) for y in shifts for x in shifts}
    stages = []
    for number, reach in enumerate(geometry.strides):
        used = [shift for shift in shifts if shift < reach]
        maps = [[found[y, x][number] for x in used] for y in used]
        stages.append(StageGrid(maps, halo // reach, size, reach, geometry.samples(window, number)))
    return stages
