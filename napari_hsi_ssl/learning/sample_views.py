"""Views of one patch for the eye, made by the very code that training uses, and brought back to bands."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hsi_ssl.config import PretrainConfig
from napari_hsi_ssl.explore.band_space import BandSpace
from napari_hsi_ssl.explore.projection import Projection
from napari_hsi_ssl.learning.augment import Augmenter
from napari_hsi_ssl.learning.data import Scale, component_gain, input_settings, neighbours


def sample_views(
    region: NDArray[Any], corner: tuple[int, int], size: int, projection: Projection, domain: str, config: PretrainConfig, pairs: int
) -> tuple[BandSpace, NDArray[np.float32]]:
    """Return the band space and the network input (1 + 2 pairs, w, w, k) of a patch and of pairs of its views.

    Parameters
    ----------
    region : array (y, x, k)
        Filled stored scores around the patch, as far as its second view may be moved.
    corner : (y, x)
        Of the patch, in the region.
    size : int
        w.
    projection : Projection
    domain : str
        Of the patch's cube.
    config : PretrainConfig
        Its pairs are those of a batch of one patch at the steps 0, 1, …
    pairs : int
    """
    gain = component_gain(projection.variance, config.whiten)
    space = BandSpace.of(projection, (domain,), gain)
    scale = Scale({"input": input_settings(np.zeros(gain.size), gain, "pcs", "mean")})
    augment = Augmenter(config.augment, scale, gain, size, config.seed, space)
    limits = np.array(region.shape[:2]) - size

    def window(y: int, x: int) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(region[None, y : y + size, x : x + size]))

    found = [scale(window(*corner))]
    for step in range(pairs):
        shift = neighbours(config.seed, step, 1, config.neighbour)[0] if config.neighbour else np.zeros(2, dtype=np.int64)
        moved = np.clip(np.array(corner) + shift, 0, limits)
        for view, (y, x) in enumerate((corner, (int(moved[0]), int(moved[1])))):
            found.append(augment(window(y, x), step, view, 1, slice(0, 1)))
    return space, torch.cat(found).numpy()
