"""Spectra as a table and as a library: what is written for other programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hsi_ssl import files
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.spectra import MeanSpectrum

if TYPE_CHECKING:
    from napari_hsi_ssl.cubes.library import SpectralLibrary

ENDINGS = (".csv", ".sli")


def spectra_csv(spectra: Sequence[MeanSpectrum]) -> str:
    """Return spectra as CSV text, rows by wavelength (nm), else by band; cubes of other bands share the rows they have in common."""
    in_nm = [spectrum for spectrum in spectra if spectrum.wavelengths is not None]
    tables = []
    for group, unit in ((in_nm, "wavelength_nm"), ([s for s in spectra if s.wavelengths is None], "band")):
        if not group:
            continue
        # Two detectors may measure the same wavelength: the n-th band at it goes to the n-th row of it.
        rows: dict[tuple[float, int], dict[str, float]] = {}
        header = [unit]
        for spectrum in group:
            columns = {spectrum.name: spectrum.mean}
            if spectrum.std is not None:
                columns[f"{spectrum.name} std"] = spectrum.std
            header += columns
            seen: Counter[float] = Counter()
            positions = np.arange(len(spectrum.mean), dtype=np.float64) if spectrum.wavelengths is None else spectrum.wavelengths
            for band, x in enumerate(positions.tolist()):
                row = rows.setdefault((x, seen[x]), {})
                seen[x] += 1
                row.update({name: float(values[band]) for name, values in columns.items()})
        lines = [[f"{key[0]:.9g}", *(f"{rows[key][name]:.7g}" if name in rows[key] else "" for name in header[1:])] for key in sorted(rows)]
        tables.append(files.csv_text([header, *lines]))
    return "\n".join(tables)


def as_library(spectra: Sequence[MeanSpectrum], name: str) -> SpectralLibrary:
    """Return spectra of one set of bands as a library.

    Raises
    ------
    ConfigError
        When there is none, or they have other bands or units.
    """
    from napari_hsi_ssl.cubes.library import SpectralLibrary

    if not spectra:
        raise ConfigError(f"library '{name}' would hold no spectrum, expected at least one; pin some first.")
    first = spectra[0]
    for other in spectra[1:]:
        same = len(other.mean) == len(first.mean) and (other.wavelengths is None) == (first.wavelengths is None)
        if same and other.wavelengths is not None and first.wavelengths is not None:
            same = np.allclose(other.wavelengths, first.wavelengths, atol=0.05)
        if not same or other.quantity != first.quantity:
            raise ConfigError(
                f"'{first.name}' has {len(first.mean)} bands ({first.quantity}) and '{other.name}' {len(other.mean)} ({other.quantity}), "
                "but a library holds one set of bands and units; save them one by one, or as .csv."
            )
    return SpectralLibrary(name, tuple(spectrum.name for spectrum in spectra), first.wavelengths, np.stack([s.mean for s in spectra]), first.quantity)


def write_spectra(path: Path, spectra: Sequence[MeanSpectrum]) -> None:
    """Write spectra as CSV (with their deviations) or as an ENVI library (means alone), by the name's ending.

    Raises
    ------
    ConfigError
        When the ending is another, or a library cannot hold them.
    """
    if path.suffix.lower() == ".csv":
        files.write_bytes(path, spectra_csv(spectra).encode())
    elif path.suffix.lower() == ".sli":
        from napari_hsi_ssl.cubes.library import write_library

        write_library(path, as_library(spectra, path.stem))
    else:
        raise ConfigError(f"{path.name} ends in '{path.suffix}', but spectra are written as {' or '.join(ENDINGS)}; choose one of these endings.")
