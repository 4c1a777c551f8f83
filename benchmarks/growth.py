"""How the cost of the main tasks grows with the image, its bands, classes, references and cores.

Every series is the median time of one task at growing sizes, in turn with a rival's where there is one, and the exponent of the power law
that fits it best (1 = linear). Maps are made from scores on disk up to 40 million pixels, each size in a process of its own. Cores are counted
by children that are bound to so many of them.

    python benchmarks/growth.py WORK [--quantities pixels bands classes references cores map]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from knn import as_for_maps
from numpy.typing import NDArray
from paint import ground_of, painted
from rows import in_turn
from scipy.signal import savgol_filter

from napari_hsi_ssl.config import PaintConfig, PcaConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.preprocess import preprocess_spectra
from napari_hsi_ssl.explore.match import angle_map
from napari_hsi_ssl.explore.pca import Source, fit_projection, project_cube
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.steps.painting import follow

OURS = "this project"
COMPONENTS, REFERENCES = 10, 9
Ways = Mapping[tuple[str, str], Callable[[], Any]]
"""What is timed, by task and who does it."""


@dataclass(frozen=True)
class Series:
    """The median seconds of one task at growing sizes.

    Attributes
    ----------
    quantity : str
        What grows.
    task, who : str
    x : list of float
        Its sizes.
    seconds : list of float
    resident_mb : list of float
        Memory at the peak, mapped pages counted, where it was watched.
    """

    quantity: str
    task: str
    who: str
    x: list[float]
    seconds: list[float]
    resident_mb: list[float] = field(default_factory=list)

    @property
    def exponent(self) -> float:
        """The slope of the line through the logarithms."""
        return float(np.polyfit(np.log(self.x), np.log(self.seconds), 1)[0]) if len(self.x) > 1 else float("nan")

    def as_json(self) -> dict[str, Any]:
        """Return it with its exponent."""
        return {**asdict(self), "exponent": self.exponent}


def spectra_of(pixels: int, bands: int) -> NDArray[np.float32]:
    """Return mixed spectra (pixel, band) with noise."""
    draws = np.random.default_rng(0)
    pure = np.abs(0.5 + 0.05 * np.cumsum(draws.standard_normal((REFERENCES, bands)), axis=1)).astype(np.float32) + 0.05
    return draws.dirichlet(np.full(REFERENCES, 0.3), pixels).astype(np.float32) @ pure + 0.005 * draws.standard_normal((pixels, bands), dtype=np.float32)


def projection(side: int, bands: int) -> Ways:
    """Fit ten components of a square cube and the scores of all pixels."""
    from sklearn.decomposition import PCA

    flat = spectra_of(side * side, bands)
    source = Source("cube", "growth", as_cube(flat.reshape(side, side, bands), name="cube"), np.ones((side, side), dtype=bool))

    def ours() -> None:
        run(project_cube(run(fit_projection([source], PcaConfig(bands=bands, components=COMPONENTS))), source))

    task = "PCA"
    return {(task, OURS): ours, (task, "scikit-learn"): lambda: PCA(COMPONENTS, svd_solver="covariance_eigh").fit_transform(flat)}


def angles(side: int, bands: int, references: int = REFERENCES) -> Ways:
    """Make a spectral angle map of a square cube."""
    from spectral import spectral_angles

    values = spectra_of(side * side, bands).reshape(side, side, bands)
    cube, ends = as_cube(values, name="cube"), spectra_of(references, bands)
    task = "angle map"
    return {(task, OURS): lambda: run(angle_map(cube, ends, np.pi)), (task, "spectral"): lambda: spectral_angles(values, ends).argmin(axis=-1)}


def smoothing(side: int, bands: int) -> Ways:
    """Take the Savitzky-Golay derivative of all spectra."""
    from preprocess import chain_of

    spectra, centres = spectra_of(side * side, bands).astype(float), np.linspace(400.0, 2400.0, bands)
    chain, step = chain_of("savgol:window=11,order=2,deriv=1"), float(np.linspace(400.0, 2400.0, bands)[1] - 400.0)
    task = "derivative"
    return {
        (task, OURS): lambda: preprocess_spectra(spectra, centres, chain),
        (task, "SciPy"): lambda: savgol_filter(spectra, 11, 2, deriv=1, delta=step, axis=1),
    }


def neighbours(queries: int, references: int, dimensions: int = 128, k: int = 20) -> Ways:
    """Search the nearest neighbours by cosine distance."""
    from knn import clouds
    from sklearn.neighbors import NearestNeighbors

    train, _, query = clouds(references, queries, dimensions)
    rival = NearestNeighbors(n_neighbors=k, algorithm="brute", metric="cosine", n_jobs=-1).fit(train)
    task = "kNN"
    return {(task, OURS): lambda: as_for_maps(train, query, k, "cosine"), (task, "scikit-learn"): lambda: rival.kneighbors(query)}


def painting(side: int, kinds: int = 9, count: int = 500) -> Ways:
    """Make a new map from painted pixels, by the logistic head."""
    ground, truth, _ = ground_of(side, side, kinds=kinds)
    strokes, config = painted(truth, count), PaintConfig(head="logistic", suggestions=0)
    return {("painted map", OURS): lambda: run(follow(ground, strokes, config))}


def mapping(side: int, classes: int = 16) -> Ways:
    """Make a map by a self-distillation network of window 15 from its last exit; its weights are random, which costs the same."""
    from maps import dense

    from napari_hsi_ssl.config import DistilConfig, TrunkConfig
    from napari_hsi_ssl.learning.checkpoint import build_model
    from napari_hsi_ssl.learning.data import input_settings
    from napari_hsi_ssl.learning.encoder import channels_last
    from napari_hsi_ssl.mapping.embed import map_precision

    settings = DistilConfig()
    trunk = TrunkConfig(widths=settings.widths, blocks=settings.blocks, stem_stride=1, stride=1, pool="centre")
    card = {
        "kind": "distil", "channels": 30, "window": 15, "architecture": {"trunk": trunk.model_dump(mode="json"), "classes": classes},
        "classes": {"numbers": list(range(1, classes + 1))}, "input": input_settings(np.zeros(30), np.linspace(1, 0.05, 30), "pcs", "mean"),
    }  # fmt: skip
    model = build_model(card, seed=0)
    channels_last(model)
    model.eval()
    scores = np.random.default_rng(0).standard_normal((side, side, 30), dtype=np.float32).astype(np.float16)
    last, precision = len(model.exits) - 1, map_precision("auto", on_gpu=False)  # type: ignore[arg-type]
    return {("network's map", OURS): lambda: dense(model, card, scores, (last,), precision)}


def growing(quantity: str, sizes: Sequence[int], ways_of: Sequence[Callable[[int], Ways]], repeats: int) -> Iterator[Series]:
    """Time some tasks at all sizes, ours and a rival's in turn."""
    for make in ways_of:
        found: dict[tuple[str, str], list[float]] = {}
        for size in sizes:
            ways = {"\n".join(key): way for key, way in make(size).items()}
            for name, taken in in_turn(ways, repeats).items():
                found.setdefault((name.split("\n")[0], name.split("\n")[1]), []).append(float(np.median(taken.seconds)))
        for (task, who), seconds in found.items():
            yield Series(quantity, task, who, [float(size) for size in sizes], seconds)


