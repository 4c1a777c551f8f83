"""What a projection is fitted on, and whether it makes sense to fit it on that."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.errors import ConfigError, CubeError

_BRIGHTNESS_RATIO = 20.0


@dataclass(frozen=True, eq=False)
class Source:
    """A cube as a projection sees it.

    Attributes
    ----------
    name, domain : str
        The domain is the camera or campaign; its cubes share gain and bands.
    cube : DataArray (y, x, band)
    area : bool array (y, x)
        Pixels to fit on.
    """

    name: str
    domain: str
    cube: xr.DataArray
    area: NDArray[np.bool_]


def band_use(cube: xr.DataArray) -> NDArray[np.bool_]:
    """Return which bands (band,) are used: those that the header does not call bad; all of them when it calls every one bad."""
    bands = int(cube.shape[2])
    bad = cube.attrs.get("bad_bands")
    flags = np.zeros(bands, dtype=bool) if bad is None else np.asarray(bad, dtype=bool)
    return np.ones(bands, dtype=bool) if flags.shape != (bands,) or flags.all() else ~flags


def draw(source: Source, config: PcaConfig) -> NDArray[np.bool_]:
    """Return the pixels (y, x) to fit on: the area, or a random part of it that depends on the seed and the cube's name alone."""
    area = np.asarray(source.area, dtype=bool)
    if config.sample is None or config.sample >= area.sum():
        return area
    generator = np.random.default_rng([config.seed, zlib.crc32(source.name.encode())])
    chosen = np.zeros(area.size, dtype=bool)
    chosen[generator.choice(np.flatnonzero(area), config.sample, replace=False)] = True
    return chosen.reshape(area.shape)


def check_sources(sources: Sequence[Source], config: PcaConfig) -> Iterator[str]:
    """Yield warnings about a set of sources, or say in one sentence why they cannot be projected together.

    Raises
    ------
    CubeError
        When an area is empty or of another shape, or a cube has a single band.
    ConfigError
        When there are more components than bands, or quantities would be mixed.
    """
    if not sources:
        raise CubeError("the PCA was given no cube, expected at least one; add cubes to the project first.")
    for source in sources:
        if source.area.shape != source.cube.shape[:2]:
            raise CubeError(f"cube '{source.name}': its mask has shape {source.area.shape}, expected {source.cube.shape[:2]} (y, x); make the mask again.")
        if not source.area.any():
            raise CubeError(f"cube '{source.name}' has an empty mask, expected at least one pixel; make another mask or remove the cube.")
        if band_use(source.cube).sum() < 2:
            raise CubeError(f"cube '{source.name}' has one usable band, expected at least 2 for a PCA; remove it from the project.")
    richest = max(sources, key=lambda source: int(band_use(source.cube).sum()))
    bands = min(int(band_use(richest.cube).sum()), config.bands)
    if config.components > bands:
        limit = f"cube '{richest.name}', the richest, has {bands} usable bands" if bands < config.bands else f"--bands is {bands}"
        raise ConfigError(f"--components is {config.components}, but {limit}; use at most {bands} components.")
    yield from _quantities(sources, config)
    if config.grid == "index":
        for domain in sorted({source.domain for source in sources}):
            counts = {source.cube.shape[2]: source.name for source in sources if source.domain == domain}
            if len(counts) > 1:
                found = ", ".join(f"'{name}' {count}" for count, name in sorted(counts.items()))
                yield (
                    f"cubes of domain '{domain}' have different numbers of bands ({found}); each is spread over the grid by band number, "
                    "so give them domains of their own if they come from different cameras"
                )


def _quantities(sources: Sequence[Source], config: PcaConfig) -> Iterator[str]:
    """Digital numbers, radiance and reflectance are never mixed silently."""
    if config.scale == "snv":
        return
    found = _by_quantity(sources)
    known = {quantity: name for quantity, name in found.items() if quantity != "unknown"}
    if config.scale == "standardise":
        for domain in sorted({source.domain for source in sources}):
            inside = {quantity: name for quantity, name in _by_quantity([s for s in sources if s.domain == domain]).items() if quantity != "unknown"}
            if len(inside) > 1:
                raise ConfigError(
                    f"domain '{domain}' mixes {_listed(inside)}, but --scale standardise takes a domain for one camera; use --scale snv or other domains."
                )
    elif len(known) > 1:
        raise ConfigError(f"one PCA would mix {_listed(known)}; use --scale standardise or --scale snv, or a project of their own.")
    elif known and "unknown" in found:
        yield f"the quantity of cube '{found['unknown']}' is unknown while others are {_listed(known)}; if they differ, use --scale standardise"


def _by_quantity(sources: Sequence[Source]) -> dict[str, str]:
    """Return one cube's name for each quantity."""
    return {str(source.cube.attrs.get("quantity", "unknown")): source.name for source in reversed(sources)}


def _listed(known: dict[str, str]) -> str:
    return " and ".join(f"{quantity} (cube '{name}')" for quantity, name in sorted(known.items()))


def brightness_warnings(domains: Sequence[str], means: Sequence[NDArray[np.float64]], config: PcaConfig) -> Iterator[str]:
    """Yield a warning when one domain is so much brighter than another that it would rule the components."""
    if config.scale != "none" or len(domains) < 2:
        return
    levels = [float(np.median(np.abs(mean))) for mean in means]
    dark, bright = int(np.argmin(levels)), int(np.argmax(levels))
    if levels[bright] > _BRIGHTNESS_RATIO * levels[dark]:
        yield (
            f"domain '{domains[bright]}' (median {levels[bright]:.3g}) is over {_BRIGHTNESS_RATIO:g} times as bright as '{domains[dark]}' "
            f"(median {levels[dark]:.3g}) and would rule the components; use --scale standardise"
        )
