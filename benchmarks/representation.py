"""What a representation of single pixels is worth on pixels it has never seen: learned, training-free, and the simple rows, on the same folds.

Three labelled scenes. Indian Pines and Samson are split into blocks of 30 pixels, two folds, repeated three times, with a guard of 12
pixels; EnMAP Potsdam by whole tiles, three folds, repeated three times. Windows are 9 pixels (and the second view of the recipe
`pixel` may lie 3 pixels off), so no test window shares a pixel with a training window. Inductive: statistics, projections and networks
are made from pixels that lie nearer to a training label than to a test label (whole training tiles). Only classes that both sides
have are scored. The folds lie in `folds/`, made once by --make-folds.

    python benchmarks/representation.py WORK [--scenes "Indian Pines" …] [--steps 300] [--table] [--make-folds]

The row "recommended" is what `napari-hsi-ssl recommend` chooses by the training labels alone, for kNN (whose choice serves five labels too)
and for the logistic head. Every fold of a scene is one JSON file in WORK; what is there is not computed again. The table has kNN (k = 20, cosine), the logistic
probe on standardised features, and the nearest neighbour with five labels a class (mean of five draws), each as overall accuracy.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, uniform_filter
from training_free import scenes as whole_scenes

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.config import PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.explore.bilateral import denoise
from napari_hsi_ssl.explore.pca import Source, fit_projection, project_cube
from napari_hsi_ssl.mapping.classifiers import linear_probe
from napari_hsi_ssl.mapping.recommend import METHODS, best, held_out_parts, trials
from napari_hsi_ssl.mapping.training_free import embed, fit_shape
from napari_hsi_ssl.metrics.neighbours import knn_vote
from napari_hsi_ssl.metrics.paired import corrected_t_test
from napari_hsi_ssl.patches.splits import split_labels
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.train import pretrain

FOLDS = Path(__file__).parent / "folds"
BLOCK, GUARD, REPEATS, TILE_FOLDS, WINDOW = 30, 12, 3, 3, 9
SIMPLE = ("raw", "PCA-30", "MNF-30", "MNF-30, 5×5 mean")
LEARNED = {"pixel": "training-free inlet", "poster": "PCA"}
STANDARDISED = ("raw", *(name for recipe in LEARNED for name in (recipe, f"random backbone of {recipe}")))
"""Rows whose features are standardised before cosines are taken, as `classify` does with those of a network."""
FIGURES = ("knn", "logistic", "five")
Image = NDArray[np.floating]


@dataclass(frozen=True)
class Scene:
    """Cubes of one camera with labels.

    Attributes
    ----------
    name : str
    cubes : dict of str to DataArray (y, x, band)
    labels : dict of str to int array (y, x)
    """

    name: str
    cubes: dict[str, xr.DataArray]
    labels: dict[str, NDArray[np.integer]]

    @property
    def folder(self) -> Path:
        """Where its folds lie."""
        return FOLDS / self.name.lower().replace(" ", "_")


@dataclass(frozen=True)
class Fold:
    """Labels (y, x) of both sides by cube, and the pixels that may be learned from without labels."""

    name: str
    train: dict[str, NDArray[np.integer]]
    test: dict[str, NDArray[np.integer]]
    area: dict[str, NDArray[np.bool_]]


def scenes() -> Iterator[Scene]:
    """Yield every labelled scene that is at hand."""
    for name, cube, labels, _ in whole_scenes():
        short = name.lower().replace(" ", "_")
        yield Scene(name, {short: cube}, {short: labels})
    folder = Path(os.environ.get("HSI_TEST_DATA", "../shared/data")) / "enmap_potsdam"
    if folder.exists():
        tiles = sorted((folder / "images").glob("*.tif"))
        labels = {tile.stem: tifffile.imread(folder / "labels" / tile.name).astype(np.int32) for tile in tiles}
        yield Scene("EnMAP", {tile.stem: read_cube(tile) for tile in tiles}, labels)


def make_folds(scene: Scene) -> None:
    """Write the folds of a scene: label files as `napari-hsi-ssl split` writes them, or the names of the test tiles."""
    scene.folder.mkdir(parents=True, exist_ok=True)
    if len(scene.cubes) > 1:
        names = list(scene.cubes)
        folds = {}
        for repeat in range(REPEATS):
            order = np.random.default_rng(repeat).permutation(len(names))
            folds |= {f"r{repeat}f{fold}": sorted(names[index] for index in order[fold::TILE_FOLDS]) for fold in range(TILE_FOLDS)}
        (scene.folder / "test_tiles.json").write_text(json.dumps(folds, indent=1) + "\n")
        return
    ((_, labels),) = scene.labels.items()
    for repeat in range(REPEATS):
        for fold, sides in enumerate(split_labels(labels, "blocks", block=BLOCK, guard=GUARD, folds=2, seed=repeat)):
            for role, side in zip(("train", "test"), sides, strict=True):
                tifffile.imwrite(scene.folder / f"r{repeat}f{fold}_{role}.tif", side.astype(np.uint8), compression="zlib")


def folds_of(scene: Scene) -> Iterator[Fold]:
    """Read the folds of a scene."""
    if len(scene.cubes) > 1:
        for name, tiles in json.loads((scene.folder / "test_tiles.json").read_text()).items():
            train = {cube: labels for cube, labels in scene.labels.items() if cube not in tiles}
            area = {cube: np.ones(labels.shape, dtype=bool) for cube, labels in train.items()}
            yield Fold(name, train, {cube: scene.labels[cube] for cube in tiles}, area)
        return
    (cube,) = scene.cubes
    for path in sorted(scene.folder.glob("*_train.tif")):
        train, test = (tifffile.imread(path.with_name(path.name.replace("train", role))).astype(np.int32) for role in ("train", "test"))
        area = distance_transform_edt(train == 0) < distance_transform_edt(test == 0)
        yield Fold(path.name.removesuffix("_train.tif"), {cube: train}, {cube: test}, {cube: area})


def projected(scene: Scene, fold: Fold, config: PcaConfig) -> tuple[dict[str, Image], dict[str, Image]]:
    """Return the components (y, x, k) of all cubes in real units and, with the training-free inlet, its embedding."""
    known = [Source(name, scene.name, scene.cubes[name], area) for name, area in fold.area.items()]
    projection = run(fit_projection(known, config))
    shape = run(fit_shape(projection, known)) if config.denoise else None
    components: dict[str, Image] = {}
    embedded: dict[str, Image] = {}
    for name, cube in scene.cubes.items():
        source = Source(name, scene.name, cube, np.ones(cube.shape[:2], dtype=bool))
        scores = run(project_cube(projection, source))
        if config.denoise:
            scores = np.concatenate([values for _, values in denoise(scores, config.denoise, projection.scale)]).astype(np.float16)
        if shape is not None:
            out = np.empty((*cube.shape[:2], scores.shape[2] + projection.grid.size), dtype=np.float16)
            embedded[name] = run(embed(scores, projection, source, shape, out)).astype(np.float32)
        components[name] = scores.astype(np.float32) * projection.scale.astype(np.float32)
    return components, embedded


def learned(scene: Scene, fold: Fold, recipe: str, steps: int, work: Path) -> dict[str, dict[str, Image]]:
    """Train a recipe on a project of the training side alone; returns its features and those of its untrained network, by cube."""
    import torch

    from napari_hsi_ssl.learning.checkpoint import build_model, load_model
    from napari_hsi_ssl.mapping.embed import embed_cube

    bands = min(cube.shape[2] for cube in scene.cubes.values())
    for name in fold.area:
        write_envi_cube(work / "cubes" / f"{name}.hdr", scene.cubes[name].assign_attrs(domain=scene.name))
    run(new(work / "project", [work / "cubes" / f"{name}.hdr" for name in fold.area]))
    project = Project.open(work / "project")
    for name, area in fold.area.items():
        project.save_mask(name, area)
    config = PcaConfig.training_free(bands, 30) if recipe == "pixel" else PcaConfig(bands=bands, components=30)
    run(fit_pca(project, config))
    run(cut_patches(project, PatchConfig(size=WINDOW, stride=2, coverage=1.0, test_share=0.1)))
    whiten = {"whiten": False} if recipe == "pixel" else {}  # MNF components stay in units of the noise
    report = run(pretrain(project, PretrainConfig.from_recipe(recipe, epochs=10_000, max_steps=steps, **whiten)))
    model, card = load_model(project.run_folder(report["run"]).model_path)
    untrained = build_model(card).eval()
    projection = project.projection()
    found: dict[str, dict[str, Image]] = {recipe: {}, f"random backbone of {recipe}": {}}
    torch.set_num_threads(1)
    for name, cube in scene.cubes.items():
        everywhere = np.ones(cube.shape[:2], dtype=bool)
        domain = next(iter(project.entries.values())).domain
        scores = run(project_cube(projection, Source(name, domain, cube, everywhere)))
        if config.denoise:
            scores = np.concatenate([values for _, values in denoise(scores, config.denoise, projection.scale)]).astype(np.float16)
        for row, network in zip(found, (model, untrained), strict=True):
            found[row][name] = run(embed_cube(network, card, scores, everywhere)).astype(np.float32)
    return found


def rows(scene: Scene, fold: Fold, steps: int, work: Path) -> dict[str, dict[str, Image]]:
    """Return every representation (y, x, d) by row and cube."""
    bands = min(cube.shape[2] for cube in scene.cubes.values())
    found: dict[str, dict[str, Image]] = {"raw": {name: np.asarray(cube.data, dtype=np.float32) for name, cube in scene.cubes.items()}}
    found["PCA-30"], _ = projected(scene, fold, PcaConfig(bands=bands, components=30))
    found["MNF-30"], _ = projected(scene, fold, PcaConfig(bands=bands, components=30, method="mnf", scale="standardise"))
    found["MNF-30, 5×5 mean"] = {name: uniform_filter(image, (5, 5, 1), mode="reflect") for name, image in found["MNF-30"].items()}
    _, found["training-free"] = projected(scene, fold, PcaConfig.training_free(bands, 30))
    if not steps:
        return found
    for recipe in LEARNED:
        found |= learned(scene, fold, recipe, steps, work / recipe)
    pair = [balanced(found[row], fold) for row in ("pixel", "training-free")]
    found["pixel and training-free"] = {name: np.concatenate([images[name] for images in pair], axis=-1) for name in scene.cubes}
    return found


def balanced(images: dict[str, Image], fold: Fold) -> dict[str, Image]:
    """Return features with mean 0 and total variance 1 over what may be learned from."""
    seen = np.concatenate([images[name][area] for name, area in fold.area.items()])
    centre, size = seen.mean(axis=0), float(np.sqrt(seen.var(axis=0).sum()))
    return {name: (image - centre) / size for name, image in images.items()}


def judge(images: dict[str, Image], fold: Fold, scored: NDArray[np.integer], *, standardise: bool) -> dict[str, float]:
    """Return the overall accuracies (%) of one representation."""
    seen = np.concatenate([images[name][area] for name, area in fold.area.items()]).astype(np.float64)
    centre, scale = seen.mean(axis=0), seen.std(axis=0) + 1e-12 if standardise else 1.0

    def side(labels: dict[str, NDArray[np.integer]]) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
        x = np.concatenate([images[name][image > 0] for name, image in labels.items()])
        return ((x - centre) / scale).astype(np.float32), np.concatenate([image[image > 0] for image in labels.values()])

    (x, y), (asked, truth) = side(fold.train), side(fold.test)
    keep = np.isin(truth, scored)
    asked, truth = asked[keep], truth[keep]
    five = []
    for draw in range(5):
        generator = np.random.default_rng(draw)
        few = np.concatenate([generator.permutation(np.flatnonzero(y == number))[:5] for number in np.unique(y)])
        five.append((knn_vote(x[few], y[few], asked, 1)[0] == truth).mean())
    shares = {"knn": (knn_vote(x, y, asked, 20)[0] == truth).mean(), "logistic": (linear_probe(x, y, asked)[0] == truth).mean(), "five": np.mean(five)}
    return {figure: 100 * float(share) for figure, share in shares.items()}


def measure(scene: Scene, fold: Fold, steps: int, work: Path) -> dict[str, Any]:
    """Judge every representation on one fold."""
    numbers = [np.unique(np.concatenate([image[image > 0] for image in side.values()])) for side in (fold.train, fold.test)]
    scored = np.intersect1d(*numbers)
    counts = {role: int(sum((image > 0).sum() for image in side.values())) for role, side in (("train", fold.train), ("test", fold.test))}
    every = rows(scene, fold, steps, work)
    judged = {row: judge(images, fold, scored, standardise=row in STANDARDISED) for row, images in every.items()}
    # What the program recommends, told by the training labels alone; a guard as wide as that between training and test.
    offered = {row: every[row] for row in ("training-free", "raw", "pixel and training-free", "pixel") if row in every}
    chosen, tried = dict.fromkeys(METHODS, "training-free"), []
    with suppress(LabelError):  # where the training labels cannot be split again
        tried = trials(offered, {"training-free", "pixel and training-free"}, held_out_parts(fold.train, GUARD))
        chosen = {method: best([trial for trial in tried if trial.method == method]).name for method in METHODS}
    judged["recommended"] = {"knn": judged[chosen["knn"]]["knn"], "logistic": judged[chosen["linear"]]["logistic"], "five": judged[chosen["knn"]]["five"]}
    return {
        "scene": scene.name,
        "fold": fold.name,
        "steps": steps,
        "scored": scored.tolist(),
        **counts,
        "rows": judged,
        "chosen": chosen,
        "tried": [[trial.name, trial.method, trial.mean] for trial in tried],
    }


def table(work: Path) -> None:
    """Print the means over folds, and each row's difference from the best simple one with its 95 % interval."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(work.glob("*.json")):
        report = json.loads(path.read_text())
        found.setdefault(report["scene"], []).append(report)
    for scene, reports in found.items():
        share = float(np.mean([report["test"] / report["train"] for report in reports]))
        figures = {row: {figure: [report["rows"][row][figure] for report in reports] for figure in FIGURES} for row in reports[0]["rows"]}
        best = {figure: max(SIMPLE, key=lambda row: np.mean(figures[row][figure])) for figure in FIGURES}
        print(f"\n{scene}: {len(reports)} folds; best simple rows: {best}")
        print("| row | kNN | logistic | five a class |\n| --- | --- | --- | --- |")
        for row, values in figures.items():
            cells = []
            for figure in FIGURES:
                test = corrected_t_test(values[figure], figures[best[figure]][figure], share) if len(reports) > 1 and row not in SIMPLE else None
                cells.append(f"{np.mean(values[figure]):.1f}" + (f" ({test.difference:+.1f}; {test.low:+.1f} … {test.high:+.1f})" if test else ""))
            print(f"| {row} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--scenes", nargs="+")
    parser.add_argument("--steps", type=int, default=300, help="of each training; 0 leaves the learned rows out")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--table", action="store_true", help="only print what has been measured")
    parser.add_argument("--make-folds", action="store_true")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    wanted = [scene for scene in scenes() if not given.scenes or scene.name in given.scenes]
    if given.make_folds:
        for scene in wanted:
            make_folds(scene)
        return
    for repeat in range(0 if given.table else given.repeats):
        for scene in wanted:
            for fold in folds_of(scene):
                path = given.work / f"{scene.folder.name}-{fold.name}.json"
                if fold.name.startswith(f"r{repeat}") and not path.exists():
                    path.write_text(json.dumps(measure(scene, fold, given.steps, given.work / path.stem), indent=1))
                    print(path.stem, json.dumps(json.loads(path.read_text())["rows"]), flush=True)
    table(given.work)


if __name__ == "__main__":
    main()
