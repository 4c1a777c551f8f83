"""ENVI files: a text header beside a block of numbers."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import Quantity
from napari_hsi_ssl.cubes.lazy import DATA_ENDINGS, MappedFile, Shape, build_cube
from napari_hsi_ssl.cubes.spectral_units import from_band_names, stated_quantity, to_nm
from napari_hsi_ssl.errors import CubeError, HsiWarning
from napari_hsi_ssl.files import sweep

TYPES: Final[dict[int, str]] = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}
"""ENVI's numbers of the real numeric types."""

_COMPLEX: Final = {6, 9}
_OTHER_FORMATS: Final = {
    ".tif",
    ".tiff",
    ".mat",
    ".npy",
    ".npz",
    ".png",
    ".jpg",
    ".jpeg",
    ".json",
    ".xml",
    ".txt",
    ".csv",
    ".md",
    ".hdr",
    ".sta",
    ".log",
    ".nc",
    ".h5",
    ".hdf5",
    ".he5",
    ".hspy",
}
# File axes (slowest first) that are y, x and band.
_AXES: Final = {"bsq": (1, 2, 0), "bil": (0, 2, 1), "bip": (0, 1, 2)}
_HEADER_BYTES = 32 * 2**20
_CLOSED = re.compile(r"\}\s*(?:;.*)?$")


def parse_header(path: Path) -> dict[str, str]:
    """Read an ENVI header into text by lower-case key; the braces of lists are taken away.

    The parser of the `spectral` library is not used: it refuses headers in other encodings than the system's, blank lines
    within braces, and does not say what is wrong.

    Raises
    ------
    CubeError
        When the file is no ENVI header or a brace is never closed.
    """
    try:
        if not path.is_file():
            raise CubeError(f"{path} is no ordinary file, expected an ENVI header, which is a short text; give the .hdr file.")
        if path.stat().st_size > _HEADER_BYTES:
            raise CubeError(f"{path} has {path.stat().st_size} bytes, expected an ENVI header, which is a short text; give the .hdr file.")
        content = path.read_bytes()
    except OSError as error:
        raise CubeError(f"{path} cannot be read ({error.strerror or error}); check the path and its permissions.") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = iter(text.splitlines())
    if not next(lines, "").strip().upper().startswith("ENVI"):
        raise CubeError(f"{path} does not begin with the word ENVI, expected an ENVI header; give the header of an ENVI file.")
    header: dict[str, str] = {}
    for line in lines:
        if line.lstrip().startswith(";") or "=" not in line:
            continue
        key, _, value = line.partition("=")
        key, value = " ".join(key.lower().split()), value.strip()
        if value.startswith("{"):
            parts = [value[1:]]
            while not _CLOSED.search(parts[-1]):
                following = next(lines, None)
                if following is None:
                    raise CubeError(f"{path}: the brace of field '{key}' is never closed, expected '}}' at the end of the list; complete the header.")
                if not following.lstrip().startswith(";"):
                    parts.append(following.strip())
            parts[-1] = _CLOSED.sub("", parts[-1])
            value = "\n".join(parts).strip()
        header[key] = value
    return header


@dataclass(frozen=True)
class EnviFile:
    """A header with its data file, checked against each other."""

    header_path: Path
    data: MappedFile
    header: dict[str, str]
    interleave: str

    @property
    def shape(self) -> Shape:
        """Lengths of y, x and band."""
        return self.data.shape


def open_envi(path: Path) -> EnviFile:
    """Open an ENVI file by its header or its data file and check that both fit.

    Raises
    ------
    CubeError
        When header or data are missing, unreadable, or do not fit each other.
    """
    header_path, data_path = (path, None) if path.suffix.lower() == ".hdr" else (find_header(path), path)
    if header_path is None:
        raise CubeError(f"{path} has no ENVI header beside it, expected {path.name}.hdr or {path.stem}.hdr; put it there.")
    header = parse_header(header_path)
    if "library" in header.get("file type", "").lower():
        raise CubeError(f"{header_path} is an ENVI spectral library, expected a cube; choose an image file.")
    if header.get("file compression", "0").strip() not in {"0", ""}:
        raise CubeError(f"{header_path}: the data are compressed (file compression = {header['file compression']}), expected plain numbers; decompress them.")
    for key in ("major frame offsets", "minor frame offsets"):
        if any(part.strip() not in {"0", ""} for part in header.get(key, "").split(",")):
            raise CubeError(f"{header_path}: '{key}' is {header[key]}, expected none; save the file without offsets between frames.")
    width, height, bands = (whole_number(header, key, header_path, least=1) for key in ("samples", "lines", "bands"))
    offset = whole_number(header, "header offset", header_path, least=0, default=0)
    interleave = needed(header, "interleave", header_path).lower()
    if interleave not in _AXES:
        raise CubeError(f"{header_path}: 'interleave' is '{header['interleave']}', expected bsq, bil or bip; correct the header.")
    dtype = stored_type(header, header_path)
    file_shape = {"bsq": (bands, height, width), "bil": (height, bands, width), "bip": (height, width, bands)}[interleave]
    expected = offset + dtype.itemsize * width * height * bands
    if data_path is None:
        data_path = find_data(header_path, expected)
    found = data_path.stat().st_size
    if found != expected:
        word = "shorter" if found < expected else "longer"
        raise CubeError(
            f"{data_path} is {word} than its header says: {found} bytes found, {expected} expected "
            f"({height} lines × {width} samples × {bands} bands × {dtype.itemsize} bytes + offset {offset}); correct {header_path.name} or copy the data again."
        )
    return EnviFile(header_path, MappedFile(data_path, dtype, offset, file_shape, _AXES[interleave]), header, interleave)


