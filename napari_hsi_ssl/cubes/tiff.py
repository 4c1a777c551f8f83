"""TIFF and GeoTIFF cubes, bands first or last."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np
import tifffile
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl import limits
from napari_hsi_ssl.cubes.lazy import DECODED, Index, MappedFile, Source, StoredArray, build_cube
from napari_hsi_ssl.cubes.spectral_units import from_band_names, stated_quantity, to_nm
from napari_hsi_ssl.errors import DAMAGE, ChoiceError, CubeError, HsiWarning
from napari_hsi_ssl.files import Bounded

GEOTAGS: Final = (33550, 33922, 34264, 34735, 34736, 34737)
"""Pixel scale, tie points, transformation, and the three tags of GeoTIFF keys: what places an image on the earth."""

_GDAL_METADATA, _GDAL_NODATA = 42112, 42113
_METADATA_BYTES = 32 * 2**20
_LARGEST_CROP = 128
_UNFOLDS: Final = {1: 8, 5: 4096, 8: 1100, 32773: 128, 32946: 1100}
"""How many bytes may come of one, by TIFF's numbers of packings: as it is (bits as bytes), LZW, deflate, PackBits."""
_UNFOLDS_AT_MOST = 65536
_KEPT_BYTES = 128 * 2**20
_SPATIAL = {"Y", "X"}
_UNSPECIFIED = {"Q", "I"}


def with_pages(path: Path) -> tifffile.TiffFile:
    """Open a TIFF file and count its pages, which finds those that lead back to earlier ones: a walk from page to page would never end."""
    file = tifffile.TiffFile(path)
    try:
        len(file.pages)
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file; whatever goes wrong is one sentence.

    Raises
    ------
    CubeError
        When the file is no TIFF or is damaged.
    """
    try:
        with with_pages(path) as file:
            yield file
    except DAMAGE as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise CubeError(f"{path} cannot be read as a TIFF ({reason}), expected a whole TIFF file; save it again or restore it from a copy.") from error


def _cube_series(file: tifffile.TiffFile) -> list[int]:
    return [number for number, series in enumerate(file.series) if len(_squeezed(series)) == 3 and np.dtype(series.dtype).kind in "iuf"]


def _squeezed(series: tifffile.TiffPageSeries) -> tuple[int, ...]:
    """Return the shape without axes of length 1 beyond three."""
    shape = tuple(int(side) for side in series.shape)
    if len(shape) > 3:
        shape = tuple(side for side in shape if side > 1)
    return shape


def cube_names(path: Path) -> tuple[str, ...]:
    """Return the numbers of the images in a file that have three axes; a file that is cut off is an error."""
    with opened(path) as file:
        numbers = _cube_series(file)
        for number in numbers:
            check_whole(path, file, file.series[number])
        return tuple(map(str, numbers))


def check_whole(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
    """Raise `CubeError` when an image ends behind the end of its file, or claims more than its packed parts can unfold to."""
    last = series.pages[-1] or series.keyframe
    if series.dataoffset is not None:
        expected = series.dataoffset + series.nbytes
    else:
        expected = max((start + count for start, count in zip(last.dataoffsets, last.databytecounts, strict=False)), default=0)
    if expected > file.filehandle.size:
        raise CubeError(f"{path} is cut off: {file.filehandle.size} bytes found, at least {expected} expected; copy it again.")
    page = series.keyframe
    if math.prod(page.chunked) > len(page.dataoffsets):
        raise CubeError(f"{path} lists {len(page.dataoffsets)} parts of an image, expected {math.prod(page.chunked)} for its size; copy it again.")
    parts = [count for count in last.databytecounts if count]  # GDAL leaves out parts that hold nothing
    claimed = min(len(parts) * math.prod(page.chunks) * np.dtype(series.dtype).itemsize, int(page.nbytes)) if series.dtype is not None else 0
    if claimed > sum(parts) * _UNFOLDS.get(int(page.compression), _UNFOLDS_AT_MOST):
        raise CubeError(f"{path} claims {claimed:,} bytes in each image, but holds {sum(parts):,} of it packed, which is too little; copy it again.")


def is_picture(path: Path) -> bool:
    """Tell whether a TIFF says that it is a colour picture (RGB)."""
    with opened(path) as file:
        page = file.pages.first
        return bool(page.photometric == tifffile.PHOTOMETRIC.RGB and page.samplesperpixel in {3, 4})


def describe(path: Path) -> str:
    """Return the shapes of a file's images, for messages."""
    with opened(path) as file:
        return ", ".join(str(tuple(series.shape)) for series in file.series) or "no image"


