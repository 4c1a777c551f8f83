"""Spectral libraries: named spectra on one set of bands, from ENVI (.sli) and CSV files."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes import envi
from napari_hsi_ssl.cubes.cube import QUANTITIES
from napari_hsi_ssl.cubes.spectral_units import stated_quantity, to_nm
from napari_hsi_ssl.errors import CubeError

_STATED_SCALE: Final = re.compile(r"reflectance\s*\[\s*\*\s*(\d+)\s*\]", re.IGNORECASE)
_UNITS: Final = {"radiance": "Radiance", "dn": "Digital number"}
_CSV_BYTES = 256 * 2**20


@dataclass(frozen=True, eq=False)
class SpectralLibrary:
    """Named spectra on one set of bands.

    Attributes
    ----------
    name : str
    names : tuple of str
        One a spectrum, as the file has them.
    wavelengths : float64 array (band,) in nm, ascending, or None
    spectra : float64 array (n, band)
    quantity : str
        ``dn``, ``radiance``, ``reflectance`` or ``unknown``.
    """

    name: str
    names: tuple[str, ...]
    wavelengths: NDArray[np.float64] | None
    spectra: NDArray[np.float64]
    quantity: str = "unknown"

    def __len__(self) -> int:
        """How many spectra there are."""
        return len(self.names)


def is_library(path: Path) -> bool:
    """Tell whether a file is an ENVI spectral library, by its header alone."""
    if path.suffix.lower() == ".sli":
        return True
    header = path if path.suffix.lower() == ".hdr" else envi.find_header(path)
    if header is None:
        return False
    try:
        return "library" in envi.parse_header(header).get("file type", "").lower()
    except CubeError:
        return False


def read_library(path: str | Path) -> SpectralLibrary:
    """Read a spectral library: ENVI by its header or its data file, or CSV with one column a spectrum.

    The first column of a CSV holds the wavelengths (``wavelength_nm``, ``wavelength_um``) or counts the bands; a column
    ``NAME std`` beside ``NAME`` is its spread and left out. Bands are sorted by wavelength.

    Raises
    ------
    CubeError
        When the file is missing, damaged, or holds no spectra on one set of bands.
    """
    path = Path(path)
    found = files.there(path)
    if not found or not path.is_file():
        wrong = "is a folder" if found and path.is_dir() else "does not exist"
        raise CubeError(f"{path} {wrong}, expected a spectral library (.sli, .hdr, .csv); check the path.")
    names, wavelengths, spectra, quantity = _read_csv(path) if path.suffix.lower() == ".csv" else _read_envi(path)
    if wavelengths is not None:
        if not (np.isfinite(wavelengths) & (wavelengths > 0)).all():
            raise CubeError(f"{path} has wavelengths that are not numbers above 0, expected nm for every band; correct or remove them.")
        order = np.argsort(wavelengths, kind="stable")
        wavelengths, spectra = wavelengths[order], spectra[:, order]
    return SpectralLibrary(path.stem if path.suffix.lower() in {".sli", ".hdr", ".csv"} else path.name, names, wavelengths, spectra, quantity)


def _read_envi(path: Path) -> tuple[tuple[str, ...], NDArray[np.float64] | None, NDArray[np.float64], str]:
    header_path, data_path = (path, None) if path.suffix.lower() == ".hdr" else (envi.find_header(path), path)
    if header_path is None:
        raise CubeError(f"{path} has no ENVI header beside it, expected {path.stem}.hdr; put it there, or give a .csv.")
    header = envi.parse_header(header_path)
    if "library" not in header.get("file type", "").lower():
        raise CubeError(f"{header_path}: 'file type' is '{header.get('file type', 'missing')}', expected ENVI Spectral Library; choose a library.")
    bands, count, planes = (envi.whole_number(header, key, header_path, least=1) for key in ("samples", "lines", "bands"))
    if planes != 1:
        raise CubeError(f"{header_path}: 'bands' is '{planes}', expected 1 in a spectral library (samples are its bands); correct the header.")
    offset = envi.whole_number(header, "header offset", header_path, least=0, default=0)
    dtype = envi.stored_type(header, header_path)
    expected = offset + count * bands * dtype.itemsize
    data_path = data_path or envi.find_data(header_path, expected)
    found = data_path.stat().st_size
    if found != expected:
        raise CubeError(
            f"{data_path} does not fit its header: {found} bytes found, {expected} expected ({count} spectra × {bands} bands × {dtype.itemsize} bytes "
            f"+ offset {offset}); correct {header_path.name} or copy the data again."
        )
    spectra = np.fromfile(data_path, dtype, count * bands, offset=offset).reshape(count, bands).astype(np.float64)
    names = envi.split_list(header.get("spectra names", ""))
    if names and len(names) != count:
        raise CubeError(f"{header_path} has {count} spectra but {len(names)} 'spectra names', expected one a spectrum; correct the header.")
    stated = envi.numbers(header, "wavelength", header_path)
    if stated is not None and len(stated) != bands:
        raise CubeError(f"{header_path} has {bands} bands but {len(stated)} wavelengths, expected one a band; correct the header.")
    wavelengths = None if stated is None else to_nm(stated, header.get("wavelength units"))
    factor = envi.number(header, "reflectance scale factor", header_path)
    # ENVI writes the scale of resampled libraries into the title of the axis.
    titled = _STATED_SCALE.search(header.get("z plot titles", ""))
    if factor is None and titled is not None:
        factor = float(titled[1])
    if factor is not None and factor <= 0:
        raise CubeError(f"{header_path}: 'reflectance scale factor' is {factor:g}, expected a number above 0; correct or remove it.")
    words = (header.get("data units"), header.get("z plot titles"), header.get("description"))
    quantity = "reflectance" if factor is not None else stated_quantity(*words)
    shown = tuple(" ".join(name.split()) for name in names) or tuple(f"spectrum {number}" for number in range(1, count + 1))
    return shown, wavelengths, spectra / (factor or 1.0), quantity


def _read_csv(path: Path) -> tuple[tuple[str, ...], NDArray[np.float64] | None, NDArray[np.float64], str]:
    if path.stat().st_size > _CSV_BYTES:
        raise CubeError(f"{path} has {path.stat().st_size} bytes, expected a table of spectra, which is short; choose another file.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CubeError(f"{path} is no UTF-8 text ({error.reason}), expected a table of spectra; save it as UTF-8.") from error
    separator = max(",;\t", key=text.partition("\n")[0].count)
    lines = list(csv.reader(io.StringIO(text.strip()), delimiter=separator))
    if any(not line for line in lines):
        raise CubeError(f"{path} holds several tables, parted by an empty line, expected one; put spectra by wavelength and by band into files of their own.")
    if len(lines) < 2 or len(lines[0]) < 2:
        raise CubeError(f"{path} holds no table of spectra, expected a header, then wavelength and one column a spectrum; choose another file.")
    header = [cell.strip() for cell in lines[0]]
    taken = [column for column, name in enumerate(header) if column and not (name.endswith(" std") and name[:-4] in header)]
    for number, line in enumerate(lines, 1):
        if len(line) != len(header):
            raise CubeError(f"{path}: line {number} has {len(line)} columns and the first {len(header)}, expected as many; correct the table.")
    try:
        axis = np.array([float(line[0]) for line in lines[1:]])
        spectra = np.array([[float(line[column]) if line[column].strip() else np.nan for line in lines[1:]] for column in taken])
    except ValueError as error:
        raise CubeError(f"{path} holds something that is no number ({error}), expected numbers below the header; correct the table.") from error
    holes = [header[column] for column in taken if any(not line[column].strip() for line in lines[1:])]
    if holes:
        raise CubeError(f"{path}: '{holes[0]}' has empty cells, so the spectra have other bands, expected one set of bands; put them into files of their own.")
    first = header[0].lower()
    unit = next((found for found in ("um", "µm", "micrometers", "nm") if re.search(rf"[^a-zµ]{found}\W*$", first)), None)
    names = tuple(header[column] for column in taken)
    return names, None if first.startswith("band") else to_nm(axis, unit), spectra, "unknown"


def write_library(path: str | Path, library: SpectralLibrary) -> None:
    """Write a library: ENVI (.sli with its header .hdr beside it) or CSV, by the name's ending.

    Raises
    ------
    CubeError
        When the name ends otherwise.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending == ".csv":
        axis = range(library.spectra.shape[1]) if library.wavelengths is None else library.wavelengths.tolist()
        columns = ["band" if library.wavelengths is None else "wavelength_nm", *library.names]
        rows = [[position, *values] for position, values in zip(axis, library.spectra.T.tolist(), strict=True)]
        files.write_bytes(path, files.csv_text([columns, *rows]).encode())
        return
    if ending not in {".sli", ".hdr"}:
        raise CubeError(f"{path} ends in '{path.suffix}', but a library is written as .sli or .csv; choose one of these endings.")
    count, bands = library.spectra.shape
    fields: dict[str, object] = {
        "description": envi.braced([envi.plain_item(library.name)]),
        "samples": bands,
        "lines": count,
        "bands": 1,
        "header offset": 0,
        "file type": "ENVI Spectral Library",
        "data type": 5,
        "interleave": "bsq",
        "byte order": 0,
        "spectra names": envi.braced([envi.plain_item(name) for name in library.names]),
    }
    if library.quantity == "reflectance":
        fields["reflectance scale factor"] = "1.0"
    elif library.quantity in QUANTITIES and library.quantity in _UNITS:
        fields["data units"] = _UNITS[library.quantity]
    if library.wavelengths is not None:
        fields |= {"wavelength units": "Nanometers", "wavelength": envi.braced(library.wavelengths.tolist())}
    with files.atomic_paths(path.with_suffix(".sli"), path.with_suffix(".hdr")) as (data, header):
        data.write_bytes(np.ascontiguousarray(library.spectra, dtype="<f8").tobytes())
        header.write_bytes(envi.header_text(fields))
