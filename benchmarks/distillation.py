"""What each part of self-distillation is worth with few labels: one setting changed at a time, on the same folds, draws and seeds.

    python benchmarks/distillation.py WORK [--scenes "Indian Pines" Samson EnMAP] [--folds leak-free|random|published] [--labels 10]
                                      [--draws 10] [--seeds 1] [--rows base none past …] [--epochs N] [--turns] [--table]

leak-free: the folds in `folds/` (blocks of 30 pixels with a guard of 12, EnMAP by whole tiles), a draw a fold, windows of 9 pixels cut out
one by one, so that no test window shares a pixel with a training window. random: labels drawn from the whole scene, all others are test:
interpolation, comparable with most of the literature. published: the 695 / 9,671 pixels of Indian Pines, the same in every draw. A draw has
``--labels`` pixels a class to learn from, and as many again for validation, both from the training side alone: of EnMAP from other tiles, of
scenes of one cube from the same blocks (so that validation favours what interpolates); of the published split a tenth of the training
pixels is held out. The projection is fitted on pixels that lie nearer to a training label than to a test label, so nothing but the windows'
own surroundings is seen of the test side.

Every run is one JSON file in WORK; what is there is not computed again. The table has test accuracies (deepest exit), each row's difference
from ``base`` with its 95 % interval over draws (Nadeau and Bengio's corrected t-test, with the pixels of both sides of the folds; where draws
come from one scene, the plain paired test), the mean of the exits, the turned windows, what leaves early, and the row "chosen on
validation": in every draw the one that was best there.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from representation import GUARD, Fold, Scene, folds_of, scenes

from napari_hsi_ssl import Project, files, run
from napari_hsi_ssl.config import ClassifyConfig, DistilConfig, PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.explore.pca import Source, project_cube
from napari_hsi_ssl.mapping.recommend import held_out_parts
from napari_hsi_ssl.metrics.paired import corrected_t_test
from napari_hsi_ssl.metrics.scores import average_accuracy, overall_accuracy
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.train import distil, pretrain

Labels = dict[str, NDArray[np.integer]]

_STILL = {"flip": False, "rotate": False}
_PIXEL_TRUNK = (64, 64, 128)
ROWS: dict[str, dict[str, Any]] = {
    "base": {},
    # who teaches
    "none": {"direction": "none"},
    "deep": {"direction": "deep"},
    "early": {"direction": "early"},
    "past": {"direction": "past", "temperature": 1.0, "distil_weight": 1.0, "ramp_up": 1.0, "feature_weight": 0.0},
    "ramp": {"ramp_up": 0.5},
    "no feature term": {"feature_weight": 0.0},
    "strong": {"distil_weight": 2.0},
    # the network's input
    "proportions": {"whiten": 0.0},
    "half whitened": {"whiten": 0.5},
    "whitened": {"whiten": 1.0},
    "bands": {"input": "bands"},
    "window 5": {"window": 5},
    "window 9": {"window": 9},
    "bands, window 5": {"input": "bands", "window": 5},
    # few labels
    "weights": {"balance": "weights"},
    "sampling": {"balance": "sampling"},
    "no smoothing": {"label_smoothing": 0.0},
    "smoothing 0.1": {"label_smoothing": 0.1},
    "no turns": {"augment": _STILL},
    "noise": {"augment": {"noise": 0.1}},
    "dropped components": {"augment": {"drop": 0.1}},
    "gain and offset": {"augment": {"gain": 0.1, "offset": 0.1}},
    # the way there
    "one cycle": {"warm_up": 0.3, "learning_rate": 4e-3},
    "longer": {"epochs": 120},
    "widths of the trunk": {"widths": _PIXEL_TRUNK},
    "pretrained trunk": {"init": True},
    "pretrained trunk, frozen": {"init": True, "freeze": True},
}
"""What each row changes in the defaults; ``init`` starts from a trunk pretrained on the training side (recipe `pixel`)."""


@dataclass(frozen=True)
class Draw:
    """Labels to learn from, to choose by and to test with; ``share``: test pixels by pixels that could have been drawn, for the t-test."""

    name: str
    fold: Fold
    held_out: Labels
    share: float = 0.0


def draws_of(scene: Scene, kind: str, labels: int, count: int, data: Path) -> Iterator[Draw]:
    """Yield the draws of a scene."""
    if kind == "published":
        sides = [tifffile.imread(data / "splits" / f"Indian{part}123_temp123.tif").astype(np.int32) for part in ("TR", "TE")]
        train, test = (dict.fromkeys(scene.cubes, side) for side in sides)
        for draw in range(count):
            kept, held_out = drawn(train, 0.9, draw)
            yield Draw(f"d{draw}", Fold("published", kept, test, everywhere(scene)), held_out)
    elif kind == "random":
        for draw in range(count):
            train, held_out = drawn(scene.labels, labels, draw)
            used = {name: (train[name] > 0) | (held_out[name] > 0) for name in train}
            test = {name: np.where(used[name], 0, scene.labels[name]) for name in train}
            yield Draw(f"d{draw}", Fold("random", train, test, everywhere(scene)), held_out)
    else:
        for draw, fold in zip(range(count), folds_of(scene), strict=False):
            if len(fold.train) > 1:  # pixels beside those that teach would choose what is best beside them
                teach, judge = max(held_out_parts(fold.train, GUARD), key=lambda sides: _classes(sides[0]) + _classes(sides[1]))
                train, held_out = drawn(teach, labels, draw)[0], drawn(judge, labels, draw)[0]
            else:  # blocks of blocks would leave half of the classes out
                train, held_out = drawn(fold.train, labels, draw)
            yield Draw(fold.name, Fold(fold.name, train, fold.test, fold.area), held_out, _size(fold.test) / _size(fold.train))


def _size(labels: Mapping[str, NDArray[np.integer]]) -> int:
    return int(sum((image > 0).sum() for image in labels.values()))


def _classes(labels: Mapping[str, NDArray[np.integer]]) -> int:
    return np.unique(np.concatenate([image[image > 0] for image in labels.values()])).size


def everywhere(scene: Scene) -> dict[str, NDArray[np.bool_]]:
    return {name: np.ones(image.shape, dtype=bool) for name, image in scene.labels.items()}


def drawn(labels: Mapping[str, NDArray[np.integer]], amount: float, draw: int) -> tuple[Labels, Labels]:
    """Draw labels to learn from and others for validation: so many of each class (1 or more), or a share of it and all the rest."""
    generator = np.random.default_rng((41, draw))
    flat = np.concatenate([image.ravel() for image in labels.values()])
    sides = np.zeros((2, flat.size), dtype=np.int32)
    for number in np.unique(flat[flat > 0]):
        places = generator.permutation(np.flatnonzero(flat == number))
        first = int(amount) if amount >= 1 else max(1, round(amount * places.size))
        second = first if amount >= 1 else places.size - first
        # Where a class has few pixels, learning comes first.
        sides[0, places[:first]], sides[1, places[first : first + second]] = number, number
    edges = np.cumsum([image.size for image in labels.values()])[:-1]
    kept, held_out = ({name: part.reshape(image.shape) for (name, image), part in zip(labels.items(), np.split(side, edges), strict=True)} for side in sides)
    return kept, held_out


def project_of(scene: Scene, fold: Fold, work: Path) -> Project:
    """Make, or open, the project of a fold: the cubes of its training side, masked to what may be learned from, and their projection."""
    folder = work / "project"
    if (folder / "project.json").exists():
        return Project.open(folder)
    for name in fold.area:
        write_envi_cube(work / "cubes" / f"{name}.hdr", scene.cubes[name].assign_attrs(domain=scene.name))
    run(new(folder, [work / "cubes" / f"{name}.hdr" for name in fold.area]))
    project = Project.open(folder)
    for name, area in fold.area.items():
        project.save_mask(name, area)
    run(fit_pca(project, PcaConfig()))
    return Project.open(folder)


def trunk_of(project: Project, steps: int) -> str:
    """Pretrain a trunk on the training side, once a project."""
    if not any(folder.name == "trunk" and folder.result is not None for folder in project.runs()):
        run(cut_patches(project, PatchConfig(size=9, stride=2, coverage=1.0, test_share=0.1)))
        run(pretrain(project, PretrainConfig.from_recipe("pixel", epochs=10_000, max_steps=steps), run="trunk", resume=True))
    return "trunk"


def measure(scene: Scene, draw: Draw, row: str, seed: int, options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Train one row on one draw and score it."""
    from napari_hsi_ssl.learning.checkpoint import load_model
    from napari_hsi_ssl.mapping.exits import exits_probabilities, own_probabilities

    fold, held_out = draw.fold, draw.held_out
    project = project_of(scene, fold, work)
    apart = options.folds == "leak-free"
    window = options.window or (9 if apart else None)
    changes = {**({"epochs": options.epochs} if options.epochs else {}), **({"window": window} if window else {}), **ROWS[row], "seed": seed}
    init = trunk_of(project, options.steps) if changes.pop("init", False) else None
    config = DistilConfig().changed(changes)
    sides: dict[str, dict[str, Path]] = {"train": {}, "validation": {}}
    for role, labels in (("train", fold.train), ("validation", held_out)):
        for name, image in labels.items():
            if (image > 0).any():
                sides[role][name] = work / f"{name}-{role}.tif"
                files.write_tiff(sides[role][name], image.astype(np.int32))
    name = f"{row}-{seed}".replace(" ", "-").replace(",", "")
    report = run(distil(project, config, train=sides["train"], validation=sides["validation"], init=init, run=name, resume=True))
    model, card = load_model(project.run_folder(name).model_path)
    projection, domain = project.projection(), next(iter(project.entries.values())).domain
    ways = {"early": ClassifyConfig(method="distil", exit_at=options.exit_at)}
    if options.turns:
        ways["turns"] = ClassifyConfig(method="distil", exits="mean", turns=True)
    said: dict[str, list[NDArray[np.integer]]] = {way: [] for way in ("deepest", "mean", *ways)}
    truth, early = [], []
    numbers = np.asarray(card["classes"]["numbers"])
    seen = {**card, "input": {**card["input"], "background": "keep"}}  # at test every pixel around is looked at
    for cube in fold.test:
        asked = np.isin(fold.test[cube], numbers)  # a class that the training side lacks cannot be told
        if not asked.any():
            continue
        image = scene.cubes[cube]
        scores = (
            np.asarray(image.data, dtype=np.float32)
            if config.input == "bands"
            else run(project_cube(projection, Source(cube, domain, image, np.ones(image.shape[:2], dtype=bool))))
        )
        truth.append(fold.test[cube][asked])
        method = "windows" if apart else "dense"
        each = run(exits_probabilities(model, seen, scores, asked, method=method))[:, asked]
        said["deepest"].append(numbers[each[-1].argmax(axis=-1)])
        said["mean"].append(numbers[each.mean(axis=0).argmax(axis=-1)])
        for way, settings in ways.items():
            probabilities, told = run(own_probabilities(model, seen, scores, asked, settings, method=method))
            said[way].append(numbers[probabilities[asked].argmax(axis=-1)])
            early += [told["early"]] if told else []
    true = np.concatenate(truth)
    figures = {way: {"oa": overall_accuracy(true, np.concatenate(found)), "aa": average_accuracy(true, np.concatenate(found))} for way, found in said.items()}
    counts = {"train": _size(fold.train), "validation": _size(held_out)}
    return {
        "scene": scene.name, "folds": options.folds, "draw": draw.name, "row": row, "seed": seed, **counts, "test": int(true.size), "share": draw.share,
        "validation_exits": report.get("validation"), "representation": report["representation"], "seconds": report["seconds"],
        "figures": figures, "early": {key: float(np.mean([told[key] for told in early])) for key in ("saved", "saved_by_windows", "agreement")},
        "left": np.mean([told["left"] for told in early], axis=0).tolist(),
    }  # fmt: skip