def read_tiff(path: Path, key: str | None = None, shape: tuple[int, int, int] | None = None, name: str | None = None) -> xr.DataArray:
    """Open a TIFF cube (y, x, band): memory-mapped where its numbers lie plain in the file, else unpacked tile by tile as it is read.

    The band axis is, in this order: the axis that ``shape`` leaves; the samples of a pixel (planar or not); channels that an
    ImageJ, OME or tifffile description names; the axis whose length is the number of bands in the GDAL metadata. Where nothing
    is said, rows and columns are the two neighbouring axes that are most alike (a Python program may well have written a cube
    (y, x, band) as y pages); where the smallest axis speaks against that, it is the bands of scenes of more than 128 pixels a
    side, and a warning says so.

    GDAL's SCALE and OFFSET are kept as the attributes ``gdal_scale`` and ``gdal_offset`` and, as in GDAL, not applied.
    """
    with opened(path) as file:
        numbers = _cube_series(file)
        if key is not None:
            if not key.isdecimal() or int(key) not in numbers:
                raise CubeError(f"{path} holds no image '{key}' of three axes, only {', '.join(map(str, numbers)) or 'none'}; choose one of them.")
            numbers = [int(key)]
        if not numbers:
            shapes = ", ".join(str(tuple(series.shape)) for series in file.series)
            raise CubeError(f"{path} holds no image of three axes ({shapes}), expected a cube (y, x, band); choose another file.")
        if len(numbers) > 1:
            raise ChoiceError(path, tuple(map(str, numbers)))
        series = file.series[numbers[0]]
        check_whole(path, file, series)
        page = series.keyframe
        metadata = _metadata(file, page)
        array_shape = _squeezed(series)
        axis, stated = _band_axis(path, series, array_shape, metadata, shape)
        rest = [index for index in range(3) if index != axis]
        axes = (rest[0], rest[1], axis)
        if shape is not None and tuple(array_shape[index] for index in axes) != tuple(shape):
            raise CubeError(f"{path} has shape {array_shape}, but the given shape is {tuple(shape)} (y, x, band); correct --shape.")
        dtype = np.dtype(series.dtype)
        offset = _plain_offset(series)
        source: Source
        if offset is not None:
            order = dtype if dtype.itemsize == 1 else dtype.newbyteorder(file.byteorder)
            first, second, third = array_shape
            source = MappedFile(path, order, offset, (first, second, third), axes)
        else:
            piece = int(np.prod([*series.keyframe.chunks], dtype=object)) * dtype.itemsize
            limits.require_memory(path, piece, "a tile")  # tifffile unpacks no tile to more than it should have
            source = TiffArray(path, str(numbers[0]), array_shape, dtype, axes, tuple(int(side) for side in series.shape))
        geotags = {code: (int(tag.dtype), int(tag.count), tag.value) for code in GEOTAGS if (tag := page.tags.get(code)) is not None}
        description = page.description or None
    bands = array_shape[axis]
    per_band = metadata.pop("per_band")
    return build_cube(
        source,
        path=path,
        name=name,
        layout=("band last" if axis == 2 else "band first" if axis == 0 else "band between") + ("" if stated else " (guessed)"),
        wavelength=_if_fits(metadata.pop("wavelength"), bands),
        per_band={label: _if_fits(values, bands) for label, values in per_band.items()},
        quantity=stated_quantity(description, metadata.pop("words")),
        geotags=geotags or None,
        description=description,
        **{label: value for label, value in metadata.items() if label != "count"},
    )


