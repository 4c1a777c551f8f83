"""Which pixels of a cube are the object: thresholds, spectral angle, polygons, and cleaning up after them."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.draw import polygon2mask
from skimage.filters import threshold_otsu

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.cube import band_image, nearest_band, row_blocks, spectrum
from napari_hsi_ssl.errors import ConfigError, CubeError
from napari_hsi_ssl.explore.sources import band_use
from napari_hsi_ssl.explore.spectra import spectral_angle

Mask = NDArray[np.bool_]


def make_mask(cube: xr.DataArray, config: MaskConfig, area: Mask | None = None, pc1: NDArray[np.floating] | None = None) -> Mask:
    """Find the foreground of a cube by a rule.

    Parameters
    ----------
    cube : DataArray (y, x, band)
        Read a few rows at a time, and only where ``area`` lies.
    config : MaskConfig
        With ``method="otsu"`` the foreground is what lies above the threshold (Otsu 1979), or at most at it with
        ``keep="dark"``. ``low`` and ``high`` are in the units of the source image.
    area : bool array (y, x), optional
        Where to look, the crop for instance; the whole frame by default.
    pc1 : array (y, x), optional
        First component, for ``source="pc1"``; NaN where not measured.

    Returns
    -------
    bool array (y, x)
        Never True outside ``area`` or where the cube was not measured. Inverted, filled and freed of specks in this order;
        ``method="all"`` is taken as it is.

    Raises
    ------
    ConfigError
        When the rule lacks a setting or names a band or pixel that is not there.
    CubeError
        When the image to be thresholded is constant or nothing in it was measured.
    """
    shape = (int(cube.shape[0]), int(cube.shape[1]))
    if area is None:
        area = np.ones(shape, dtype=bool)
    if area.shape != shape:
        raise CubeError(f"mask of {cube.name}: the area has shape {area.shape}, expected {shape} (y, x); use one made for this cube.")
    result = np.zeros(shape, dtype=bool)
    if not area.any():
        return result
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    box = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    part = cube[box]
    reference = _reference(cube, config) if config.method == "angle" else None
    bright, measured = _brightness(part)
    allowed = area[box] & measured
    if not allowed.any():
        raise CubeError(
            f"mask of {cube.name}: no pixel was measured in every band (ignore value or numbers that are not finite); mark bad bands in the header."
        )
    if config.method == "all":
        result[box] = allowed & (not config.invert)
        return result
    if reference is not None:
        mask = spectral_angle(part, reference) <= config.max_angle
    else:
        image = bright if config.source == "brightness" else _image(cube, config, pc1)[box]
        mask = _threshold(image, allowed & np.isfinite(image), config, f"mask of {cube.name}")
        allowed &= np.isfinite(image)
    result[box] = clean_mask(mask, allowed, invert=config.invert, fill_holes=config.fill_holes, drop_specks=config.drop_specks)
    return result


def _reference(cube: xr.DataArray, config: MaskConfig) -> NDArray[np.float32]:
    if config.at is None:
        raise ConfigError(f"mask of {cube.name}: method 'angle' has no reference, expected a pixel Y,X; click one or give --at Y,X.")
    y, x = config.at
    if not (0 <= y < cube.shape[0] and 0 <= x < cube.shape[1]):
        raise ConfigError(f"mask of {cube.name}: pixel {y},{x} lies outside its {cube.shape[0]}×{cube.shape[1]} pixels; give --at Y,X within them.")
    reference = spectrum(cube, y, x)
    nodata, values = cube.attrs.get("nodata"), reference[band_use(cube)]
    if not np.isfinite(values).all() or not values.any() or (nodata is not None and (values == np.float32(nodata)).all()):
        raise ConfigError(f"mask of {cube.name}: pixel {y},{x} was not measured (ignore value, zero or not finite); give another --at Y,X.")
    return reference


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
        objects, _ = ndimage.label(mask)
        large = np.bincount(objects.ravel()) >= drop_specks
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
    return _brightness(cube)[0]


def _brightness(cube: xr.DataArray) -> tuple[NDArray[np.float32], Mask]:
    """Return the brightness, and which pixels were measured in every band that is not bad."""
    image = np.empty(cube.shape[:2], dtype=np.float32)
    measured = np.ones(cube.shape[:2], dtype=bool)
    used, nodata = band_use(cube), cube.attrs.get("nodata")
    for rows, whole in row_blocks(cube):
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
