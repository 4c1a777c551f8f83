"""Whether maps are right as often as they say, and whether what is unlike training is seen.

ECE before and after the temperature, on the published split of Indian Pines (695 / 9,671 pixels) and on its leak-free folds (`folds/leak_free`): the
self-distilled network, a fifth of whose training pixels (published split, drawn a class) or a third of whose training blocks (folds) is held out for
the temperature; and kNN and the logistic head on the training-free embedding, which hold out parts of the labels by themselves, far from those that
teach (the default) or near. By command line.

The unknown class: every class of EnMAP Potsdam (whole tiles) and of Samson (blocks) is left out of the training labels in turn; which share of
its pixels is marked as unlike training at 5 % false alarms, and how many false alarms there are on the test side. Beside it what a logistic head
finds at as many false alarms that *knows* the class: what is not told apart with labels cannot be told apart without. By the steps of the program.

    python benchmarks/calibration.py WORK [--parts published leak_free unknown] [--seeds 5] [--folds 9] [--epochs 60] [--data ../shared/data]

Every figure is kept in WORK/PART.jsonl; what is there is not measured again. `--table` prints the means of what has been measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from leak_free import project_of, short
from numpy.typing import NDArray
from representation import Fold, Scene, folds_of, scenes

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.config import ClassifyConfig, PcaConfig
from napari_hsi_ssl.cubes.samples import indian_pines
from napari_hsi_ssl.cubes.writers import load_map
from napari_hsi_ssl.errors import HsiError, LabelError
from napari_hsi_ssl.learning.data import component_gain
from napari_hsi_ssl.mapping.classifiers import fit_linear
from napari_hsi_ssl.mapping.trust import judged_parts, labelled_sample
from napari_hsi_ssl.mapping.unknown import Scaled, fit_clouds
from napari_hsi_ssl.patches.splits import split_labels
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.pca import fit_pca

GUARD, HELD_OUT, FALSE_ALARMS = 14, 5, 0.05
HEADS = ("knn", "linear")
Labels = dict[str, NDArray[np.int32]]


def command(*words: object) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "napari_hsi_ssl", *map(str, words), "--json"], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout.splitlines()[-1])
    if done.returncode != 0:
        raise HsiError(f"{words[0]} failed: {report}")
    return report


# -- calibration ----------------------------------------------------------------------------------------------------------


def indian_pines_project(work: Path) -> Path:
    project = work / "indian_pines" / "project"
    if not (project / "project.json").exists():
        (work / "indian_pines").mkdir(parents=True, exist_ok=True)
        np.save(work / "indian_pines" / "indian_pines.npy", np.asarray(indian_pines()[0].data))
        command("new", project, "--cubes", work / "indian_pines" / "indian_pines.npy")
        command("pca", project)
    return project


def splits(part: str, data: Path, seeds: int, folds: int) -> Iterator[tuple[str, int, NDArray[Any], NDArray[Any]]]:
    """Yield name, seed, training and test labels."""
    if part == "published":
        train, test = (tifffile.imread(data / "splits" / f"Indian{side}123_temp123.tif").astype(np.int32) for side in ("TR", "TE"))
        for seed in range(seeds):
            yield f"seed {seed}", seed, train, test
        return
    for path in sorted((Path(__file__).parent / "folds" / "leak_free" / "indian_pines").glob("*_train.tif"))[:folds]:
        train, test = (tifffile.imread(path.with_name(path.name.replace("train", side))).astype(np.int32) for side in ("train", "test"))
        yield path.name.removesuffix("_train.tif"), 0, train, np.where(np.isin(test, np.unique(train)), test, 0)


def held_out(part: str, train: NDArray[np.int32], seed: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Divide training labels into those that teach and those that give the temperature."""
    if part == "published":  # the test pixels lie beside those of training: small blocks, no guard
        taught, judged = split_labels(train, "blocks", block=5, guard=0, folds=HELD_OUT, seed=seed)[0]
    else:
        (first, second), *_ = judged_parts({"cube": train}, GUARD, seed)[0]
        taught, judged = first["cube"].astype(np.int32), second["cube"].astype(np.int32)
    # A class that is held out whole would be no class of the network.
    learned = np.where(np.isin(train, np.unique(taught)), 0, train) + taught
    return learned.astype(np.int32), np.where(learned > 0, 0, judged).astype(np.int32)


def calibration(part: str, given: argparse.Namespace, done: set[str]) -> Iterator[dict[str, Any]]:
    work, name = given.work.absolute(), "indian_pines"
    project = indian_pines_project(work)
    for split, seed, train, test in splits(part, given.data, given.seeds, given.folds):
        files = {role: work / "labels" / f"{part}-{split.replace(' ', '')}-{role}.tif" for role in ("taught", "judged", "train", "test")}
        files["train"].parent.mkdir(exist_ok=True)
        taught, judged = held_out(part, train, seed)
        for role, image in zip(files, (taught, judged, train, test), strict=True):
            tifffile.imwrite(files[role], image)
        for method in given.methods:
            if f"{split} {method}" in done or (seed and method in HEADS):  # heads draw nothing
                continue
            if method == "distil":
                one = f"{part}-{split.replace(' ', '')}"
                labels = ["--train", f"{name}={files['taught']}", "--validation", f"{name}={files['judged']}"]
                if not (project / "runs" / one / "result.json").exists():
                    command("distil", project, *labels, "--run", one, "--seed", seed, *(["--epochs", given.epochs] if given.epochs else []))
                how = ["--run", one, "--method", method]
            else:
                how = ["--run", "training-free", "--method", method, "--train", f"{name}={files['train']}"]
            row: dict[str, Any] = {"key": f"{split} {method}", "method": method}
            whens = {"before": "no", "after": "far"} if method == "distil" else {"before": "no", "far": "far", "near": "near"}
            for when, option in whens.items():
                made = command("classify", project, "--cube", name, *how, "--calibrate", option)["maps"][0]["path"]
                score = command("score", made, "--labels", files["test"])
                row |= {"oa": score["oa"], f"ece_{when}": score["ece"], f"ece_width_{when}": score["calibration"]["ece_width"]}
                told = load_map(Path(made)).provenance.get("calibration")
                row |= {f"temperature_{when}": told["temperature"], f"held_out_{when}": told["n"]} if isinstance(told, dict) else {}
            yield row


