"""Folders that hold one image a band: which files they are, in which order, at which wavelengths."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
import xarray as xr
from numpy.typing import NDArray
from PIL import Image

from napari_hsi_ssl import limits
from napari_hsi_ssl.cubes import tiff
from napari_hsi_ssl.cubes.lazy import DECODED, Index, Shape, build_cube
from napari_hsi_ssl.cubes.spectral_units import guessed_factor, to_nm
from napari_hsi_ssl.errors import DAMAGE, CubeError
from napari_hsi_ssl.files import Bounded

_TIFF: Final = {".tif", ".tiff"}
ENDINGS: Final = {*_TIFF, ".png", ".bmp", ".jpg", ".jpeg", ".jp2"}
_TABLES: Final = ("wavelengths.txt", "wavelengths.csv", "wavelength.txt", "wavelength.csv", "bands.csv", "bands.txt")
_STATED: Final = re.compile(r"(\d+(?:[.,]\d+)?)[\s_-]?(nm|um|µm|μm)(?![a-z])", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_TYPES: Final[dict[str, np.dtype[Any]]] = {"L": np.dtype("u1"), "I;16": np.dtype("u2"), "I;16B": np.dtype("u2"), "I": np.dtype("i4"), "F": np.dtype("f4")}
_READ_ERRORS: Final = (*DAMAGE, Image.DecompressionBombError)
_FEWEST = 8
_SHORTEST_NM = 150.0


def images_of(folder: Path) -> list[Path]:
    """Return the images of a folder in natural order of their names (2 before 10): those of the commonest kind."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()]
    kinds = Counter(path.suffix.lower() for path in found)
    if not kinds:
        return []
    commonest = kinds.most_common(1)[0][0]
    return sorted((path for path in found if path.suffix.lower() == commonest), key=_natural)


def _natural(path: Path) -> tuple[tuple[Any, ...], str]:
    parts = re.split(r"(\d+(?:\.\d+)?)", path.stem)
    return tuple(float(part) if index % 2 else part.lower() for index, part in enumerate(parts)), path.name


def is_band_folder(folder: Path) -> bool:
    """Tell whether a folder that was found, rather than named, is one cube.

    It must hold at least eight images of one band and one size whose names differ in one number alone, so that a folder of
    label images, of many cubes or of photographs is not taken for a cube.
    """
    try:
        images = images_of(folder)
        if len(images) < _FEWEST or _varying(images) is None:
            return False
        first = _Facts.of(images[0])
        # A folder where most images fit is a cube with something wrong, which its reader tells.
        return sum(_fits(path, first) for path in images[1:_FEWEST]) >= _FEWEST // 2
    except (OSError, CubeError):
        return False


def _fits(path: Path, first: _Facts) -> bool:
    try:
        return _Facts.of(path).shape == first.shape
    except CubeError:
        return False


def _varying(images: list[Path]) -> list[float] | None:
    """Return the one number in which the names differ, or None where they differ otherwise."""
    patterns = {_NUMBER.sub("#", path.stem) for path in images}
    if len(patterns) != 1:
        return None
    numbers = np.array([[float(number) for number in _NUMBER.findall(path.stem)] for path in images])
    varying = [column for column in numbers.T if np.unique(column).size > 1]
    if len(varying) != 1 or np.unique(varying[0]).size != len(images):
        return None
    return [float(number) for number in varying[0]]


