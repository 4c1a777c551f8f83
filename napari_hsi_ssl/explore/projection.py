"""A fitted projection: what it holds, and its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self, get_args

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files, limits
from napari_hsi_ssl.cubes.calibrate import Grid
from napari_hsi_ssl.errors import DAMAGE, ProjectError
from napari_hsi_ssl.explore.chunks import Spectra

_SMALLEST_SHARE = 1e-12  # of the total variance: components below it are rounding, not signal


@dataclass(frozen=True, eq=False)
class Projection:
    """A fitted projection, fixed: how the spectra of every domain become comparable scores.

    The score of a spectrum x (B,) is ``components @ (s(R @ x) − mean)``, with R the cube's resampling matrix (G, B) and s the
    scaling: nothing; ``(· − domain_mean) / domain_std`` of the cube's domain; or the standard normal variate.

    Attributes
    ----------
    mean : array (G,)
        Mean of the scaled spectra on the grid.
    components : array (k, G)
        PCA: orthonormal rows by falling variance. MNF: rows by falling signal-to-noise ratio, in which noise has variance 1.
        The largest loading of each is positive.
    variance : array (k,)
        Variance of each score.
    grid : array (G,)
        Positions 0 … 1 or wavelengths in nm.
    total_variance : float
        Sum of the variances of all components, also of those left out.
    grid_kind, method, scaling : str
        As `PcaConfig` has them (``scaling`` is its ``scale``).
    domains : tuple of str
        The domains it was fitted on, sorted.
    domain_mean, domain_std : arrays (domain, G)
        Of each domain's spectra on the grid, before scaling; a dead band has the spread 1.
    domain_pixels : int array (domain,)
        How many spectra each domain gave.
    patterns : array (G, k)
        ``mean + patterns @ scores`` is the best linear guess of a scaled spectrum from its scores: covariance · componentsᵀ / variance, which
        for PCA is componentsᵀ. ``components @ patterns`` is the identity (Haufe et al. 2014, On the interpretation of weight vectors of linear
        models). NaN of an MNF from a file without them.
    """

    mean: Spectra
    components: Spectra
    variance: Spectra
    grid: Spectra
    total_variance: float
    grid_kind: Grid
    method: str
    scaling: str
    domains: tuple[str, ...]
    domain_mean: Spectra
    domain_std: Spectra
    domain_pixels: NDArray[np.int64]
    patterns: Spectra

    @property
    def word(self) -> str:
        """What its components are called: "PC" or "MNF"."""
        return "MNF" if self.method == "mnf" else "PC"

    @property
    def explained(self) -> Spectra:
        """Share (k,) of the total variance; with MNF, of the variance in units of the noise."""
        return self.variance / self.total_variance

    @property
    def scale(self) -> Spectra:
        """Real score = stored score × scale (k,): the root of the variance, 1 where a component is nothing but rounding."""
        return np.where(self.signal, np.sqrt(self.variance), 1.0)

    @property
    def signal(self) -> NDArray[np.bool_]:
        """Which components (k,) are more than rounding."""
        return np.asarray(self.variance > _SMALLEST_SHARE * self.total_variance)

    @property
    def digest(self) -> str:
        """12 hexadecimal digits that depend on the content alone."""
        parts = (name.encode() + str(value.dtype).encode() + np.ascontiguousarray(value).tobytes() for name, value in self._arrays().items())
        return files.digest_bytes(b"".join(parts))

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        return {name: np.asarray(getattr(self, name)) for name in self.__dataclass_fields__}

    def save(self, path: Path) -> None:
        """Write everything into one .npz file, atomically."""
        files.write_npz(path, **self._arrays())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote, bit for bit.

        Raises
        ------
        ProjectError
            When the file is missing, damaged or something else.
        """
        remedy = "run `napari-hsi-ssl pca` again"
        if not path.exists():
            raise ProjectError(f"{path} does not exist; {remedy}.")
        try:
            with limits.opened_npz(path) as archive:
                values = {name: archive[name] for name in cls.__dataclass_fields__ if name != "patterns"}
                unknown = values["components"].T if str(values["method"]) == "pca" else np.full_like(values["components"].T, np.nan)
                values["patterns"] = archive.get("patterns", unknown)
            k, bands = values["components"].shape
            shapes = {"mean": (bands,), "grid": (bands,), "variance": (k,), "total_variance": (), "grid_kind": (), "method": (), "scaling": ()}
            shapes["patterns"] = (bands, k)
            shapes |= dict.fromkeys(("domain_mean", "domain_std"), (values["domains"].size, bands))
            wrong = [name for name, shape in shapes.items() if values[name].shape != shape]
            numbers = ("mean", "components", "variance", "grid", "total_variance", "domain_mean", "domain_std")
            wrong += [name for name in numbers if not np.isfinite(values[name]).all()]
        except DAMAGE as error:
            raise ProjectError(f"{path} is not a whole PCA file ({type(error).__name__}: {error}); {remedy}.") from error
        if wrong or str(values["grid_kind"]) not in get_args(Grid):
            raise ProjectError(f"{path} is not a usable PCA file (field '{(wrong or ['grid_kind'])[0]}' does not fit the others); {remedy}.")
        texts = {name: str(values[name]) for name in ("grid_kind", "method", "scaling")}
        plain = {"total_variance": float(values["total_variance"]), "domains": tuple(str(name) for name in values["domains"])}
        return cls(**{**values, **texts, **plain})