# -- unknown --------------------------------------------------------------------------------------------------------------


def without(labels: Labels, number: int) -> Labels:
    return {cube: np.where(image == number, 0, image).astype(np.int32) for cube, image in labels.items()}


def only(labels: Labels, number: int) -> Labels:
    return {cube: np.where(image == number, image, 0).astype(np.int32) for cube, image in labels.items()}


def oracle(scores: dict[str, Any], fold: Fold, train: Labels, test: Labels, new: Labels, number: int) -> float | None:
    """Return what a logistic head finds of the class that learned it, at as many false alarms on the test side; None where it cannot learn it."""
    x, y = labelled_sample(scores, fold.train, 5000)
    if (y == number).sum() < 5:
        return None
    probe = fit_linear(x, y == number)
    known, asked = (probe.proba(labelled_sample(scores, labels, 5000)[0])[:, 1] for labels in (test, new))
    return float((asked > np.quantile(known, 1 - FALSE_ALARMS)).mean())


def unknown(given: argparse.Namespace, done: set[str]) -> Iterator[dict[str, Any]]:
    for scene in scenes():
        if scene.name == "Indian Pines":
            continue
        project = prepared(scene, given.work)
        gain = component_gain(project.projection().variance, whiten=False).astype(np.float32)
        scores = {cube: Scaled(project.scores(cube), np.float32(0), gain) for cube in project.entries}
        numbers = np.unique(np.concatenate([image[image > 0] for image in scene.labels.values()]))
        for fold in list(folds_of(scene))[: given.folds]:
            for number in numbers.tolist():
                key = f"{scene.name} {fold.name} {number}"
                train, new = without(fold.train, number), only(fold.test, number)
                known = np.unique(np.concatenate([image[image > 0] for image in train.values()]))
                test = {cube: np.where(np.isin(image, known), image, 0).astype(np.int32) for cube, image in fold.test.items()}
                if key in done or known.size < 2 or not any(image.any() for image in new.values()):
                    continue
                row: dict[str, Any] = {"key": key, "scene": scene.name, "class": number, "oracle": oracle(scores, fold, train, test, new, number)}
                try:
                    clouds = fit_clouds(scores, train, guard=4)
                    flagged, alarms = (clouds.typicality(labelled_sample(scores, part, 10**6)[0]) <= FALSE_ALARMS for part in (new, test))
                    row |= {"pcs": float(flagged.mean()), "pcs_alarms": float(alarms.mean()), "held_out": clouds.source}
                    for features in ("spectra", "training-free"):
                        row |= mapped(project, features, train, test, new)
                except LabelError as error:
                    row["refused"] = str(error)
                yield row


def mapped(project: Project, features: str, train: Labels, test: Labels, new: Labels) -> dict[str, float]:
    """Return which share of unknown and of known test pixels is marked in maps as the program makes them."""
    folder = project.folder.parent / "labels"
    files = {}
    for cube, image in train.items():
        if image.any():
            files[cube] = folder / f"{cube}.tif"
            files[cube].parent.mkdir(exist_ok=True)
            tifffile.imwrite(files[cube], image)
    cubes = [cube for cube in test if test[cube].any() or new[cube].any()]
    report = run(classify(project, features, ClassifyConfig(method="knn", k=5, calibrate="no", unknown=FALSE_ALARMS), cubes, files))
    marks: dict[str, list[NDArray[np.bool_]]] = {"": [], "_alarms": []}
    for made in report["maps"]:
        found = load_map(Path(made["path"]))
        unlike = found.labels == max(found.classes.numbers)
        for what, labels in (("", new), ("_alarms", test)):
            marks[what].append(unlike[labels[made["cube"]] > 0])
    return {f"{features}{what}": float(np.concatenate(parts).mean()) for what, parts in marks.items()}


def prepared(scene: Scene, work: Path) -> Project:
    project = project_of(scene, work.absolute())
    if project.inlet is None:
        run(fit_pca(project, PcaConfig()))
    return Project.open(work.absolute() / short(scene) / "project")


# -- figures --------------------------------------------------------------------------------------------------------------


def table(part: str, rows: list[dict[str, Any]]) -> None:
    groups = sorted({row["scene"] if part == "unknown" else row["method"] for row in rows})
    for group in groups:
        chosen = [row for row in rows if group in (row.get("scene"), row.get("method"))]
        figures = sorted({name for row in chosen for name, value in row.items() if isinstance(value, float)})
        means = {name: float(np.mean([row[name] for row in chosen if row.get(name) is not None])) for name in figures}
        print(f"{part}, {group} ({len(chosen)}): " + "  ".join(f"{name} {value:.3f}" for name, value in means.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--parts", nargs="+", default=["published", "leak_free", "unknown"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", type=int, default=9)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--methods", nargs="+", default=["distil", *HEADS])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    for part in given.parts:
        path = given.work / f"{part}.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        if not given.table:
            done = {row["key"] for row in rows}
            for row in unknown(given, done) if part == "unknown" else calibration(part, given, done):
                rows.append(row)
                with path.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
        if rows:
            table(part, rows)


if __name__ == "__main__":
    main()