@dataclass(frozen=True)
class TiffArray(StoredArray):
    """An image of a TIFF file that is packed or tiled; only the parts that are wanted are unpacked.

    Attributes
    ----------
    full_shape : tuple of int
        As the file has it, with axes of length 1.
    """

    full_shape: tuple[int, ...]

    def __getitem__(self, key: tuple[Index, Index, Index]) -> NDArray[Any]:
        """Read a part (y, x, band)."""
        stamp = ("tiff", str(self.path), self.path.stat().st_mtime_ns, self.key)
        whole = DECODED.peek(stamp)
        spectra = np.arange(self.shape[2])[key[2]].size * 2 > self.shape[2]
        if whole is None and spectra and int(np.prod(self.file_shape)) * self.dtype.itemsize <= _KEPT_BYTES:
            # A spectrum needs a tile of every band, so the next one hardly costs more than this one when all are kept.
            whole = DECODED.get(stamp, lambda: self.read((slice(None),) * 3))
        if whole is not None:
            return np.array(whole.transpose(self.axes)[key])  # what is kept must not be written to
        return super().__getitem__(key)

    def read(self, spans: tuple[slice, ...]) -> NDArray[Any]:
        """Unpack a part of the file, in the order of its axes."""
        import zarr

        kept = iter(spans)
        plain = len(self.full_shape) <= 3
        index = tuple(next(kept) if plain or side > 1 else 0 for side in self.full_shape)
        try:
            # Opening the file anew costs a millisecond, needs no open file and survives pickling to another process.
            with Bounded(self.path) as stream, tifffile.TiffFile(stream) as file, file.series[int(self.key)].aszarr(level=0) as store:
                return np.asarray(zarr.open_array(store, mode="r")[index], dtype=self.dtype)
        except Exception as error:  # every codec raises errors of its own on damaged data
            reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
            raise CubeError(f"{self.path} cannot be read as a TIFF ({reason}), expected a whole TIFF file; save it again or restore it from a copy.") from error


def nodata_of(page: tifffile.TiffPage) -> float | None:
    """Return the value that GDAL's tag says means "not measured", or None."""
    tag = page.tags.get(_GDAL_NODATA)
    return _float(str(tag.value).strip("\x00 ")) if tag is not None else None


def _band_axis(
    path: Path, series: tifffile.TiffPageSeries, array_shape: tuple[int, ...], metadata: dict[str, Any], shape: tuple[int, int, int] | None
) -> tuple[int, bool]:
    """Return which axis holds the bands and whether the file (or the user) says so."""
    if shape is not None:
        for axis in (2, 0, 1):
            rest = [array_shape[index] for index in range(3) if index != axis]
            if (rest[0], rest[1], array_shape[axis]) == tuple(shape):
                return axis, True
        raise CubeError(f"{path} has shape {array_shape}, but the given shape is {tuple(shape)} (y, x, band); correct --shape.")
    kept = [axis for axis, side in zip(series.axes, series.shape, strict=True) if side > 1 or len(series.shape) <= 3]
    other = [index for index, axis in enumerate(kept) if axis not in _SPATIAL]
    if len(other) == 1 and kept[other[0]] not in _UNSPECIFIED:
        return other[0], True
    count = metadata["count"]
    if count is not None and array_shape.count(count) == 1:
        return array_shape.index(count), True
    first, second, third = array_shape
    if other and kept[other[0]] == "I":
        # Single pages, written one by one, are bands, unless rows and columns show that each page is one row of the image.
        return (2 if first == second != third else 0), False
    # Two equal sides are a square image; else rows and columns are the two that are most alike.
    likeness = {2: abs(np.log(first / second)), 0: abs(np.log(second / third))}
    alike = min((0, 2), key=lambda axis: likeness[axis])
    smallest = int(np.argmin(array_shape))
    if 0 in (likeness[0], likeness[2]) or smallest in {alike, 1}:
        return alike, False
    # Crops have more bands than rows or columns, scenes fewer.
    small = max(side for axis, side in enumerate(array_shape) if axis != alike) <= _LARGEST_CROP
    taken = alike if small else smallest
    message = (
        f"{path} does not say which of its axes {array_shape} holds the bands; the {('first', '', 'last')[taken]} is taken, with {array_shape[taken]} bands: "
        "give --shape Y,X,B if that is wrong."
    )
    warnings.warn(message, HsiWarning, stacklevel=4)
    return taken, False


def _plain_offset(series: tifffile.TiffPageSeries) -> int | None:
    """Return where the numbers begin if they lie in one plain block in the file."""
    if series.dataoffset is not None:
        return int(series.dataoffset)
    page = series.keyframe
    # tifffile gives no offset for blocks that are not aligned to the item size, which NumPy maps all the same.
    if len(series.pages) != 1 or page.compression != 1 or page.predictor not in {0, 1} or page.is_tiled or page.fillorder != 1 or page.bitspersample % 8:
        return None
    starts, counts = np.asarray(page.dataoffsets, dtype=np.int64), np.asarray(page.databytecounts, dtype=np.int64)
    if starts.size == 0 or np.any(starts[1:] != starts[:-1] + counts[:-1]) or counts.sum() != series.size * np.dtype(series.dtype).itemsize:
        return None
    return int(starts[0])


