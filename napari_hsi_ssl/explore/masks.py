"""Which pixels of a cube are the object: thresholds, spectral angle, polygons, and cleaning up after them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.draw import polygon2mask
from skimage.filters import threshold_otsu

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.cube import band_image, nearest_band, row_blocks
from napari_hsi_ssl.errors import ConfigError, CubeError
from napari_hsi_ssl.explore.clusters import Clusters, assign, fit_clusters, foreground_clusters
from napari_hsi_ssl.explore.regions import angle_image, grow, pixel_spectra
from napari_hsi_ssl.explore.sources import band_use
from napari_hsi_ssl.progress import Progress, Steps, run

Mask = NDArray[np.bool_]


def find_mask(
    cube: xr.DataArray,
    config: MaskConfig,
    area: Mask | None = None,
    pc1: NDArray[np.floating] | None = None,
    *,
    references: NDArray[np.floating] | None = None,
    clusters: Clusters | None = None,
    given: Mask | None = None,
) -> Steps[Mask]:
    """Find the foreground of a cube by a rule.

    Parameters
    ----------
    cube : DataArray (y, x, band)
        Read a few rows at a time, and only where ``area`` lies.
    config : MaskConfig
        With ``method="otsu"`` the foreground is what lies above the threshold (Otsu 1979), or at most at it with
        ``keep="dark"``. ``low`` and ``high`` are in the units of the source image. With ``method="angle"`` a pixel near any of
        the references is foreground.
    area : bool array (y, x), optional
        Where to look, the crop for instance; the whole frame by default.
    pc1 : array (y, x), optional
        First component, for ``source="pc1"``; NaN where not measured.
    references : array (n, band), optional
        For ``method="angle"``, instead of the cube's own pixels ``at``.
    clusters : Clusters, optional
        For ``method="kmeans"``, instead of the cube's own.
    given : bool array (y, x), optional
        What ``method`` "labels", "saved" or "file" stands for.

    Returns
    -------
    bool array (y, x)
        Never True outside ``area`` or where the cube was not measured. Inverted, filled and freed of specks in this order; what was
        pointed at ("grow", "labels", "saved", "file", "all") is only inverted, and clusters keep their holes.

    Raises
    ------
    ConfigError
        When the rule lacks a setting or names a band, pixel or cluster that is not there.
    CubeError
        When the image to be thresholded is constant or nothing in it was measured.
    """
    shape = (int(cube.shape[0]), int(cube.shape[1]))
    if area is None:
        area = np.ones(shape, dtype=bool)
    if area.shape != shape:
        raise CubeError(f"mask of {cube.name}: the area has shape {area.shape}, expected {shape} (y, x); use one made for this cube.")
    if not area.any():
        return np.zeros(shape, dtype=bool)
    if config.method == "angle":
        if references is None:
            references = pixel_spectra(cube, config.at)
        angles = yield from angle_image(cube, references, area)
        return cut_angles(angles, config)
    if config.method == "kmeans":
        return (yield from _by_clusters(cube, config, area, clusters))
    if config.method == "grow":
        region = yield from grow(cube, config, area)
        return region ^ area if config.invert else region
    if config.method in {"labels", "saved", "file"}:
        if given is None or given.shape != shape:
            raise ConfigError(f"mask of {cube.name}: method '{config.method}' was given no mask of shape {shape} (y, x), expected one; give it.")
        return (given ^ config.invert) & area
    return (yield from _by_image(cube, config, area, pc1))


def _by_image(cube: xr.DataArray, config: MaskConfig, area: Mask, pc1: NDArray[np.floating] | None) -> Steps[Mask]:
    """Threshold an image of the cube, or keep all that was measured."""
    result = np.zeros(area.shape, dtype=bool)
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    box = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    bright, measured = yield from _brightness(cube[box])
    allowed = area[box] & measured
    if not allowed.any():
        raise CubeError(
            f"mask of {cube.name}: no pixel was measured in every band (ignore value or numbers that are not finite); mark bad bands in the header."
        )
    if config.method == "all":
        result[box] = allowed & (not config.invert)
        return result
    image = bright if config.source == "brightness" else _image(cube, config, pc1)[box]
    mask = _threshold(image, allowed & np.isfinite(image), config, f"mask of {cube.name}")
    allowed &= np.isfinite(image)
    result[box] = clean_mask(mask, allowed, invert=config.invert, fill_holes=config.fill_holes, drop_specks=config.drop_specks)
    return result


def cut_angles(angles: NDArray[np.floating], config: MaskConfig) -> Mask:
    """Return the mask (y, x) of what `regions.angle_image` found, at the rule's largest angle: no pass over the cube."""
    return clean_mask(
        angles <= config.max_angle, ~np.isnan(angles), invert=config.invert, fill_holes=config.fill_holes, drop_specks=config.drop_specks
    )  # fmt: skip


