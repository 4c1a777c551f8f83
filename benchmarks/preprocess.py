"""Time of preparing spectra: `OMP_NUM_THREADS=1 python benchmarks/preprocess.py [--json FILE]`.

Every step is applied to 100,000 spectra of 224 bands in memory and timed against scipy where it has the same, else against a plain
loop over the spectra or plain NumPy, in the same run; the largest difference of the results is told beside the ratio. A loop is timed on
a part of the spectra and scaled. Then a cube of 610 × 340 × 103 on disk is prepared lazily: what one spectrum and one band cost, beside
those of the cube as it is.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rows import Row, compared, in_turn
from scipy.interpolate import interp1d
from scipy.signal import savgol_filter

from napari_hsi_ssl.config import ChainConfig
from napari_hsi_ssl.config.chain import parse_step
from napari_hsi_ssl.cubes.cube import as_cube, spectrum
from napari_hsi_ssl.cubes.preprocess import preprocess, preprocess_spectra
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube

Spectra = NDArray[np.float64]
TURNS = 3
LOOPED = 2_000
CHAINS = ("snv", "savgol:window=11,order=2,deriv=1", "savgol:window=11,order=2|snv", "continuum", "resample:start=450,stop=800,step=10")


def chain_of(text: str) -> ChainConfig:
    """Return the chain of step texts between bars."""
    return ChainConfig(steps=tuple(map(parse_step, text.split("|"))))


def materials(count: int, bands: int) -> tuple[Spectra, Spectra]:
    """Return mixed spectra (count, band) between 0 and 1 with noise, and their wavelengths."""
    generator = np.random.default_rng(0)
    centres = np.linspace(400.0, 2400.0, bands)
    pure = 0.4 + 0.25 * np.array([np.sin(centres / span + shift) for span, shift in generator.uniform((80, 0), (500, 6), (12, 2))])
    shares = generator.dirichlet(np.full(12, 0.3), count)
    return np.clip(shares @ pure + 0.004 * generator.standard_normal((count, bands)), 0.01, None), centres


def hull_of(values: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper hull (band,) of one spectrum by the monotone chain (Andrew 1979)."""
    kept: list[int] = []
    for band in range(len(places)):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if (values[b] - values[a]) * (places[band] - places[a]) > (values[band] - values[a]) * (places[b] - places[a]):
                break
            kept.pop()
        kept.append(band)
    return np.interp(places, places[kept], values[kept])


def gaussians(places: NDArray[np.float64], target: NDArray[np.float64], fwhm: float) -> NDArray[np.float64]:
    """Return the weights (new band, band) of Gaussian bands."""
    sigma = fwhm / (2 * np.sqrt(2 * np.log(2)))
    weights = np.exp(-0.5 * ((target[:, None] - places) / sigma) ** 2) * np.gradient(places)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def plain_snv(spectra: Spectra) -> Spectra:
    """Return standard normal variates in one line of NumPy."""
    return np.asarray((spectra - spectra.mean(axis=1, keepdims=True)) / spectra.std(axis=1, keepdims=True))


def peers(spectra: Spectra, centres: NDArray[np.float64]) -> dict[str, tuple[str, Callable[[Spectra], Spectra], bool]]:
    """Return for each step who does the same, how, and whether it is a loop that is timed on a part."""
    target = 450 + 10 * np.arange(180.0)
    step, weights = float(centres[1] - centres[0]), gaussians(centres, target, 20.0)
    return {
        "snv": ("NumPy", plain_snv, False),
        "mean": ("NumPy", lambda part: part / part.mean(axis=1, keepdims=True), False),
        "absorbance": ("NumPy", lambda part: -np.log10(part), False),
        "savgol:window=11,order=2": ("scipy.signal.savgol_filter", lambda part: savgol_filter(part, 11, 2, axis=1), False),
        "savgol:window=11,order=2,deriv=1": ("scipy.signal.savgol_filter", lambda part: savgol_filter(part, 11, 2, deriv=1, delta=step, axis=1), False),
        "continuum": ("loop: monotone chain", lambda part: np.array([one / hull_of(one, centres) for one in part]), True),
        "resample:start=450,stop=2240,step=10": ("scipy.interpolate.interp1d", lambda part: interp1d(centres, part, axis=1)(target), False),
        "resample:start=450,stop=2240,step=10,method=gaussian,fwhm=20": (
            "loop: weights times spectrum",
            lambda part: np.array([weights @ one for one in part]),
            True,
        ),
    }