def read_envi(path: Path, name: str | None = None) -> xr.DataArray:
    """Open an ENVI cube (y, x, band) lazily.

    ``reflectance scale factor`` divides the values when they are read, and ``nodata`` with them. ``fwhm`` is given in nm,
    ``bad_bands`` is True where the header's ``bbl`` is 0, ``default_bands`` counts from 0 in the order of the cube's bands.
    """
    file = open_envi(path)
    header, where = file.header, file.header_path
    if "classification" in header.get("file type", "").lower():
        raise CubeError(f"{where} is an ENVI classification, expected a cube; use it as labels.")
    factor = number(header, "reflectance scale factor", where)
    if factor is not None and factor <= 0:
        raise CubeError(f"{where}: 'reflectance scale factor' is {factor:g}, expected a number above 0; correct or remove it.")
    units = header.get("data units")
    words = None if units is not None and units.lower() == "unknown" else header.get("description")
    quantity: Quantity = "reflectance" if factor is not None else stated_quantity(units, words)
    wavelength, fwhm = _spectral_axis(header, where)
    bad = numbers(header, "bbl", where)
    offset = {"map_info": header.get("map info"), "coordinate_system": header.get("coordinate system string")}
    return build_cube(
        file.data,
        path=path,
        name=name,
        wavelength=wavelength,
        factor=None if factor == 1 else factor,
        nodata=nodata_of(file),
        quantity=quantity,
        layout=file.interleave,
        per_band={"fwhm": fwhm, "bad_bands": None if bad is None else bad == 0},
        default_bands=_default_bands(header, file.shape[2]),
        data_file=str(file.data.path),
        description=header.get("description"),
        sensor=header.get("sensor type"),
        **offset,
    )


def nodata_of(file: EnviFile) -> float | None:
    """Return the stored value that means "not measured", or None."""
    return number(file.header, "data ignore value", file.header_path)


def find_header(data_path: Path) -> Path | None:
    """Return the header of a data file: ``image.dat.hdr`` or ``image.hdr``, in any case of letters, or None."""
    wanted = (f"{data_path.name}.hdr".lower(), f"{data_path.stem}.hdr".lower())
    sweep(data_path.parent)
    try:
        beside = {entry.name.lower(): entry for entry in sorted(data_path.parent.iterdir(), reverse=True)}
    except OSError:
        return None
    exact = (data_path.with_name(f"{data_path.name}.hdr"), data_path.with_suffix(".hdr"))
    return next((entry for entry in exact if entry.is_file()), None) or next((beside[name] for name in wanted if name in beside), None)


def find_data(header_path: Path, expected: int) -> Path:
    """Return the data file beside a header; of several, the one of the expected size in bytes.

    Raises
    ------
    CubeError
        When there is none.
    """
    stem = header_path.name[:-4]
    usual = [header_path.with_name(stem + ending) for ending in DATA_ENDINGS]
    fitting = next((entry for entry in usual if entry.is_file() and entry.stat().st_size == expected), None)
    if fitting is not None:
        return fitting
    found: list[tuple[bool, int, Path]] = []
    for entry in sorted(header_path.parent.iterdir()):
        ending = entry.suffix.lower()
        if entry.name == stem:
            rank = 0
        elif entry.stem == stem and ending not in _OTHER_FORMATS:
            rank = DATA_ENDINGS.index(ending) if ending in DATA_ENDINGS else len(DATA_ENDINGS)
        else:
            continue
        if entry.is_file():
            fits = entry.stat().st_size == expected
            if fits or rank < len(DATA_ENDINGS):
                found.append((not fits, rank, entry))
    if not found:
        endings = ", ".join(f"{stem}{ending}" for ending in DATA_ENDINGS[:4])
        raise CubeError(f"{header_path} has no data file beside it, expected {endings} or the like in {header_path.parent}; put the data there.")
    return min(found)[2]


