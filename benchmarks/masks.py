"""How quick masks are, beside the libraries one would use otherwise, in the same run and with the same answer.

A scene of 610×340×103 (the size of Pavia University) with nine materials, float32. The spectral angle to nine references beside
`spectral.spectral_angles`; k-means beside scikit-learn's KMeans on all pixels, with the agreement of the two (adjusted Rand index);
a region grown from a click; the same in a cube of 1 GB on disk, with the peak of memory that is not mapped; and with ``--window`` the
gaps of the event loop while the angle's slider is dragged, beside a bare napari whose Labels layer is given the same masks.

    python benchmarks/masks.py [--json FILE]
    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/masks.py --window [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from rows import Row, compared, in_turn
from scipy import ndimage

from napari_hsi_ssl import run
from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.explore.clusters import assign, fit_clusters
from napari_hsi_ssl.explore.masks import cut_angles, find_mask
from napari_hsi_ssl.explore.regions import angle_image, grow, pixel_spectra

SHAPE = (610, 340, 103)
REPEATS = 5
GIGABYTE = (2200, 1100, 103)


def scene(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Return smooth patches of nine materials, with shade and noise."""
    rng = np.random.default_rng(seed)
    height, width, bands = shape
    fields = ndimage.zoom(rng.random((9, height // 20 + 2, width // 20 + 2)), (1, 20, 20), order=1)[:, :height, :width]
    kinds = ndimage.gaussian_filter1d(rng.random((9, bands)), 6, axis=1) + 0.2
    values = kinds[fields.argmax(axis=0)].astype(np.float32) * (0.7 + 0.6 * rng.random((height, width, 1), dtype=np.float32))
    values += rng.normal(0, 0.01, (height, 1, bands)).astype(np.float32)
    return values


def best(work: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, Any]:
    """Return the shortest time in seconds, and the last result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return min(times), result


def angles(values: np.ndarray, cube: xr.DataArray) -> dict[str, float]:
    """Time the angle to nine references, ours and the spectral library's."""
    from spectral import spectral_angles

    places = [(int(y), int(x)) for y, x in zip(np.linspace(5, 600, 9), np.linspace(5, 330, 9), strict=True)]
    references = pixel_spectra(cube, places)
    ours, found = best(lambda: run(angle_image(cube, references)))
    theirs, expected = best(lambda: spectral_angles(values, references.astype(np.float32)).min(axis=-1))
    cut, _ = best(lambda: cut_angles(found, MaskConfig(method="angle", at=places, max_angle=0.1)))
    return {
        "angle to 9 references, s": ours,
        "spectral.spectral_angles, s": theirs,
        "times faster": theirs / ours,
        "largest difference, rad": float(np.abs(found - expected).max()),
        "another tolerance, s": cut,
    }


def kinds(values: np.ndarray, cube: xr.DataArray, repeats: int = 2) -> list[Row]:
    """Time k-means with nine clusters, ours and scikit-learn's on all pixels."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    flat = values.reshape(-1, values.shape[2])

    def inertia(assigned: np.ndarray) -> float:
        means = np.stack([flat[assigned == number].mean(axis=0) for number in range(9)])
        return float(np.square(flat - means[assigned]).sum())

    ways: dict[str, Callable[[], Any]] = {"ours": lambda: run(assign(cube, run(fit_clusters(cube, 9)))).ravel()}
    for starts in (1, 4):
        ways[f"scikit-learn KMeans on all pixels, starts: {starts}"] = lambda starts=starts: KMeans(9, n_init=starts, random_state=0).fit_predict(flat)
    taken = in_turn(ways, repeats)
    return compared(
        "k-means", f"9 clusters of {values.shape[0]}×{values.shape[1]}×{values.shape[2]}", taken.pop("ours"), taken,
        lambda ours, theirs: {"adjusted Rand index": float(adjusted_rand_score(theirs, ours)), "sum of squares, of theirs": inertia(ours) / inertia(theirs)},
    )  # fmt: skip


def measure(_work: Path, *, shape: tuple[int, int, int] = SHAPE, repeats: int = 2) -> list[Row]:
    """Cluster a scene both ways."""
    values = scene(shape)
    return kinds(values, as_cube(values, name="scene"), repeats)


def regions(cube: xr.DataArray) -> dict[str, float]:
    """Time a region from a click."""
    config = MaskConfig(method="grow", at=[(300, 170)], tolerance=0.1)
    seconds, region = best(lambda: run(grow(cube, config)))
    follow, _ = best(lambda: run(grow(cube, config.model_copy(update={"follow": "mean"}))), 2)
    return {"region from a click, s": seconds, "pixels": float(region.sum()), "followed by its mean, s": follow}


def on_disk(folder: Path) -> dict[str, float]:
    """Time the same on a BIL cube of 1 GB, with the peak of allocated memory."""
    from napari_hsi_ssl.cubes.readers import read_cube

    height, width, bands = GIGABYTE
    stored = np.lib.format.open_memmap(folder / "large.npy", mode="w+", dtype=np.float32, shape=(height, bands, width))
    part = scene((220, width, bands)).transpose(0, 2, 1)
    for start in range(0, height, 220):
        stored[start : start + 220] = part
    stored.flush()
    del stored
    raw = folder / "large.dat"
    with (folder / "large.npy").open("rb") as source, raw.open("wb") as target:
        np.lib.format.read_magic(source)
        np.lib.format.read_array_header_1_0(source)
        while block := source.read(2**24):
            target.write(block)
    (folder / "large.npy").unlink()
    raw.with_suffix(".hdr").write_text(
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\nheader offset = 0\ndata type = 4\ninterleave = bil\nbyte order = 0\n"
    )
    cube = read_cube(raw.with_suffix(".hdr"))
    found: dict[str, float] = {}
    for name, config in {
        "otsu": MaskConfig(),
        "angle": MaskConfig(method="angle", at=[(30, 40), (900, 700)]),
        "kmeans": MaskConfig(method="kmeans", clusters=6),
        "grow": MaskConfig(method="grow", at=[(1000, 500)], tolerance=0.1),
    }.items():
        tracemalloc.start()
        seconds, _ = best(lambda config=config: run(find_mask(cube, config)), 1)
        found[f"1 GB, {name}: s"] = seconds
        found[f"1 GB, {name}: peak MB"] = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    return found


def drag(folder: Path) -> dict[str, float]:
    """Measure the gaps of the event loop while the angle's slider is dragged for 6 s, beside bare napari given the same masks at the same pace."""
    from heartbeat import Heart, rest, wait, window
    from napari.qt import get_qapp

    from napari_hsi_ssl.cubes.writers import write_envi_cube
    from napari_hsi_ssl.gui import layers
    from napari_hsi_ssl.gui.workbench import open_workbench
    from napari_hsi_ssl.project import Project
    from napari_hsi_ssl.steps.cubes import new

    write_envi_cube(folder / "scene.hdr", as_cube(scene(SHAPE), np.linspace(430, 860, SHAPE[2]), name="scene"))
    run(new(folder / "project", [folder / "scene.hdr"]))
    found: dict[str, float] = {}
    application = get_qapp()  # held, or Qt deletes it with all that lives in it
    heart = Heart()
    with window() as viewer:
        bench = open_workbench(viewer, explorer=False)
        bench.desk.open_project(Project.open(folder / "project"))
        wait(lambda: layers.find(viewer, "rgb", "scene") is not None)
        bench.open("mask and labels")
        form = bench.forms["mask and labels"]
        form.by_key("angle")
        form.rules.add_pick(300, 170)
        wait(lambda: layers.find(viewer, "mask", "scene") is not None and not form.jobs.running)
        rest(1.0)
        shown: list[float] = []
        layers.find(viewer, "mask", "scene").events.set_data.connect(lambda _: shown.append(time.perf_counter()))
        heart.gaps()
        for value in np.linspace(0.02, 0.4, 180):
            form.rules.angle.setValue(float(value))
            rest(1 / 30)
        gaps = heart.gaps()
        found |= {"drag: masks a second": len(shown) / gaps["seconds"], "drag: longest gap, ms": gaps["longest"], "drag: p99 gap, ms": gaps["p99"]}
        wait(lambda: not form.jobs.running)
        angle = form.rules._angles[1]
        rgb = np.asarray(layers.find(viewer, "rgb", "scene").data)
        masks = [cut_angles(angle, MaskConfig(method="angle", at=[(300, 170)], max_angle=float(value))) for value in np.linspace(0.02, 0.4, 180)]
    with window() as viewer:
        viewer.add_image(rgb, rgb=True)
        layer = viewer.add_labels(masks[0].astype(np.uint8), opacity=0.4)
        rest(1.0)
        heart.gaps()
        every = max(1, round(len(masks) / max(1, len(shown))))
        for number, mask in enumerate(masks):
            if number % every == 0:
                layer.data = mask.astype(np.uint8)
            rest(1 / 30)
        gaps = heart.gaps()
        found |= {"bare napari: longest gap, ms": gaps["longest"], "bare napari: p99 gap, ms": gaps["p99"]}
        heart.timer.stop()
        application.processEvents()
    found["beyond bare napari, ms"] = found["drag: longest gap, ms"] - found["bare napari: longest gap, ms"]
    return found


def main() -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", action="store_true", help="the gaps in a real window instead of the computations")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.window:
            found = drag(Path(folder))
        else:
            values = scene(SHAPE)
            cube = as_cube(values, name="scene")
            found = angles(values, cube) | regions(cube) | on_disk(Path(folder))
            for row in kinds(values, cube):
                found |= {f"k-means beside {row.rival}, times faster": row.ratio or np.nan, **{f"  {name}": value for name, value in row.agreement.items()}}
    for name, value in found.items():
        print(f"{name:45} {value:10.4g}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