def cut_clusters(numbers: NDArray[np.integer], chosen: Sequence[int], config: MaskConfig) -> Mask:
    """Return the mask (y, x) of some of the clusters that `clusters.assign` found.

    Holes stay: background that was named inside an object would be filled again.
    """
    return clean_mask(np.isin(numbers, list(chosen)), numbers >= 0, invert=config.invert, drop_specks=config.drop_specks)


def _by_clusters(cube: xr.DataArray, config: MaskConfig, area: Mask, clusters: Clusters | None) -> Steps[Mask]:
    if clusters is None:
        clusters = yield from fit_clusters(cube, config.clusters, features=config.features, area=area, seed=config.seed)
    chosen = foreground_clusters(clusters.count, config.background, config.foreground, clusters.background(), str(cube.name))
    numbers = yield from assign(cube, clusters, area)
    return cut_clusters(numbers, chosen, config)


def combine(mask: Mask | None, new: Mask, how: str, area: Mask | None = None) -> Mask:
    """Return what becomes of a mask (y, x) when a new one is found: ``replace``, ``add``, ``intersect`` or ``subtract``.

    Parameters
    ----------
    mask : bool array (y, x) or None
        The mask that is there. Without one, a cube is used as a whole: that is what is intersected with or subtracted from, while
        ``add`` adds to nothing.
    new : bool array (y, x)
    how : str
    area : bool array (y, x), optional
        What "the whole" means, the crop for instance.
    """
    if how == "replace" or (how == "add" and mask is None):
        return new
    whole = np.ones_like(new) if area is None else area
    old = whole if mask is None else mask
    if how == "add":
        return old | new
    return old & new if how == "intersect" else old & ~new


def verdict(mask: Mask, area: Mask, where: str) -> str:
    """Return one sentence when a mask (y, x) is empty or holds all of an area, what that means and what helps; "" otherwise."""
    if not mask.any():
        return f"the mask of {where} is empty: choose another rule, or it is left out of everything"
    if mask[area].all():
        return f"the mask of {where} holds every pixel, so nothing is background: use stricter limits or another rule, unless the whole image is meant"
    return ""


def _image(cube: xr.DataArray, config: MaskConfig, pc1: NDArray[np.floating] | None) -> NDArray[np.floating]:
    """Return the image (y, x) to be thresholded when it is not the brightness."""
    if config.source == "pc1":
        if pc1 is None:
            raise ConfigError(f"mask of {cube.name}: the source is PC1, but there is no PCA yet; run the PCA first or choose --source brightness.")
        if pc1.shape != cube.shape[:2]:
            raise CubeError(f"mask of {cube.name}: PC1 has shape {pc1.shape}, expected {cube.shape[:2]} (y, x); run the PCA again.")
        return pc1
    if config.wavelength is not None:
        return band_image(cube, nearest_band(cube, config.wavelength))
    if config.band is None:
        raise ConfigError(f"mask of {cube.name}: the source is a band, but none was chosen; give --band N or --wavelength NM.")
    if config.band >= cube.shape[2]:
        raise ConfigError(f"mask of {cube.name}: band {config.band} does not exist, expected 0 to {cube.shape[2] - 1}; give another --band.")
    return band_image(cube, config.band)


