"""One spectrum and its axis, as plain data, and spectra as a table."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BandAxis:
    """What the horizontal and the vertical axis of a cube's spectra are.

    Attributes
    ----------
    bands : int
    wavelengths : float64 array (band,) in nm, or None
        Without them the axis counts bands from 0.
    quantity : str
        ``dn``, ``radiance``, ``reflectance`` or ``unknown``.
    bad : bool array (band,), or None
        Bands that are not to be trusted; they are shaded.
    """

    bands: int
    wavelengths: NDArray[np.float64] | None = None
    quantity: str = "unknown"
    bad: NDArray[np.bool_] | None = None

    @property
    def x(self) -> NDArray[np.float64]:
        """Position of every band (band,) on the axis."""
        return np.arange(self.bands, dtype=np.float64) if self.wavelengths is None else self.wavelengths

    def name(self, band: int) -> str:
        """Return how a band is called beside the cursor."""
        return f"band {band}" if self.wavelengths is None else f"{self.wavelengths[band]:.1f} nm"


@dataclass(frozen=True)
class Spectrum:
    """One curve: a pixel's spectrum, or the mean of a region with its spread.

    Attributes
    ----------
    name : str
        Unique among the pinned ones: a second of the same name replaces the first.
    values : float array (band,)
    axis : BandAxis
        Of the cube it comes from.
    spread : float array (band,), optional
        Standard deviation; drawn as a band around the mean.
    colour : str, optional
        ``#rrggbb``; the next free one when not given.
    """

    name: str
    values: NDArray[np.floating]
    axis: BandAxis
    spread: NDArray[np.floating] | None = None
    colour: str | None = None


def runs_of(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return start and stop (excluded) of every run of True in ``flags`` (n,)."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in steps.reshape(-1, 2)]


def spectra_csv(spectra: tuple[Spectrum, ...]) -> str:
    """Return curves as CSV text, rows by wavelength (nm), else by band; cubes of other bands share the rows they have in common."""
    in_nm = [spectrum for spectrum in spectra if spectrum.axis.wavelengths is not None]
    tables = []
    for group, unit in ((in_nm, "wavelength_nm"), ([s for s in spectra if s.axis.wavelengths is None], "band")):
        if not group:
            continue
        # Two detectors may measure the same wavelength: the n-th band at it goes to the n-th row of it.
        rows: dict[tuple[float, int], dict[str, float]] = {}
        header = [unit]
        for spectrum in group:
            columns = {spectrum.name: spectrum.values}
            if spectrum.spread is not None:
                columns[f"{spectrum.name} std"] = spectrum.spread
            header += columns
            seen: Counter[float] = Counter()
            for band, x in enumerate(spectrum.axis.x.tolist()):
                row = rows.setdefault((x, seen[x]), {})
                seen[x] += 1
                row.update({name: float(values[band]) for name, values in columns.items()})
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        for key in sorted(rows):
            writer.writerow([f"{key[0]:.9g}", *(f"{rows[key][name]:.7g}" if name in rows[key] else "" for name in header[1:])])
        tables.append(stream.getvalue())
    return "\n".join(tables)


def pinned_at(name: str, y: int, x: int, label: str = "") -> str:
    """Return what a pinned pixel is called: its cube, its place, and its class where it has one."""
    return f"{y}, {x}" + (f" · {label}" if label else "") + f" ({name})"