def table(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Print the means over draws and seeds by row and return them."""
    result: dict[str, Any] = {}
    for scene, folds in sorted({(report["scene"], report["folds"]) for report in reports}):
        here = [report for report in reports if (report["scene"], report["folds"]) == (scene, folds)]
        by_row = {row: {(report["draw"], report["seed"]): report for report in here if report["row"] == row} for row in ROWS}
        by_row = {row: found for row, found in by_row.items() if found}
        common = sorted(set.intersection(*(set(found) for found in by_row.values())))
        if not common:
            continue
        best = {key: max(by_row, key=lambda row, key=key: by_row[row][key]["validation_exits"][-1]) for key in common}
        by_row["chosen on validation"] = {key: by_row[best[key]][key] for key in common}
        share = float(np.mean([report["share"] for report in here]))
        print(f"\n{scene}, {folds}: {len(common)} draws and seeds, {here[0]['train']} labels to learn from; chosen: {sorted(set(best.values()))}")
        print("| row | OA | against base (95 %) | AA | exits | mean | turned | compactness | separability | left at 1st | saved | validation | s |")
        print("| --- " * 13 + "|")
        for row, found in by_row.items():
            one = [found[key] for key in common]
            oa = {way: [100 * report["figures"][way]["oa"] for report in one] for way in one[0]["figures"]}
            base = [100 * by_row["base"][key]["figures"]["deepest"]["oa"] for key in common] if "base" in by_row else None
            test = corrected_t_test(oa["deepest"], base, share) if base is not None and row != "base" and len(common) > 1 else None
            means = {
                "oa": np.mean(oa["deepest"]), "aa": 100 * np.mean([report["figures"]["deepest"]["aa"] for report in one]),
                "mean": np.mean(oa["mean"]), "turns": np.mean(oa.get("turns", np.nan)),
                "validation": 100 * np.mean([report["validation_exits"][-1] for report in one]), "seconds": np.mean([report["seconds"] for report in one]),
                "compactness": np.mean([report["representation"].get("compactness", np.nan) for report in one]),
                "ratio": np.mean([report["representation"].get("ratio", np.nan) for report in one]),
                "left": np.mean([report["left"][0] for report in one]), "saved": np.mean([report["early"]["saved_by_windows"] for report in one]),
            }  # fmt: skip
            exits = 100 * np.mean([report["validation_exits"] for report in one], axis=0)
            against = f"{test.difference:+.2f} ({test.low:+.2f} … {test.high:+.2f})" if test else "–"
            cells = [f"{means['oa']:.2f}", against, f"{means['aa']:.2f}", " / ".join(f"{value:.1f}" for value in exits), f"{means['mean']:.2f}"]
            cells += [f"{means['turns']:.2f}", f"{means['compactness']:.2f}", f"{means['ratio']:.2f}", f"{100 * means['left']:.0f} %"]
            cells += [f"{100 * means['saved']:.0f} %", f"{means['validation']:.2f}", f"{means['seconds']:.0f}"]
            print(f"| {row} | {' | '.join(cells)} |")
            result[f"{scene}, {folds}, {row}"] = {**{key: float(value) for key, value in means.items()}, "against_base": vars(test) if test else None}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--scenes", nargs="+", default=["Indian Pines", "Samson", "EnMAP"])
    parser.add_argument("--folds", choices=["leak-free", "random", "published"], default="leak-free")
    parser.add_argument("--labels", type=int, default=10, help="a class, to learn from and as many for validation")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--epochs", type=int, help="of every row that sets none of its own")
    parser.add_argument("--window", type=int, help="the same; 9 on leak-free folds, else the default")
    parser.add_argument("--steps", type=int, default=300, help="of the pretraining of a trunk")
    parser.add_argument("--exit-at", type=float, default=0.95)
    parser.add_argument("--turns", action="store_true", help="also ask turned windows, which takes eight times as long")
    parser.add_argument("--table", action="store_true", help="only print what has been measured")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    data = Path(os.environ.get("HSI_TEST_DATA", "../shared/data"))
    wanted = [] if given.table else [scene for scene in scenes() if scene.name in given.scenes and (given.folds != "published" or scene.name == "Indian Pines")]
    for scene in wanted:
        for draw in draws_of(scene, given.folds, given.labels, given.draws, data):
            stem = f"{scene.folder.name}-{given.folds}-{given.labels}-{draw.name}"
            for row in given.rows:
                for seed in range(given.seeds):
                    path = given.work / f"{stem}-{row}-{seed}.json".replace(" ", "_")
                    if path.exists():
                        continue
                    started = time.monotonic()
                    report = measure(scene, draw, row, seed, given, given.work / "folds" / stem)
                    files.write_json(path, report)
                    oa = {way: round(100 * figures["oa"], 2) for way, figures in report["figures"].items()}
                    print(stem, row, seed, oa, f"{time.monotonic() - started:.0f} s", flush=True)
    files.write_json(given.work / "result.json", table([json.loads(path.read_text()) for path in sorted(given.work.glob("*-*.json"))]))


if __name__ == "__main__":
    main()
