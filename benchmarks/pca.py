"""Memory and time of the streaming PCA: `python benchmarks/pca.py`.

A cube of 10 M pixels × 256 bands (5 GB of uint16) is written to a temporary folder and fitted by a process of its own, which watches its
memory: ``anonymous`` is what it holds itself, ``resident`` counts mapped pages of the file as well. Then the fit is timed against
scikit-learn's IncrementalPCA (the faster of two batch sizes) on a part of the same cube, in one process. Last, a float32 cube of
610 × 340 × 103 in memory: 10 components and the scores of every pixel, against plain NumPy and scikit-learn, the best of several turns each.
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

import numpy as np
import psutil

BANDS, WIDTH, COMPONENTS = 256, 5000, 30
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


def open_cube(path: Path):
    from napari_hsi_ssl.cubes.cube import as_cube
    from napari_hsi_ssl.explore.pca import Source

    stored = np.load(path, mmap_mode="r")
    values = stored if stored.shape[2] == BANDS else stored.transpose(1, 2, 0)
    return Source("big", "bench", as_cube(values, name="big"), np.ones(values.shape[:2], dtype=bool))


def memory() -> tuple[int, int]:
    """Return anonymous and resident bytes of this process."""
    info = psutil.Process().memory_info()
    return info.rss - getattr(info, "shared", 0), info.rss


def fit_and_watch(path: Path, out: Path) -> dict[str, float]:
    """Fit and project the whole cube, with the largest memory seen every 5 ms."""
    from napari_hsi_ssl.config import PcaConfig
    from napari_hsi_ssl.explore.pca import fit_projection, project_cube
    from napari_hsi_ssl.progress import run

    source = open_cube(path)
    peak, ended = [0, 0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.005):
            peak[:] = map(max, peak, memory())

    start_anonymous, _ = memory()
    thread = threading.Thread(target=watch)
    thread.start()
    begin = time.perf_counter()
    projection = run(fit_projection([source], PcaConfig(bands=BANDS, components=COMPONENTS)))
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


def against_incremental(path: Path, pixels: int) -> dict[str, float]:
    """Time the fit and IncrementalPCA on the first rows of the cube, and compare both with an exact decomposition."""
    from scipy.linalg import subspace_angles
    from sklearn.decomposition import IncrementalPCA

    from napari_hsi_ssl.config import PcaConfig
    from napari_hsi_ssl.explore.pca import Source, fit_projection
    from napari_hsi_ssl.progress import run

    whole = open_cube(path)
    rows = max(1, pixels // WIDTH)
    part = Source("part", "bench", whole.cube[:rows], whole.area[:rows])
    spectra = np.ascontiguousarray(part.cube.data).reshape(-1, BANDS)
    exact = np.linalg.eigh(np.cov(spectra.T))[1][:, ::-1][:, :COMPONENTS]
    begin = time.perf_counter()
    ours = run(fit_projection([part], PcaConfig(bands=BANDS, components=COMPONENTS)))
    found = {"part_pixels": len(spectra), "ours_s": time.perf_counter() - begin}
    times = []
    for batch in (5 * BANDS, 16384):
        theirs = IncrementalPCA(COMPONENTS, batch_size=batch)
        begin = time.perf_counter()
        theirs.fit(spectra)
        times.append(time.perf_counter() - begin)
    found |= {"incremental_s": min(times), "speed_up": min(times) / found["ours_s"]}
    found["ours_angle"] = float(subspace_angles(ours.components.T, exact).max())
    found["incremental_angle"] = float(subspace_angles(theirs.components_.T, exact).max())
    return found


def small_cube(turns: int = 7) -> dict[str, float]:
    """Time fit and projection of one cube in memory against NumPy (float64 covariance, float32 throughout) and scikit-learn."""
    from sklearn.decomposition import PCA

    from napari_hsi_ssl.config import PcaConfig
    from napari_hsi_ssl.cubes.cube import as_cube
    from napari_hsi_ssl.explore.pca import Source, fit_projection, project_cube
    from napari_hsi_ssl.progress import run

    generator = np.random.default_rng(0)
    values = generator.random((207_400, 6)) @ generator.random((6, 103)) + 0.01 * generator.standard_normal((207_400, 103))
    values = values.astype(np.float32).reshape(610, 340, 103)
    source = Source("cube", "bench", as_cube(values, name="cube"), np.ones((610, 340), dtype=bool))
    spectra = values.reshape(-1, 103)

    def ours_fit():
        return run(fit_projection([source], PcaConfig(bands=103, components=10)))

    def ours() -> None:
        run(project_cube(ours_fit(), source))

    def numpy_covariance() -> None:
        vectors = np.linalg.eigh(np.cov(spectra.T))[1][:, ::-1][:, :10]
        (spectra - spectra.mean(axis=0)) @ vectors.astype(np.float32)

    def numpy_float32() -> None:
        centred = spectra - spectra.mean(axis=0)
        vectors = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :10]
        centred @ vectors

    def scikit_learn() -> None:
        PCA(10, svd_solver="covariance_eigh").fit_transform(spectra)

    ways = {"small_fit_s": ours_fit, "small_fit_and_project_s": ours, "small_numpy_covariance_s": numpy_covariance}
    ways |= {"small_numpy_float32_s": numpy_float32, "small_scikit_learn_s": scikit_learn}
    best = dict.fromkeys(ways, np.inf)
    for _ in range(turns):  # in turns, so that a busy moment hits all alike
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - begin)
    return {name: float(value) for name, value in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=10_000_000)
    parser.add_argument("--part", type=int, default=100_000, help="pixels for the comparison with IncrementalPCA")
    parser.add_argument("--layout", choices=["bip", "bsq"], default="bip")
    parser.add_argument("--folder", type=Path, help="where the 5 GB go for the time of the run")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--small", action="store_true", help="only the cube of 610 × 340 × 103")
    parser.add_argument("--worker", choices=["fit", "compare", "small"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker == "small" or given.small:
        print(json.dumps(small_cube()))
        return
    if given.worker:
        path = given.folder / "cube.npy"
        figures = fit_and_watch(path, given.folder / "scores.npy") if given.worker == "fit" else against_incremental(path, given.part)
        print(json.dumps(figures))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        write_cube(Path(name) / "cube.npy", given.pixels, given.layout)
        figures: dict[str, object] = {"bands": BANDS, "components": COMPONENTS, "layout": given.layout, "cores": psutil.cpu_count()}
        for worker in ("fit", "compare", "small"):
            command = [sys.executable, __file__, "--worker", worker, "--folder", name, "--part", str(given.part)]
            figures |= json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    for key, value in figures.items():
        print(f"{key:>20}  {value:.4g}" if isinstance(value, float) else f"{key:>20}  {value}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