@dataclass(frozen=True)
class _Facts:
    """What the header of one image tells."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int | None = None

    @classmethod
    def of(cls, path: Path) -> _Facts:
        try:
            if path.suffix.lower() in _TIFF:
                return cls._of_tiff(path)
            with Bounded(path) as stream, Image.open(stream) as image:
                kind = _TYPES.get(image.mode)
                if kind is None:
                    what = "a colour picture" if image.mode in {"RGB", "RGBA", "P", "PA", "CMYK", "YCbCr"} else f"an image of the kind '{image.mode}'"
                    raise CubeError(f"{path} is {what}, expected a grey image of one band; take it out of the folder or convert it.")
                return cls((image.height, image.width), kind)
        except _READ_ERRORS as error:
            raise _damaged(path, error) from error

    @classmethod
    def _of_tiff(cls, path: Path) -> _Facts:
        with tiff.opened(path) as file:
            page = file.pages.first
            if len(file.pages) > 1 and len(file.series) == 1 and len(file.series[0].shape) > 2:
                raise CubeError(
                    f"{path} holds an image of shape {tuple(file.series[0].shape)}, expected one band in each image of the folder; add the file alone."
                )
            if len(page.shape) != 2:
                raise CubeError(f"{path} has shape {tuple(page.shape)}, expected a grey image of one band; take it out of the folder or convert it.")
            dtype = np.dtype(page.dtype) if page.dtype is not None else np.dtype(bool)
            if dtype.kind not in "iuf":
                raise CubeError(f"{path} holds {dtype} values, expected real numbers; convert it first.")
            end = max((start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)
            if end > file.filehandle.size:
                raise CubeError(f"{path} is cut off: {file.filehandle.size} bytes found, at least {end} expected; copy it again.")
            order = dtype if dtype.itemsize == 1 else dtype.newbyteorder(file.byteorder)
            return cls((int(page.shape[0]), int(page.shape[1])), order, page.dataoffsets[0] if page.is_contiguous and page.compression == 1 else None)


def _damaged(path: Path, error: Exception) -> CubeError:
    reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
    return CubeError(f"{path} cannot be read as an image ({reason}), expected a whole image of one band; save it again or restore it from a copy.")


def _decoded(path: Path) -> NDArray[Any]:
    """Return an image (y, x); those decoded last are kept, so that spectra of neighbouring pixels do not unpack every band again."""

    def read() -> NDArray[Any]:
        if path.suffix.lower() in _TIFF:
            with tifffile.TiffFile(path) as file:
                page = file.pages.first
                limits.require_memory(path, int(np.prod([*page.shape], dtype=object)) * np.dtype(page.dtype).itemsize, "its image")
                return np.asarray(page.asarray())
        with Bounded(path) as stream, Image.open(stream) as opened:
            return np.asarray(opened)

    return DECODED.get((str(path), path.stat().st_mtime_ns), read)


@dataclass(frozen=True)
class BandImages:
    """Images of one size, one a band; plain TIFFs are mapped, others decoded when they are read."""

    path: Path
    images: tuple[Path, ...]
    offsets: tuple[int | None, ...]
    dtypes: tuple[np.dtype[Any], ...]
    size: tuple[int, int]

    @property
    def shape(self) -> Shape:
        """Lengths of y, x and band."""
        return self.size[0], self.size[1], len(self.images)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.dtypes[0].newbyteorder("=")

    def __getitem__(self, key: tuple[Index, Index, Index]) -> NDArray[Any]:
        """Read a part (y, x, band)."""
        ys, xs, bands = key
        wanted = np.arange(len(self.images))[bands]
        parts = [self._part(int(band), ys, xs) for band in np.atleast_1d(wanted)]
        if np.ndim(wanted) == 0:
            return parts[0]
        return np.stack(parts, axis=-1) if parts else np.empty((*np.empty(self.size)[ys, xs].shape, 0), self.dtype)

    def _part(self, band: int, ys: Index, xs: Index) -> NDArray[Any]:
        path, offset = self.images[band], self.offsets[band]
        try:
            if offset is not None:
                image: NDArray[Any] = np.memmap(path, self.dtypes[band], "r", offset, self.size)
            else:
                image = _decoded(path)
        except _READ_ERRORS as error:
            raise _damaged(path, error) from error
        if image.shape != self.size:
            raise CubeError(f"{path} has shape {image.shape}, expected {self.size} as when the folder was opened; put the image back.")
        return np.array(image[ys, xs], dtype=self.dtype)  # what is kept must not be written to


def read_bands(folder: Path, name: str | None = None) -> xr.DataArray:
    """Open a folder of band images as a cube (y, x, band), in the natural order of their names.

    Wavelengths come from ``wavelengths.txt`` or ``.csv`` beside the images (one a line, in their order), or from their names
    (``band_450nm.tif``, ``450.5.tif``).

    Raises
    ------
    CubeError
        When there are fewer than two images, one is missing, damaged, coloured, or of another size or type.
    """
    images = images_of(folder)
    if len(images) < 2:
        count = f"{len(images) or 'no'} image{'s' * (len(images) != 1)}"
        raise CubeError(f"{folder} is a folder with {count} of one band, expected a file, a Zarr store or a folder of band images; name the cube in it.")
    facts = [_Facts.of(path) for path in images]
    sizes = Counter(one.shape for one in facts)
    usual = sizes.most_common(1)[0][0]
    kind = Counter(one.dtype.newbyteorder("=") for one in facts).most_common(1)[0][0]
    for path, one in zip(images, facts, strict=True):
        if one.shape != usual:
            message = f"{path} is {one.shape[0]}×{one.shape[1]} pixels and most others in {folder.name} are {usual[0]}×{usual[1]}"
            raise CubeError(f"{message}, expected one size; take it out or resize it.")
        if one.dtype.newbyteorder("=") != kind:
            message = f"{path} holds {one.dtype.newbyteorder('=')} values and most others in {folder.name} hold {kind}"
            raise CubeError(f"{message}, expected one type; convert it or take it out.")
    wavelength = _wavelengths(folder, images)
    if wavelength is None:
        _require_no_gap(folder, images)
    source = BandImages(folder, tuple(images), tuple(one.offset for one in facts), tuple(one.dtype for one in facts), usual)
    geotags, nodata = _place(images[0])
    layout = f"{len(images)} images ({images[0].suffix.lower()})"
    return build_cube(source, path=folder, name=name or folder.name, wavelength=wavelength, nodata=nodata, layout=layout, geotags=geotags)


def _place(path: Path) -> tuple[dict[int, Any] | None, float | None]:
    if path.suffix.lower() not in _TIFF:
        return None, None
    with tiff.opened(path) as file:
        page = file.pages.first
        tags = {code: (int(tag.dtype), int(tag.count), tag.value) for code in tiff.GEOTAGS if (tag := page.tags.get(code)) is not None}
        return tags or None, tiff.nodata_of(page)


def _require_no_gap(folder: Path, images: list[Path]) -> None:
    numbers = _varying(images)
    if numbers is None or len(numbers) < 4:
        return
    steps = np.diff(np.asarray(numbers))
    step = Counter(steps.tolist()).most_common(1)[0][0]
    gaps = np.flatnonzero(steps != step)
    # An irregular numbering says nothing; a regular one with a hole does.
    if step > 0 and gaps.size and gaps.size * 4 <= steps.size and np.allclose(steps[gaps] % step, 0):
        at = int(gaps[0])
        message = f"{folder} holds {images[at].name} and next {images[at + 1].name}, expected an image for number {numbers[at] + step:g} between them"
        raise CubeError(f"{message}; put the missing band there, or write wavelengths.txt.")


def _wavelengths(folder: Path, images: list[Path]) -> NDArray[np.float64] | None:
    for table in _TABLES:
        if (folder / table).is_file():
            return _from_table(folder / table, len(images))
    stated = [_STATED.search(path.stem) for path in images]
    if all(stated):
        values = [float(found[1].replace(",", ".")) for found in stated if found]
        units = {found[2].lower() for found in stated if found}
        return to_nm(np.array(values), units.pop()) if len(units) == 1 else None
    if all(re.fullmatch(r"\d+(\.\d+)?", path.stem) for path in images):
        values = [float(path.stem) for path in images]
        counted = all(value.is_integer() for value in values) and min(values) < _SHORTEST_NM
        if not counted and (min(values) >= _SHORTEST_NM or max(values) < 100):
            return np.asarray(values) * guessed_factor(np.asarray(values))
    return None


def _from_table(path: Path, bands: int) -> NDArray[np.float64]:
    try:
        rows = [row for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig").replace(";", ",").replace("\t", ","))) if row and row[0].strip()]
        heading = [cell.strip().lower() for cell in rows[0]] if rows else []
        column = next((index for index, cell in enumerate(heading) if "wave" in cell or cell in {"nm", "wl", "lambda"}), None)
        unit = "um" if column is not None and re.search(r"µm|μm|\bum\b|_um\b|micro", heading[column]) else None
        if column is None and rows and not _NUMBER.fullmatch(heading[0]):
            column = next((index for index, cell in enumerate(heading) if _NUMBER.fullmatch(cell)), 0)
            rows = rows if any(_NUMBER.fullmatch(cell) for cell in heading) else rows[1:]
        elif column is not None:
            rows = rows[1:]
        values = np.array([float(row[column or 0]) for row in rows])
    except (OSError, ValueError, IndexError) as error:
        raise CubeError(
            f"{path} holds something that is no wavelength ({str(error).rstrip('.')}), expected one number a line; correct or remove it."
        ) from error
    if values.shape != (bands,):
        raise CubeError(
            f"{path} has {values.size} wavelengths and the folder {bands} images, expected one an image; correct the list, or put the missing image back."
        )
    return values * (1e3 if unit else guessed_factor(values))
