"""Memory and time of the streaming PCA: `python benchmarks/pca.py`.

A cube of 10 M pixels × 256 bands (5 GB of uint16) is written to a temporary folder and fitted by a process of its own, which watches its
memory: ``anonymous`` is what it holds itself, ``resident`` counts mapped pages of the file as well. Then the fit is timed against
scikit-learn's IncrementalPCA (two batch sizes) on a part of the same cube, in one process. Ten components of a cube in memory stand beside
other programs in `peers/`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rows import Row, compared, in_turn, spread

from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.explore.pca import Source, fit_projection, project_cube
from napari_hsi_ssl.progress import run

BANDS, WIDTH, COMPONENTS = 256, 5000, 30
BATCHES = (5 * BANDS, 16384)
MIB = 2**20


def write_cube(path: Path, pixels: int, layout: str) -> None:
    """Write a cube of a few smooth materials with noise as raw uint16, some rows at a time."""
    generator = np.random.default_rng(0)
    materials = (2000 + 60 * np.cumsum(generator.standard_normal((40, BANDS)), axis=1)).astype(np.float32)
    noise = (20 * generator.standard_normal((64 * WIDTH, BANDS))).astype(np.float32)
    height = pixels // WIDTH
    shape, axes = ((height, WIDTH, BANDS), (0, 1, 2)) if layout == "bip" else ((BANDS, height, WIDTH), (1, 2, 0))
    cube = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=shape).transpose(axes)
    for start in range(0, height, 64):
        rows = min(64, height - start)
        shares = generator.dirichlet(np.full(40, 0.2), rows * WIDTH).astype(np.float32)
        values = shares @ materials + noise[: rows * WIDTH]
        cube[start : start + rows] = np.clip(values, 0, 65535).reshape(rows, WIDTH, BANDS)


def open_cube(path: Path) -> Source:
    """Return a cube that this script or the suite wrote."""
    if path.suffix == ".hdr":
        cube = read_cube(path)
    else:
        stored = np.load(path, mmap_mode="r")
        cube = as_cube(stored if stored.shape[2] == BANDS else stored.transpose(1, 2, 0), name="big")
    return Source("big", "bench", cube, np.ones(cube.shape[:2], dtype=bool))


def memory() -> tuple[int, int]:
    """Return anonymous and resident bytes of this process."""
    info = psutil.Process().memory_info()
    return info.rss - getattr(info, "shared", 0), info.rss


def fit(source: Source, components: int = COMPONENTS) -> Any:
    return run(fit_projection([source], PcaConfig(bands=int(source.cube.shape[2]), components=components)))


def fit_and_watch(path: Path, out: Path) -> dict[str, float]:
    """Fit and project the whole cube, with the largest memory seen every 5 ms."""
    source = open_cube(path)
    peak, ended = [0, 0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.005):
            peak[:] = map(max, peak, memory())

    start_anonymous, _ = memory()
    thread = threading.Thread(target=watch)
    thread.start()
    begin = time.perf_counter()
    projection = fit(source)
    fitted = time.perf_counter()
    scores = np.lib.format.open_memmap(out, mode="w+", dtype=np.float16, shape=(*source.cube.shape[:2], COMPONENTS))
    run(project_cube(projection, source, out=scores))
    projected = time.perf_counter()
    ended.set()
    thread.join()
    return {
        "pixels": source.area.size,
        "fit_s": fitted - begin,
        "project_s": projected - fitted,
        "start_anonymous_mib": start_anonymous / MIB,
        "peak_anonymous_mib": peak[0] / MIB,
        "peak_resident_mib": peak[1] / MIB,
    }


def against_incremental(path: Path, pixels: int, repeats: int = 3) -> list[Row]:
    """Time the fit and IncrementalPCA on the first rows of the cube, and compare both with an exact decomposition."""
    from scipy.linalg import subspace_angles
    from sklearn.decomposition import IncrementalPCA

    whole = open_cube(path)
    count = max(1, pixels // whole.cube.shape[1])
    part = Source("part", "bench", whole.cube[:count], whole.area[:count])
    spectra = np.ascontiguousarray(part.cube.data).reshape(-1, int(part.cube.shape[2]))
    covariance = np.cov(spectra.T)
    exact = np.linalg.eigh(covariance)[1][:, ::-1][:, :COMPONENTS]

    def held(axes: np.ndarray) -> float:
        return float(np.trace(axes.T @ covariance @ axes))

    ways: dict[str, Any] = {
        f"scikit-learn IncrementalPCA, batches of {batch:,}": lambda batch=batch: IncrementalPCA(COMPONENTS, batch_size=batch).fit(spectra) for batch in BATCHES
    }
    taken = in_turn({"ours": lambda: fit(part), **ways}, repeats)

    def agreement(ours: Any, theirs: Any) -> dict[str, float]:
        found: dict[str, float] = {}
        for who, components in (("ours", ours.components), ("theirs", theirs.components_)):
            axes = np.linalg.qr(components.T)[0]
            found[f"{who}: variance held, of the exact"] = held(axes) / held(exact)
            found[f"{who}: angle to the exact subspace, rad"] = float(subspace_angles(axes, exact).max())
        return found

    what = f"streaming PCA, {COMPONENTS} components of {len(spectra):,} × {spectra.shape[1]}"
    return compared("streaming PCA", what, taken.pop("ours"), taken, agreement)


def measure(work: Path, *, part: int = 100_000, repeats: int = 3) -> list[Row]:
    """Fit the 1 GB cube of the suite as a stream, and a part of it beside IncrementalPCA."""
    path = work / "files" / "bip.hdr"
    rows = against_incremental(path, part, repeats)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        found = fit_and_watch(path, Path(folder) / "scores.npy")
    what = f"streaming PCA of 1 GB BIP, {found['pixels']:,} pixels: fit and {COMPONENTS} scores a pixel"
    memory_mb = {"ours": found["peak_anonymous_mib"] - found["start_anonymous_mib"]}
    return [*rows, Row("streaming PCA", what, "", spread([found["fit_s"] + found["project_s"]]), None, memory_mb=memory_mb)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=10_000_000)
    parser.add_argument("--part", type=int, default=100_000, help="pixels for the comparison with IncrementalPCA")
    parser.add_argument("--layout", choices=["bip", "bsq"], default="bip")
    parser.add_argument("--folder", type=Path, help="where the 5 GB go for the time of the run")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(fit_and_watch(given.worker / "cube.npy", given.worker / "scores.npy")))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        write_cube(Path(name) / "cube.npy", given.pixels, given.layout)
        command = [sys.executable, __file__, "--worker", name]
        figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        rows = against_incremental(Path(name) / "cube.npy", given.part)
    for key, value in figures.items():
        print(f"{key:>20}  {value:.4g}")
    for row in rows:
        print(f"{row.what}: {row.rival} {row.ratio:.1f} times slower; {row.agreement}")
    if given.json:
        given.json.write_text(json.dumps({"bands": BANDS, "layout": given.layout, **figures, "rows": [row.as_json() for row in rows]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
