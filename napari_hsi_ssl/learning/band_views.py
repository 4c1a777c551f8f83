"""Views in band space: light, a smooth distortion, dropped bands and sensor noise, drawn over the wavelengths and applied to the scores.

Every band g of the grid acts on the k channels of the network input as a matrix ``forth[:, g] ⊗ back[g, :]`` of its own
(`explore.band_space`). A factor a band is therefore one k × k matrix a window, the sum of these matrices weighted by the factors: one
product for the whole batch makes them all, and each is applied to the pixels of its window. No spectrum is rebuilt.

With u the spectrum in the domain's units, κ the factors and q = 0 for a dropped band (which takes the value of the centre, ``base``), else 1:

    u' = q · κ · u + (1 − q) · base
    channels' = forth diag(q κ) back · channels + forth (q (κ − 1) base) + forth (q κ r)

The last term is left out, since the scores do not know r, the part of a spectrum that the projection does not hold. So

- a gain alone (κ constant, q = 1) is exact for every spectrum, because ``forth r = 0``;
- slope, distortion and dropped bands are exact for spectra in the span of the projection, and approximate for others: what they would
  let in of r stays outside;
- sensor noise is exact: white noise over the bands with variance ν² has the covariance ν² forth forthᵀ in the channels.

Bands are those of the projection's grid, after the chain that prepares the spectra; of a projection of standard normal variates the
views change the variates, and of a denoised one they come after the filter.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_hsi_ssl.config import AugmentConfig
from napari_hsi_ssl.explore.band_space import BandSpace

_WAVES: Final = 6
"""Half waves over the wavelengths in a distortion."""


class BandViews:
    """Random factors over the wavelengths, and what they do to the channels.

    Parameters
    ----------
    config : AugmentConfig
    space : BandSpace
        Its first axis of domains is the one that ``domains`` counts in.

    Attributes
    ----------
    change : bool
        Whether bands are changed at all; else only noise is made.
    """

    def __init__(self, config: AugmentConfig, space: BandSpace) -> None:
        self.config, self.space = config, space
        self.change = any((config.light, config.slope, config.distortion, config.band_drop))
        waves = np.cos(np.pi / 2 * np.outer(np.arange(1, _WAVES + 1), space.place + 1)) * np.sqrt(2 / _WAVES)  # mean square 1 over the wavelengths
        self._curves = np.vstack([np.full_like(space.place, config.light), config.slope * space.place, config.distortion * waves])
        bands, k = space.back.shape
        # (G, k²): entry (j, i) of a band's matrix takes channel j to channel i.
        actions = (space.back[:, :, None] * space.forth.T[:, None, :]).reshape(bands, k * k)
        self._tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in (actions, space.forth.T, space.base)]

    def factors(self, draws: np.random.Generator, batch: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw κ and q (batch, G): a pure function of the generator, the same whatever part of the batch is wanted."""
        level = np.exp(draws.standard_normal((batch, len(self._curves))) @ self._curves)
        dropped = self.config.band_drop
        kept = draws.random(level.shape) >= dropped if dropped else np.ones(level.shape)
        return level, kept.astype(np.float64)

    def __call__(self, x: Tensor, level: NDArray[np.float64], kept: NDArray[np.float64], domains: NDArray[np.integer]) -> Tensor:
        """Return windows (n, w, w, k) of network input as the changed spectra would have given them.

        Parameters
        ----------
        x : Tensor (n, w, w, k)
        level, kept : arrays (n, G)
            κ and q of each window.
        domains : int array (n,)
            Rows of the space's domains.
        """
        self._tensors = [tensor.to(x) for tensor in self._tensors]
        actions, forth, base = self._tensors
        n, k = len(x), x.shape[-1]
        factor, whole = torch.from_numpy(level).to(x), torch.from_numpy(kept).to(x)
        matrices = ((whole * factor) @ actions).view(n, k, k)
        offsets = (whole * (factor - 1) * base[torch.from_numpy(np.asarray(domains, dtype=np.int64)).to(x.device)]) @ forth
        return torch.baddbmm(offsets[:, None, :], x.reshape(n, -1, k), matrices).view_as(x)

    def noise_root(self) -> NDArray[np.float64]:
        """Return L (k, k): white noise over the bands has the covariance L Lᵀ in the channels."""
        left, values, _ = np.linalg.svd(self.space.forth, full_matrices=False)
        root: NDArray[np.float64] = self.config.sensor_noise * self.space.spread * left * values
        return root