def _threshold(image: NDArray[np.floating], allowed: Mask, config: MaskConfig, what: str) -> Mask:
    """Compare an image with its threshold, NaN being outside."""
    if config.method == "threshold":
        if config.low is None and config.high is None:
            raise ConfigError(f"{what}: method 'threshold' has no limit, expected at least one; give --low or --high.")
        low, high = -np.inf if config.low is None else config.low, np.inf if config.high is None else config.high
        if low > high:
            raise ConfigError(f"{what}: --low {low:g} is above --high {high:g}, expected low ≤ high; swap them.")
        return np.asarray((image >= low) & (image <= high))
    values = image[allowed]
    if not values.size or values.min() == values.max():
        found = f"the same value everywhere ({values[0]:g})" if values.size else "no measured pixel"
        raise CubeError(f"{what}: the {config.source} image has {found}, so Otsu finds no threshold; choose another --source or --method threshold.")
    limit = threshold_otsu(values)
    return np.asarray(image > limit if config.keep == "bright" else image <= limit)


def clean_mask(mask: Mask, allowed: Mask | None = None, *, invert: bool = False, fill_holes: bool = False, drop_specks: int = 0) -> Mask:
    """Invert a mask (y, x), fill its holes and drop its specks, in this order.

    Parameters
    ----------
    mask : bool array (y, x)
    allowed : bool array (y, x), optional
        Pixels that may be foreground; the others never become so.
    drop_specks : int
        Objects (joined by their sides) of fewer pixels go.
    """
    allowed = np.ones_like(mask) if allowed is None else allowed
    mask = (~mask if invert else mask) & allowed
    if fill_holes:
        mask = ndimage.binary_fill_holes(mask) & allowed
    if drop_specks > 1:
        objects, count = ndimage.label(mask)
        sizes = np.zeros(count + 1, dtype=np.int64)
        for rows in np.array_split(objects, max(1, objects.size // 2**22)):  # bincount would hold all numbers once more, at eight bytes
            sizes += np.bincount(rows.ravel(), minlength=count + 1)
        large = sizes >= drop_specks
        large[0] = False
        mask = large[objects]
    return np.asarray(mask, dtype=bool)


def polygon_mask(shape: tuple[int, int], vertices: ArrayLike) -> Mask:
    """Return which pixels (y, x) have their centre in a polygon.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    vertices : array (n, 2)
        Corners y, x in pixels, whole numbers being pixel centres, as in a napari Shapes layer. Parts outside are cut off.

    Raises
    ------
    ConfigError
        When there are fewer than three corners or they are not finite.
    """
    corners = np.asarray(vertices, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
        raise ConfigError(f"a polygon has corners of shape {corners.shape}, expected at least 3 finite pairs (y, x); draw it again.")
    return np.asarray(polygon2mask(shape, corners), dtype=bool)


def brightness(cube: xr.DataArray) -> NDArray[np.float32]:
    """Return the mean (y, x) over the bands that are not bad, read a few rows at a time.

    Values that are not finite are left out of a pixel's mean; NaN where nothing was measured.
    """
    return run(_brightness(cube))[0]


def _brightness(cube: xr.DataArray) -> Steps[tuple[NDArray[np.float32], Mask]]:
    """Return the brightness, and which pixels were measured in every band that is not bad."""
    image = np.empty(cube.shape[:2], dtype=np.float32)
    measured = np.ones(cube.shape[:2], dtype=bool)
    used, nodata = band_use(cube), cube.attrs.get("nodata")
    for rows, whole in row_blocks(cube):
        yield Progress(rows.start, cube.shape[0], f"brightness of {cube.name}")
        block = whole if used.all() else whole[..., used]
        with np.errstate(invalid="ignore", over="ignore"):
            mean = block.mean(axis=-1, dtype=np.float64)
        holes = ~np.isfinite(mean)
        if holes.any():
            values = block[holes].astype(np.float64)
            finite = np.isfinite(values)
            count = finite.sum(axis=1)
            mean[holes] = np.divide(np.where(finite, values, 0).sum(axis=1), count, out=np.full(len(values), np.nan), where=count > 0)
        if nodata is not None:
            ignored = block[..., 0] == nodata
            ignored[ignored] = (block[ignored] == nodata).all(axis=-1)
            mean[ignored] = np.nan
            holes |= ignored
        image[rows], measured[rows] = mean, ~holes
    return image, measured
