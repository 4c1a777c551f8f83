"""From scores to the bands they stand for and back: what a change of the bands does to the scores, without a spectrum being rebuilt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.explore.projection import Projection

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BandSpace:
    """The two maps between the channels of a network's input and spectra on the projection's grid.

    A spectrum g (G,) of domain d has the channels ``forth @ (g / unit[d] − base[d])``. Back, ``unit[d] · (base[d] + back @ channels)`` is
    the part of it that the projection holds: ``forth @ back`` is the identity, and the rest ``r`` has ``forth @ r = 0``.

    Attributes
    ----------
    forth : array (k, G)
    back : array (G, k)
        The best linear guess of a spectrum from its channels (`Projection.patterns`).
    base : array (domain, G)
        The spectrum whose channels are 0, in the domain's units.
    unit : array (domain, G)
        The domain's units: its standard deviation a band where the projection standardises, else 1.
    place : array (G,)
        −1 at the first, 1 at the last wavelength (or band, where the grid has none).
    spread : float
        Root mean square of the bands' standard deviations, in the domains' units.
    """

    forth: Array
    back: Array
    base: Array
    unit: Array
    place: Array
    spread: float

    @classmethod
    def of(cls, projection: Projection, domains: Sequence[str], gain: NDArray[np.floating]) -> Self:
        """Build the maps of a projection.

        Parameters
        ----------
        projection : Projection
            Of standard normal variates, a spectrum is the variate itself: what it was before cannot be told.
        domains : sequence of str
            Rows of ``base`` and ``unit``.
        gain : array (k,)
            Network input = stored score · gain.

        Raises
        ------
        RunError
            When a domain is unknown to a projection that standardises by domain, or an older file lacks the patterns.
        """
        if not np.isfinite(projection.patterns).all():
            raise RunError(
                "this MNF is of an older version, which did not keep what views in band space need; fit one of other settings, such as one component fewer."
            )
        weight = np.where(projection.signal, np.asarray(gain, dtype=np.float64) / projection.scale, 0.0)
        forth = weight[:, None] * projection.components
        back = np.divide(projection.patterns, weight, out=np.zeros(projection.patterns.shape), where=weight > 0)
        standardised = projection.scaling == "standardise"
        unit = np.ones((len(domains), projection.mean.size))
        base = np.tile(projection.mean, (len(domains), 1))
        for row, domain in enumerate(domains if standardised else ()):
            if domain not in projection.domains:
                known = ", ".join(projection.domains)
                raise RunError(f"domain '{domain}' was not in the PCA, which standardises by domain ({known}); fit the PCA again.")
            number = projection.domains.index(domain)
            unit[row] = projection.domain_std[number]
            base[row] += projection.domain_mean[number] / unit[row]
        share = projection.domain_pixels / projection.domain_pixels.sum()
        within = 1.0 if standardised else projection.domain_std**2
        between = 0.0 if standardised else (projection.domain_mean - share @ projection.domain_mean) ** 2
        spread = float(np.sqrt(np.mean(share @ np.broadcast_to(within + between, projection.domain_std.shape))))
        grid = np.asarray(projection.grid, dtype=np.float64)
        place = np.interp(grid, (grid[0], grid[-1]), (-1.0, 1.0))
        return cls(forth, back, base, unit, place, spread)

    def spectra(self, channels: NDArray[np.floating], domain: int, bands: Sequence[int] | slice = slice(None)) -> Array:
        """Return the spectra (…, G), or some of their bands, that channels (…, k) of a domain stand for."""
        held: Array = np.asarray(channels, dtype=np.float64) @ self.back[bands].T
        return self.unit[domain, bands] * (self.base[domain, bands] + held)