def best(work: Callable[[], Any], turns: int = TURNS) -> tuple[float, Any]:
    """Return the shortest time of some turns in seconds, and what the last one returned."""
    times, found = [], None
    for _ in range(turns):
        started = time.perf_counter()
        found = work()
        times.append(time.perf_counter() - started)
    return min(times), found


def measure(_work: Path, *, count: int = 100_000, bands: int = 224, repeats: int = TURNS) -> list[Row]:
    """Apply each step to spectra in memory beside its peer; a loop is timed on a part and scaled."""
    spectra, centres = materials(count, bands)
    rows: list[Row] = []
    for text, (peer, work, looped) in peers(spectra, centres).items():
        chain = chain_of(text)
        part = spectra[:LOOPED] if looped else spectra
        taken = in_turn(
            {"ours": lambda chain=chain: preprocess_spectra(spectra, centres, chain)[0], peer: lambda work=work, part=part: work(part)},
            repeats,
        )
        if looped:
            scale = len(spectra) / len(part)
            one = taken.pop(peer)
            taken[f"{peer}, scaled from {len(part):,}"] = replace(one, seconds=[scale * seconds for seconds in one.seconds], mb=None)
        rows += compared(
            "preprocessing", f"{text} of {count:,} × {bands}", taken.pop("ours"), taken,
            lambda ours, theirs: {"largest difference, of the largest value": float(np.abs(ours[: len(theirs)] - theirs).max() / np.abs(theirs).max())},
        )  # fmt: skip
    return rows


def lazy_cube(shape: tuple[int, int, int]) -> list[dict[str, Any]]:
    """Time one spectrum and one band of a prepared cube on disk, beside those of the cube as it is."""
    height, width, bands = shape
    values = np.clip(materials(height * width, bands)[0] * 4000, 1, 65535).astype(np.uint16).reshape(shape)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cube.hdr"
        write_envi_cube(path, as_cube(values, np.linspace(430, 860, bands), "dn", "cube"))
        cube = read_cube(path)
        for text in ("", *CHAINS):
            prepared, opened = (cube, 0.0) if not text else best(lambda text=text: preprocess(cube, chain_of(text)))[::-1]
            one, _ = best(lambda prepared=prepared: spectrum(prepared, height // 2, width // 2), 20)
            band, _ = best(lambda prepared=prepared: np.array(prepared.data[:, :, int(prepared.shape[2]) // 2]))
            rows.append({"chain": text or "as it is", "open_seconds": opened, "spectrum_seconds": one, "band_seconds": band})
            print(f"{text or 'as it is':62} open {1e3 * opened:6.2f} ms  spectrum {1e3 * one:6.2f} ms  band {1e3 * band:8.1f} ms", flush=True)
    return rows


def main() -> None:
    """Time everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spectra", type=int, default=100_000)
    parser.add_argument("--bands", type=int, default=224)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = measure(Path(), count=given.spectra, bands=given.bands)
    for row in rows:
        print(f"{row.what:70} {row.ours['median']:7.3f} s  {row.rival:40} {row.theirs['median']:8.3f} s  {row.ratio:7.2f} times faster  {row.agreement}")
    report: dict[str, Any] = {"steps": [row.as_json() for row in rows]}
    report |= {"cube": [610, 340, 103], "lazy": lazy_cube((610, 340, 103))}
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