def needed(header: dict[str, str], key: str, path: Path) -> str:
    """Return the text of a field on one line, or raise `CubeError` where the header lacks it."""
    if not header.get(key):
        raise CubeError(f"{path} has no field '{key}', expected it in every ENVI header; add the line '{key} = …'.")
    return " ".join(header[key].split())  # the message that quotes it stays one line


def whole_number(header: dict[str, str], key: str, path: Path, *, least: int, default: int | None = None) -> int:
    """Return a field that is a whole number, or raise `CubeError` where it is none or too small."""
    if default is not None and not header.get(key):
        return default
    text = needed(header, key, path)
    if not re.fullmatch(r"[-+]?\d{1,18}", text) or int(text) < least:
        raise CubeError(f"{path}: '{key}' is '{text[:40]}', expected a whole number of at least {least}; correct the header.")
    return int(text)


def stored_type(header: dict[str, str], path: Path) -> np.dtype[Any]:
    """Return the type of the stored values with the byte order of the file."""
    number = whole_number(header, "data type", path, least=0)
    if number in _COMPLEX:
        raise CubeError(f"{path}: 'data type' is {number} (complex numbers), expected real numbers; save the amplitude instead.")
    if number not in TYPES:
        raise CubeError(f"{path}: 'data type' is {number}, expected one of {', '.join(map(str, TYPES))}; correct the header.")
    dtype = np.dtype(TYPES[number])
    if "byte order" not in header:
        if dtype.itemsize > 1:
            message = f"{path} has no field 'byte order'; the data are read as little-endian: add 'byte order = 0' (or 1 for big-endian)."
            warnings.warn(message, HsiWarning, stacklevel=5)
        return dtype.newbyteorder("<")
    order = header["byte order"].strip()
    if order not in {"0", "1"}:
        raise CubeError(f"{path}: 'byte order' is '{order}', expected 0 (little-endian) or 1 (big-endian); correct the header.")
    return dtype.newbyteorder("<" if order == "0" else ">")


def number(header: dict[str, str], key: str, path: Path) -> float | None:
    """Return a field that is a number, None where the header lacks it."""
    text = header.get(key, "").strip()
    if not text:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise CubeError(f"{path}: '{key}' is '{text[:40]}', expected a number; correct or remove it.") from error


def split_list(text: str) -> tuple[str, ...]:
    """Return the items of a header's list, without the empty one after a last comma."""
    items = [item.strip() for item in text.split(",")]
    return tuple(items[:-1] if items and not items[-1] else items)


def numbers(header: dict[str, str], key: str, path: Path) -> NDArray[np.float64] | None:
    """Return a field that is a list of numbers (n,), None where the header lacks it."""
    items = split_list(header.get(key, ""))
    if not items:
        return None
    try:
        return np.array([float(item) for item in items], dtype=np.float64)
    except ValueError as error:
        raise CubeError(f"{path}: '{key}' holds something that is no number ({error}), expected one number a band; correct or remove it.") from error


def _spectral_axis(header: dict[str, str], path: Path) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return wavelengths and band widths (band,) in nm, each None where the header has none."""
    names = split_list(header.get("band names", ""))
    stated = numbers(header, "wavelength", path)
    fwhm = numbers(header, "fwhm", path)
    if stated is None:
        return from_band_names(names), fwhm
    units = header.get("wavelength units")
    wavelength = to_nm(stated, units, names)
    if wavelength is None or fwhm is None or (units or "").strip().lower() == "wavenumber":
        return wavelength, None
    # Widths are in the unit of the wavelengths, which the first band tells.
    return wavelength, fwhm * (wavelength[0] / stated[0] if stated[0] else 1.0)


def _default_bands(header: dict[str, str], bands: int) -> tuple[int, ...] | None:
    """Return the bands to show first, from 0; None where the list is absent or nonsense (it is only a wish)."""
    items = split_list(header.get("default bands", ""))
    try:
        numbers = tuple(int(float(item)) - 1 for item in items)
    except (ValueError, OverflowError):
        return None
    return numbers if numbers and all(0 <= number < bands for number in numbers) else None


# -- writing headers -------------------------------------------------------------------------------------------------------


def header_text(fields: dict[str, Any]) -> bytes:
    """Return an ENVI header of the given fields."""
    return ("ENVI\n" + "".join(f"{key} = {value}\n" for key, value in fields.items())).encode("utf-8", "replace")


def braced(items: list[Any]) -> str:
    """Return a header's list."""
    lines = [", ".join(map(str, items[start : start + 8])) for start in range(0, len(items), 8)]
    return "{" + ",\n ".join(lines) + "}"


def plain_text(text: str) -> str:
    """Return a text as one line without the signs that end a header's field: what a stranger's file says of itself must not become fields."""
    return " ".join(text.replace("{", "(").replace("}", ")").splitlines())


def plain_item(name: str) -> str:
    """Return a name without the signs that part a header's list."""
    return plain_text(name).replace(",", ";")
