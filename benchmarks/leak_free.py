"""Every rival and the self-distilled network where nothing leaks: on blocks and tiles whose windows share no pixel with a training window.

Indian Pines (from tensorly) and Samson: blocks of 36 pixels, three folds, repeated three times, with a guard of 14 pixels, so that windows of 15
pixels, the widest of the table, do not meet; EnMAP Potsdam: whole tiles, the folds of `folds/enmap`. All labels of the training side teach. Input
and window of the self-distilled network, and which rival from outside is the best, are chosen on parts of the training labels (rows
``distil:chosen``, ``none:chosen``, ``outside``), each held out by blocks as far from the rest as the test is, or by whole tiles. Classes with test
pixels but without training pixels are listed, not scored.

    python benchmarks/leak_free.py WORK [--scenes indian_pines samson enmap] [--only r0f0 …] [--rows …] [--seeds 3] [--steps 800]
    python benchmarks/leak_free.py WORK --table         # what has been measured, without measuring
    python benchmarks/leak_free.py WORK --make-folds

Every result (scene, fold, row, seed) is kept in WORK/SCENE/project/tables: what is there is not made again, so the table can be measured in pieces.
WORK/SCENE.json and WORK/leak_free.md hold the table of the folds that are complete.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import tifffile
from representation import FOLDS as OLD_FOLDS
from representation import Scene, scenes

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.config import TableConfig
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.mapping.baselines.rows import OUTSIDE, VARIANTS
from napari_hsi_ssl.patches.splits import split_labels
from napari_hsi_ssl.progress import Progress
from napari_hsi_ssl.steps.baselines import baselines
from napari_hsi_ssl.steps.cubes import new

BLOCK, GUARD, FOLD_COUNT, REPEATS = 36, 14, 3, 3
ROWS = ("position", *OUTSIDE, "outside", *(f"distil:{variant}" for variant in VARIANTS), "distil:chosen", "none:chosen", "random")


def folder_of(scene: Scene) -> Path:
    return OLD_FOLDS / "enmap" if len(scene.cubes) > 1 else OLD_FOLDS / "leak_free" / short(scene)


def short(scene: Scene) -> str:
    return scene.name.lower().replace(" ", "_")


def make_folds(scene: Scene) -> None:
    """Write ``rRfF_train.tif`` and ``rRfF_test.tif``: what ``napari-hsi-ssl split --block 36 --guard 14 --folds 3 --seed R`` gives."""
    if len(scene.cubes) > 1:
        return
    folder_of(scene).mkdir(parents=True, exist_ok=True)
    ((_, labels),) = scene.labels.items()
    for repeat in range(REPEATS):
        for fold, sides in enumerate(split_labels(labels, "blocks", block=BLOCK, guard=GUARD, folds=FOLD_COUNT, seed=repeat)):
            for role, side in zip(("train", "test"), sides, strict=True):
                tifffile.imwrite(folder_of(scene) / f"r{repeat}f{fold}_{role}.tif", side.astype(np.uint8), compression="zlib")


def project_of(scene: Scene, work: Path) -> Project:
    """Open the project of a scene, made now where it is not there yet."""
    folder = work / short(scene) / "project"
    if not (folder / "project.json").exists():
        for name, cube in scene.cubes.items():
            write_envi_cube(work / short(scene) / "cubes" / f"{name}.hdr", cube)
        run(new(folder, sorted((work / short(scene) / "cubes").glob("*.hdr"))))
        for name, labels in scene.labels.items():
            Project.open(folder).save_labels(name, labels)
    return Project.open(folder)


def names_of(scene: Scene) -> list[str]:
    folder = folder_of(scene)
    if len(scene.cubes) > 1:
        return list(json.loads((folder / "test_tiles.json").read_text()))
    return sorted(path.name.removesuffix("_train.tif") for path in folder.glob("*_train.tif"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--scenes", nargs="+", help="indian_pines, samson, enmap")
    parser.add_argument("--only", nargs="+", help="folds by name, such as r0f0; all by default")
    parser.add_argument("--rows", nargs="+", default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=800, help="of every training of a network")
    parser.add_argument("--table", action="store_true", help="only the folds that are complete; measure nothing")
    parser.add_argument("--make-folds", action="store_true")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    reference = "distil:chosen" if "distil:chosen" in given.rows else None
    config = TableConfig(rows=tuple(given.rows), seeds=given.seeds, max_steps=given.steps, reference=reference)
    parts = []
    for scene in scenes():
        if given.scenes and short(scene) not in given.scenes:
            continue
        if given.make_folds:
            make_folds(scene)
            continue
        project, done_file = project_of(scene, given.work), given.work / short(scene) / f"done-{config.digest()}.json"
        complete = json.loads(done_file.read_text()) if done_file.exists() else []
        how = {"folds": folder_of(scene), "cube": None if len(scene.cubes) > 1 else next(iter(project.entries))}
        for name in [] if given.table else names_of(scene):
            if name in complete or (given.only and name not in given.only):
                continue
            start = time.perf_counter()
            report = run(baselines(project, config=config, **how, only=[name]), told)
            complete.append(name)
            done_file.write_text(json.dumps(complete))
            print(
                f"{scene.name}, {name}: {time.perf_counter() - start:.0f} s",
                json.dumps({row["key"]: round(100 * row["oa"], 1) for row in report["rows"]}),
                flush=True,
            )
        if complete:
            report = run(baselines(project, config=config, **how, only=sorted(complete), out=given.work / f"{short(scene)}.json"))
            parts.append(f"## {scene.name}\n\n{report['table']}")
            print(report["table"], flush=True)
    if parts:
        (given.work / "leak_free.md").write_text("\n".join(parts))


_said: list[str] = []


def told(progress: Progress) -> None:
    """Say what is being made, once."""
    if progress.message and progress.message not in _said[-1:]:
        _said.append(progress.message)
        print(f"{time.strftime('%H:%M:%S')} {progress.message}", flush=True)


if __name__ == "__main__":
    main()