def cores(work: Path, counts: Sequence[int], side: int, repeats: int) -> Iterator[Series]:
    """Time the tasks of this project in children bound to so many cores."""
    found: dict[str, list[float]] = {}
    allowed = sorted(os.sched_getaffinity(0))
    for count in counts:
        environment = {**os.environ, "OMP_NUM_THREADS": str(count), "OPENBLAS_NUM_THREADS": str(count)}
        words = [sys.executable, __file__, str(work), "--bound", str(side), str(repeats)]
        bind = lambda count=count: os.sched_setaffinity(0, allowed[:count])  # noqa: E731 - in the child alone
        done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment, preexec_fn=bind)
        for task, seconds in json.loads(done.stdout.splitlines()[-1]).items():
            found.setdefault(task, []).append(seconds)
    for task, seconds in found.items():
        yield Series("cores", task, OURS, [float(count) for count in counts], seconds)


def bound(side: int, repeats: int) -> dict[str, float]:
    """Return the median seconds of the tasks of this project, in this process."""
    found = {}
    for make in (
        lambda: projection(side, 100),
        lambda: angles(side, 100),
        lambda: mapping(side),
        lambda: painting(side),
        lambda: neighbours(side**2 // 4, 2000),
    ):
        ways = {task: way for (task, who), way in make().items() if who == OURS}
        found |= {task: float(np.median(taken.seconds)) for task, taken in in_turn(ways, repeats).items()}
    return found


def measure(
    work: Path, *, quantities: Sequence[str] = ("pixels", "bands", "classes", "references", "cores", "map"),
    sides: Sequence[int] = (128, 256, 512, 1024), bands: Sequence[int] = (25, 50, 100, 200, 400), classes: Sequence[int] = (2, 4, 8, 16, 32, 64),
    references: Sequence[int] = (1_000, 3_000, 10_000, 30_000, 100_000), queries: int = 5_000, side: int = 256,
    millions: Sequence[float] = (0.1, 0.4, 1, 4, 10, 40), repeats: int = 3,
) -> list[Series]:  # fmt: skip
    """Return every series of the quantities asked for; the image's is told in pixels."""
    found: list[Series] = []
    if "pixels" in quantities:
        ways: list[Callable[[int], Ways]] = [lambda n: projection(n, 50), lambda n: angles(n, 50), lambda n: neighbours(n * n, 1000, 64), mapping, painting]
        grown = growing("pixels", sides, ways, repeats)
        found += [Series("pixels", one.task, one.who, [side * side for side in one.x], one.seconds) for one in grown]
    if "bands" in quantities:
        found += growing("bands", bands, [lambda n: projection(side, n), lambda n: angles(side, n), lambda n: smoothing(side, n)], repeats)
    if "classes" in quantities:
        found += growing("classes", classes, [lambda n: angles(side, 100, n), lambda n: painting(side, n, 5000), lambda n: mapping(side, n)], repeats)
    if "references" in quantities:
        found += growing("references", references, [lambda n: neighbours(queries, n)], repeats)
    if "cores" in quantities:
        available = len(os.sched_getaffinity(0))
        found += cores(work, [count for count in (1, 2, 4, 8, 16) if count <= available], max(sides[0], side), repeats)
    if "map" in quantities:
        found.append(from_disk(work, millions))
    return found


def from_disk(work: Path, millions: Sequence[float]) -> Series:
    """Map images of growing size from scores on disk, by a network of window 15 that `maps.py` trained."""
    from maps import growth

    models = sorted((work / "project" / "runs").glob("*-w15-*/model.safetensors"))
    if not models:
        sys.exit("no network of window 15 in WORK: run the task 'map' first")
    found = growth(models[0].parent, millions)
    return Series("pixels of a map from disk", "network's map", OURS, [row["pixels"] for row in found], [row["s"] for row in found],
                  [row["resident_mb"] for row in found])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--quantities", nargs="+", default=["pixels", "bands", "classes", "references", "cores", "map"])
    parser.add_argument("--bound", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bound:
        print(json.dumps(bound(*options.bound)))
        return
    for one in measure(options.work, quantities=options.quantities):
        print(json.dumps(one.as_json()), flush=True)


if __name__ == "__main__":
    main()
