"""One projection for every camera: streaming masked PCA (or MNF) over all cubes on a common band grid."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.cubes.calibrate import Grid, common_grid, resampling_matrix
from napari_hsi_ssl.cubes.cube import wavelengths
from napari_hsi_ssl.errors import ConfigError, CubeError
from napari_hsi_ssl.explore.chunks import Chunk, Spectra, finite, first_spectra, map_chunks
from napari_hsi_ssl.explore.decompose import mnf, pca
from napari_hsi_ssl.explore.edges import alike_neighbours
from napari_hsi_ssl.explore.moments import Moments, Statistics, accumulate, join
from napari_hsi_ssl.explore.projection import Projection
from napari_hsi_ssl.explore.sources import Source, band_use, brightness_warnings, check_sources, draw
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.threads import one_blas_thread

__all__ = ["Projection", "Source", "fit_projection", "project_cube"]

_LARGEST_SCORE = 60000.0  # float16 ends at 65504
_MANY = 100_000  # spectra from which on it is worth a look whether float32 suffices
_SINGLE = 1e-5  # the smallest variance, as a share of the largest, for which it does
_Sums = dict[tuple[str, bytes], tuple[Moments, Spectra | None]]


def fit_projection(sources: Sequence[Source], config: PcaConfig) -> Steps[Projection]:
    """Fit one projection on the masked pixels of all cubes, reading each of them once and holding a few rows at a time.

    Means and covariances are summed per domain in its own bands and brought to the grid afterwards (``R C Rᵀ``), which the
    linearity of the resampling allows; only with ``scale="snv"``, which is not linear, every spectrum is resampled first.

    Parameters
    ----------
    sources : sequence of Source
        Cubes with the pixels to fit on. Pixels that are not finite or carry the ignore value are left out, bad bands are
        interpolated across.
    config : PcaConfig
        ``scale="standardise"`` takes from every domain its own mean and divides by its own standard deviation, band by band
        on the common grid, so that cameras of another gain or offset become comparable (and so do their mean materials:
        a difference between domains that is constant is taken away). ``scale="snv"`` takes from every spectrum its own mean
        and divides by its own standard deviation (Barnes, Dhanoa and Lister 1989). ``weights="domain"`` lets every domain
        count as much as another, however many pixels it has.

    Returns
    -------
    Projection
        Variances have the denominator n − 1, as scikit-learn's have.

    Raises
    ------
    CubeError, ConfigError
        Naming the cube or the option.

    References
    ----------
    Chan, Golub and LeVeque (1983), Algorithms for computing the sample variance. Green, Berman, Switzer and Craig (1988), A
    transformation for ordering multispectral data in terms of image quality with implications for noise removal.
    """
    for message in check_sources(sources, config):
        yield Progress(message=message, warning=True)
    used = [band_use(source.cube) for source in sources]
    bands = [_bands(source.cube, config.grid) for source in sources]
    spans = [(int(use.sum()), None if isinstance(band, int) else band[use]) for use, band in zip(used, bands, strict=True)]
    grid = common_grid(spans, config.bands, config.grid, [source.name for source in sources])
    areas = [draw(source, config) for source in sources]
    total, names = sum(int(area.sum()) for area in areas), _listed([source.name for source in sources])
    kind = _precision(sources, areas, config)
    groups = yield from _sum(sources, areas, grid, config, kind)
    domains, parts = _by_domain(groups)
    for message in brightness_warnings(domains, [part.mean for part in parts], config):
        yield Progress(total, total, message, warning=True)
    yield Progress(total, total, "finding the components")
    with one_blas_thread():
        projection = _decompose(domains, parts, grid, config, names)
    if kind == np.float32 and projection.variance[-1] < _SINGLE * projection.variance[0] * max(moments.offset for moments, _ in groups.values()):
        yield Progress(message="the last components are near the rounding of single precision: summing again in double")
        groups = yield from _sum(sources, areas, grid, config, np.float64)
        with one_blas_thread():
            projection = _decompose(*_by_domain(groups), grid, config, names)
    return projection


def _precision(sources: Sequence[Source], areas: Sequence[NDArray[np.bool_]], config: PcaConfig) -> type[np.floating]:
    """Return what to sum spectra in: float32 where they are many and, by the first of them, every component lies far above its rounding.

    The rounding is about ``2⁻²⁴ √(b / n)`` of the largest variance for n spectra summed in blocks of b, and a variance is known to ``√(2 / n)`` of
    itself from n spectra: for components above `_SINGLE` the rounding is a tenth of what chance leaves open.
    """
    exact = all(np.can_cast(source.cube.dtype, np.float32) for source in sources)
    if config.method == "mnf" or config.scale == "snv" or not exact or sum(int(area.sum()) for area in areas) < _MANY:
        return np.float64
    with one_blas_thread():
        sample = first_spectra(sources[0].cube, areas[0], band_use(sources[0].cube), every=8)
        if len(sample) <= config.components:
            return np.float64
        sample -= sample.mean(axis=0)
        if config.scale == "standardise":
            sample /= np.where((spread := sample.std(axis=0)) > 0, spread, 1)
        variances = scipy.linalg.eigvalsh(sample.T @ sample)[::-1]
    return np.float32 if variances[: config.components][-1] > _SINGLE * variances[0] else np.float64


def _sum(sources: Sequence[Source], areas: Sequence[NDArray[np.bool_]], grid: Spectra, config: PcaConfig, kind: type[np.floating]) -> Steps[_Sums]:
    """Sum the spectra of all cubes by domain and way of resampling, each group in its own bands, and return the sums with the way to the grid."""
    groups: _Sums = {}
    total, before = sum(int(area.sum()) for area in areas), 0
    for source, area in zip(sources, areas, strict=True):
        use = band_use(source.cube)
        matrix = resampling_matrix(_bands(source.cube, config.grid), grid, config.grid, bad=~use)[:, use]
        if config.scale == "snv":
            moments, _ = groups.setdefault((source.domain, b""), (Moments(config.bands), None))
        else:
            moments, _ = groups.setdefault((source.domain, matrix.tobytes()), (Moments(matrix.shape[1]), matrix))
        count = moments.count
        pairs = source.area if config.method == "mnf" else None
        transform = _snv_on(matrix) if config.scale == "snv" else None
        alike = alike_neighbours(source.cube, area, use, transform) if config.edges == "skip" else None
        for done in accumulate(source.cube, area, moments, transform, use, pairs, alike, kind):
            yield Progress(before + done, total, f"reading {source.name}")
        if moments.count == count:
            raise CubeError(
                f"cube '{source.name}' has no measured pixel in its mask: each holds the ignore value or a band that is no number; "
                "mark such bands as bad in the header, or remove the cube."
            )
        before += int(area.sum())
    return groups


def _by_domain(groups: _Sums) -> tuple[tuple[str, ...], list[Statistics]]:
    domains = tuple(sorted({domain for domain, _ in groups}))
    with one_blas_thread():
        return domains, [join([moments.statistics(matrix) for (domain, _), (moments, matrix) in groups.items() if domain == name]) for name in domains]


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more cubes"


def _decompose(domains: tuple[str, ...], parts: list[Statistics], grid: Spectra, config: PcaConfig, names: str) -> Projection:
    means = np.array([part.mean for part in parts])
    spreads = np.array([_spread(part) for part in parts])
    scaled = [part.scaled(*by) for part, *by in zip(parts, means, spreads, strict=True)] if config.scale == "standardise" else parts
    pixels = sum(part.count for part in parts)
    weights = [pixels / (len(parts) * part.count) for part in parts] if config.weights == "domain" else None
    whole = join(scaled, weights)
    if whole.count <= config.components:
        raise CubeError(
            f"{names}: {int(whole.count)} measured pixels are too few for {config.components} components; mask more pixels or use fewer --components."
        )
    if np.trace(whole.scatter) <= 1e-24 * whole.count * (whole.mean @ whole.mean + np.finfo(float).tiny):
        raise CubeError(f"{names}: every masked pixel has the same spectrum, expected differences; check the masks and the files.")
    if config.method == "mnf":
        components, variance, total = mnf(whole, config.components, names)
        patterns = whole.scatter / (whole.count - 1) @ components.T / variance
    else:
        components, variance, total = pca(whole, config.components)
        patterns = components.T
    return Projection(
        mean=whole.mean,
        components=components,
        variance=variance,
        grid=grid,
        total_variance=total,
        grid_kind=config.grid,
        method=config.method,
        scaling=config.scale,
        domains=domains,
        domain_mean=means,
        domain_std=spreads,
        domain_pixels=np.array([part.count for part in parts], dtype=np.int64),
        patterns=patterns,
    )


def project_cube(projection: Projection, source: Source, out: NDArray[np.float16] | None = None) -> Steps[NDArray[np.float16]]:
    """Project every measured pixel of a cube, inside and outside its area (patches need the background too).

    Parameters
    ----------
    projection : Projection
    source : Source
        Its area plays no part.
    out : float16 array (y, x, k), optional
        Where to write, a memory map for instance, so that no more than a few rows are held.

    Returns
    -------
    float16 array (y, x, k)
        Scores divided by `Projection.scale`, within ±60000; NaN where the pixel was not measured.

    Raises
    ------
    ConfigError
        When the projection does not know the cube's domain though it standardises by domain, or has a grid in nm and the cube
        no wavelengths.
    """
    height, width, _ = source.cube.shape
    k = len(projection.components)
    use = band_use(source.cube)
    bands = _bands(source.cube, projection.grid_kind, source.name)
    matrix = resampling_matrix(bands, projection.grid, projection.grid_kind, bad=~use)[:, use]
    with one_blas_thread():
        scores_of = _scores_of(projection, matrix, source, _on_bands(projection, source, bands)[use])
    scores = np.empty((height, width, k), dtype=np.float16) if out is None else out

    def project(chunk: Chunk) -> tuple[Chunk, NDArray[np.float16]]:
        with np.errstate(invalid="ignore", over="ignore"):
            found, count = scores_of(chunk.spectra), (chunk.last - chunk.first) * width
            if not (numbers := finite(found)).all():
                found[~numbers] = np.nan
        np.clip(found, -_LARGEST_SCORE, _LARGEST_SCORE, out=found)
        part = found.astype(np.float16)
        if len(part) < count:
            measured, part = part, np.full((count, k), np.nan, dtype=np.float16)
            part[chunk.pixels - chunk.first * width] = measured
        return chunk, part.reshape(-1, width, k)

    kind = np.float64 if projection.scaling == "snv" else None
    for chunk, part in map_chunks(source.cube, np.ones((height, width), dtype=bool), project, use, kind, passing=True):
        scores[chunk.first : chunk.last] = part
        yield Progress(chunk.last * width, height * width, f"projecting {source.name}")
    return scores


def _on_bands(projection: Projection, source: Source, bands: int | Spectra) -> Spectra:
    """Return about what a mean spectrum of the cube is, in its own bands (B,)."""
    mean = projection.mean
    if projection.scaling == "standardise" and source.domain in projection.domains:
        mean = projection.domain_mean[projection.domains.index(source.domain)]
    places = np.linspace(0, 1, bands) if isinstance(bands, int) else bands
    return np.interp(places, projection.grid, mean)


def _scores_of(projection: Projection, matrix: Spectra, source: Source, near: Spectra) -> Callable[[Spectra], Spectra]:
    """Fold everything linear into one matrix (B, k) and one offset (k,).

    What is projected is the difference from ``near`` (B,), a spectrum close to the mean: so float32 is enough, however small a component
    is beside the mean.
    """
    if projection.scaling == "snv":
        components = (projection.components / projection.scale[:, None]).T
        snv, centre = _snv_on(matrix), projection.mean @ components
        return lambda spectra: snv(spectra) @ components - centre
    whole, offset = _linear(projection, matrix, source.domain, f"cube '{source.name}'")
    middle, weights = near.astype(np.float32), whole.astype(np.float32)
    rest = (offset - middle @ whole).astype(np.float32)

    own = threading.local()

    def scores(spectra: Spectra) -> Spectra:
        room: Spectra | None = getattr(own, "room", None)
        if room is None or len(room) < len(spectra):
            own.room = room = np.empty(spectra.shape, np.float32)
        apart = np.subtract(spectra, middle, out=room[: len(spectra)], casting="same_kind")
        found: Spectra = apart @ weights
        found -= rest
        return found

    return scores


def _linear(projection: Projection, matrix: Spectra, domain: str, who: str) -> tuple[Spectra, Spectra]:
    """Return the matrix (B, k) and the offset (k,) of a projection without SNV: stored score = spectrum @ matrix − offset."""
    components = (projection.components / projection.scale[:, None]).T
    offset = projection.mean @ components
    if projection.scaling == "standardise":
        if domain not in projection.domains:
            known = ", ".join(projection.domains)
            raise ConfigError(f"{who}: domain '{domain}' was not in the PCA, which standardises by domain ({known}); fit the PCA again.")
        number = projection.domains.index(domain)
        components = components / projection.domain_std[number][:, None]
        offset = offset + projection.domain_mean[number] @ components
    whole = matrix.T @ components
    whole[:, ~projection.signal], offset = 0.0, np.where(projection.signal, offset, 0.0)
    return whole, offset


def folded(projection: Projection, domain: str, bands: int, centres: Spectra | None, used: NDArray[np.bool_]) -> tuple[Spectra, Spectra, Spectra, Spectra]:
    """Return a projection as filters over the bands of one camera, with the mean and the spread of each band.

    Parameters
    ----------
    projection : Projection
    domain : str
    bands : int
        Of the camera, the unused ones too.
    centres : array (bands,), optional
        Their wavelengths in nm.
    used : bool array (bands,)
        B of them are used.

    Returns
    -------
    weights, offset : arrays (B, k), (k,)
        Stored score = spectrum @ weights − offset.
    mean, spread : arrays (B,)
        Of the domain, or of all domains where the projection does not know it.

    Raises
    ------
    ConfigError
        When the projection takes standard normal variates, which no filter over bands gives; when its grid is in nm and the camera has no
        wavelengths; or when it standardises by domain and does not know this one.
    """
    if projection.scaling == "snv":
        raise ConfigError("a learned inlet cannot start as a PCA with scale 'snv', which is not linear; fit the PCA with scale 'standardise' or 'none'.")
    by_wavelength = projection.grid_kind == "wavelength"
    if by_wavelength and centres is None:
        raise ConfigError(f"domain '{domain}' has no wavelengths, but the PCA's grid is in nm; fit the PCA with grid 'index'.")
    places = np.linspace(0, 1, bands) if centres is None or not by_wavelength else centres
    matrix = resampling_matrix(places if by_wavelength else bands, projection.grid, projection.grid_kind, bad=~used)[:, used]
    if domain in projection.domains:
        number = projection.domains.index(domain)
        mean, spread = projection.domain_mean[number], projection.domain_std[number]
    else:
        mean, spread = projection.domain_mean.mean(axis=0), projection.domain_std.mean(axis=0)
    on_bands = (np.interp(places[used], projection.grid, values) for values in (mean, spread))
    with one_blas_thread():
        return *_linear(projection, matrix, domain, f"domain '{domain}'"), *on_bands


def _snv_on(matrix: Spectra) -> Callable[[Spectra], Spectra]:
    """Return the standard normal variate on the grid: per spectrum, minus its mean, over its standard deviation."""

    def transform(spectra: Spectra) -> Spectra:
        values = spectra @ matrix.T
        values -= values.mean(axis=1, keepdims=True)
        spread = np.sqrt(np.mean(values**2, axis=1, keepdims=True))
        return np.asarray(np.divide(values, spread, out=np.zeros_like(values), where=spread > 0))  # a flat spectrum has no shape

    return transform


def _spread(part: Statistics) -> Spectra:
    """Return the standard deviation (G,); 1 where a band is dead, so that it stays zero after centring."""
    variance = np.clip(np.diag(part.scatter), 0, None) / max(part.count - 1, 1)
    dead = variance <= (1e-9 * np.abs(part.mean)) ** 2
    return np.where(dead, 1.0, np.sqrt(variance))


def _bands(cube: xr.DataArray, grid: Grid, name: str | None = None) -> int | Spectra:
    centres = wavelengths(cube) if grid == "wavelength" else None
    if centres is None and grid == "wavelength" and name is not None:
        raise ConfigError(f"cube '{name}' has no wavelengths, but the PCA's grid is in nm; add them to its header or fit the PCA with --grid index.")
    return int(cube.shape[2]) if centres is None else centres