def _metadata(file: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, Any]:
    """Return what GDAL's tags and a JSON description say: wavelength (nm), per_band, count, nodata, words, scale and offset."""
    samples: dict[str, dict[int, str]] = {}
    common: dict[str, str] = {}
    tag = page.tags.get(_GDAL_METADATA)
    if tag is not None and isinstance(tag.value, str) and len(tag.value) < _METADATA_BYTES:
        for item in _items(tag.value):
            label = item.get("name", "").lower()
            number = item.get("sample", "")
            if number.isdecimal():
                samples.setdefault(label, {})[int(number)] = item.text or ""
            else:
                common[label] = item.text or ""
    shaped: Any = file.shaped_metadata
    described: dict[str, Any] = shaped[0] if shaped else {}
    wavelength, factor = _wavelength(samples, common, described)
    fwhm = _vector(samples.get("fwhm")) or _listed(common.get("fwhm"))
    bad = _vector(samples.get("bbl")) or _listed(common.get("bbl"))
    scale, offset = _vector(samples.get("scale")), _vector(samples.get("offset"))
    return {
        "wavelength": wavelength,
        "per_band": {
            "fwhm": None if fwhm is None else np.asarray(fwhm) * factor,
            "bad_bands": None if bad is None else np.asarray(bad) == 0,
        },
        "count": len(wavelength) if wavelength is not None else max((max(numbers) + 1 for numbers in samples.values()), default=None),
        "nodata": nodata_of(page),
        "words": " ".join([*common.values(), *samples.get("unittype", {}).values(), str(described.get("quantity", ""))]),
        "gdal_scale": scale[0] if scale and len(set(scale)) == 1 and scale[0] != 1 else None,
        "gdal_offset": offset[0] if offset and len(set(offset)) == 1 and offset[0] != 0 else None,
    }


def _items(xml: str) -> Iterator[ElementTree.Element]:
    # GDAL writes no document type; without one the parser expands no entities.
    if "<!" in xml:
        return iter(())
    try:
        return ElementTree.fromstring(xml.strip("\x00 ")).iter("Item")
    except ElementTree.ParseError:
        return iter(())


def _wavelength(samples: dict[str, dict[int, str]], common: dict[str, str], described: dict[str, Any]) -> tuple[NDArray[np.float64] | None, float]:
    """Return band centres in nm and the factor from the file's unit to nm."""
    for label, unit in (("wavelength", None), ("wavelengths", None), ("central_wavelength_um", "um"), ("central_wavelength_nm", "nm")):
        values = _vector(samples.get(label)) or _listed(common.get(label))
        if values and values[0]:
            given = unit or (samples.get("wavelength_units") or {}).get(0) or common.get("wavelength_units") or common.get("wavelength units")
            stated = np.asarray(values, dtype=np.float64)
            names = tuple(text for _, text in sorted(samples.get("description", {}).items()))
            centres = to_nm(stated, given, names)
            return centres, 1.0 if centres is None else float(centres[0] / stated[0])
    if isinstance(described.get("wavelength"), list):
        try:
            return np.asarray(described["wavelength"], dtype=np.float64), 1.0
        except (TypeError, ValueError):
            return None, 1.0
    names = tuple(text for _, text in sorted(samples.get("description", {}).items()))
    return from_band_names(names), 1.0


def _vector(values: dict[int, str] | None) -> list[float] | None:
    if not values or sorted(values) != list(range(len(values))):
        return None
    numbers = [_float(values[number]) for number in range(len(values))]
    return [number for number in numbers if number is not None] if None not in numbers else None


def _listed(text: str | None) -> list[float] | None:
    items = [_float(item) for item in re.split(r"[,\s]+", text.strip(" {}[]\n"))] if text else []
    return [item for item in items if item is not None] if items and None not in items else None


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _if_fits(values: NDArray[Any] | None, bands: int) -> NDArray[Any] | None:
    """Drop a list that belongs to another number of bands: metadata that a crop of the bands left behind."""
    return values if values is not None and len(values) == bands else None
