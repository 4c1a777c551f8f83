"""Make the pretrained trunk that comes with the program, and say what it is worth on scenes that it never saw.

    python benchmarks/box.py WORK [--steps 4000]        trains it; --install puts it into the package
    python benchmarks/box.py WORK --compare             judges it on the folds of Samson and EnMAP

Trained by the library's own steps, without labels, on data whose licences allow that a trained model is passed on: Indian Pines (CC-BY 3.0, from the
package tensorly) and the synthetic laboratory, which is made from numbers alone. Not one pixel of Samson, EnMAP or ABU, so these may judge it. Of
Indian Pines no figure may start from these weights.

The protocol: one project, every cube; the training-free inlet (denoised MNF of standardised bands, 30 components, in units of the noise); windows of 5;
recipe `pixel` with positives one pixel away at most. Nothing was tuned on any scene. With a new camera the trunk stands behind that project's own
training-free inlet, which needs no training either.

The comparison: folds and figures of `representation.py`, inductive; the rows that need no training, a random trunk of the same shape (mean of
three), the trunk in the box, and each of these two beside the training-free embedding. One JSON file a fold in WORK; what is there is not computed again.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import representation as judge
import tifffile
import torch

from napari_hsi_ssl import Project, __version__, run
from napari_hsi_ssl.config import PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.cubes.samples import indian_pines, laboratory
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.explore.bilateral import denoise
from napari_hsi_ssl.explore.pca import Source, fit_projection, project_cube
from napari_hsi_ssl.learning.checkpoint import build_model
from napari_hsi_ssl.mapping.embed import embed_cube
from napari_hsi_ssl.mapping.pretrained import box, card_for, fitted
from napari_hsi_ssl.metrics.paired import corrected_t_test
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.train import pretrain

WINDOW, STRIDE, SIDE, CUBES = 5, 2, 96, 3
ROWS = ("raw", "training-free", "random trunk", "pretrained", "random trunk and training-free", "pretrained and training-free")
RANDOM = 3


def make(work: Path, steps: int, seed: int) -> Path:
    """Train the trunk; returns the folder of the run."""
    if not (work / "project" / "project.json").exists():
        run(laboratory(work / "cubes", size=SIDE, cubes_per_domain=CUBES))
        write_envi_cube(work / "cubes" / "aviris" / "indian_pines.hdr", indian_pines()[0])
        run(new(work / "project", [work / "cubes"]))
    project = Project.open(work / "project")
    for name, entry in project.entries.items():
        truth = entry.path.with_name(f"{entry.path.stem}_labels.tif")
        if truth.exists() and project.mask(name) is None:
            project.save_mask(name, tifffile.imread(truth) > 0)  # objects without the tray
    if project.inlet is None:
        run(fit_pca(project, PcaConfig.training_free()))
    if project.patches is None:
        run(cut_patches(project, PatchConfig(size=WINDOW, stride=STRIDE, coverage=0.5, test_share=0.1)))
    settings = {"neighbour": 1, "whiten": False, "epochs": 10_000, "max_steps": steps, "seed": seed, "devices": 1, "precision": "32"}
    report = run(pretrain(project, PretrainConfig.from_recipe("pixel", **settings), run="box", resume=(project.folder / "runs" / "box").exists()))
    print({key: report[key] for key in ("loss", "steps", "seconds", "throughput", "final")})
    return project.folder / "runs" / "box"


def install(folder: Path, about: dict[str, Any]) -> None:
    """Put a trained run into the package as the trunk in the box."""
    model, _ = box()
    card = json.loads((folder / "model.json").read_text())
    dropped = ("inlet_sha256", "config_hash", "sha256")  # of a project that nobody else has, and of weights that the card for each projection cuts
    card = {key: value for key, value in card.items() if key not in dropped} | {"about": about}
    model.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "model.safetensors", model)
    model.with_suffix(".json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    print(f"{model}: {model.stat().st_size:,} bytes")


def about(folder: Path) -> dict[str, Any]:
    """Return the model card for readers: data, protocol, limits; the figures are added by --compare."""
    settings = json.loads((folder / "config.json").read_text())["pretrain"]
    result = json.loads((folder / "result.json").read_text())
    return {
        "version": 1,
        "made_with": f"napari-hsi-ssl {__version__}, benchmarks/box.py",
        "data": [
            "Indian Pines (AVIRIS, 145 × 145 × 200; Baumgardner, Biehl and Landgrebe 2015, doi:10.4231/R7RX991C; CC-BY 3.0), from the package tensorly; "
            "all pixels, no labels",
            f"the synthetic laboratory of this program (cubes.samples.laboratory): seven domains of {CUBES} cubes of {SIDE} × {SIDE}, objects only, no labels",
        ],
        "not_in_it": "Samson, EnMAP, ABU and every other scene: their licences say nothing of trained models, and so they can judge it",
        "protocol": {
            "inlet": "training-free: denoised MNF of standardised bands, 30 components in units of the noise, one projection over all domains",
            "windows": f"{WINDOW} × {WINDOW} every {STRIDE} pixels, {result['patches']:,} of them",
            "recipe": {key: settings[key] for key in ("recipe", "neighbour", "temperature", "whiten", "batch_size", "learning_rate", "seed", "augment")},
            "steps": result["steps"],
            "seconds_on_one_core": round(result["seconds"]),
        },
        "limits": [
            "it stands behind the training-free inlet of the project at hand, whose components differ from scene to scene",
            "pixels only: a window is 5 pixels wide, so texture of larger objects is not seen",
            "of Indian Pines no figure may start from these weights",
            "on Samson and EnMAP (figures) it is a little better than a random trunk and behind the training-free embedding and plain spectra; on EnMAP, whose "
            "pixels of 30 m have few neighbours of their own kind, far behind",
            "whether it is better than no training at all is told by the labels at hand: `recommend`, or Which suits best? in form 6",
        ],
        "licence": "BSD-3-Clause, as the program; Indian Pines is to be named as its source",
    }


def measure(scene: judge.Scene, fold: judge.Fold) -> dict[str, Any]:
    """Judge every row on one fold; the inlet is fitted on the training side alone."""
    torch.set_num_threads(1)
    bands = min(cube.shape[2] for cube in scene.cubes.values())
    config = PcaConfig.training_free(min(256, bands), min(30, bands))
    known = [Source(name, scene.name, scene.cubes[name], area) for name, area in fold.area.items()]
    projection = run(fit_projection(known, config))
    found: dict[str, dict[str, Any]] = {"raw": {name: np.asarray(cube.data, dtype=np.float32) for name, cube in scene.cubes.items()}}
    _, found["training-free"] = judge.projected(scene, fold, config)
    card = card_for(projection)
    weights, _ = box()
    trunks = {"pretrained": fitted(weights, card)} | {f"random {seed}": build_model(card, seed).eval() for seed in range(RANDOM)}
    for row in trunks:
        found[row] = {}
    for name, cube in scene.cubes.items():
        everywhere = np.ones(cube.shape[:2], dtype=bool)
        scores = run(project_cube(projection, Source(name, scene.name, cube, everywhere)))
        scores = np.concatenate([values for _, values in denoise(scores, config.denoise, projection.scale)]).astype(np.float16)
        for row, network in trunks.items():
            found[row][name] = run(embed_cube(network, card, scores, everywhere)).astype(np.float32)
    for row in trunks:
        pair = [judge.balanced(found[part], fold) for part in (row, "training-free")]
        found[f"{row} and training-free"] = {name: np.concatenate([images[name] for images in pair], axis=-1) for name in scene.cubes}
    numbers = [np.unique(np.concatenate([image[image > 0] for image in side.values()])) for side in (fold.train, fold.test)]
    scored = np.intersect1d(*numbers)
    plain = ("training-free", *(row for row in found if row.endswith("and training-free")))
    judged = {row: judge.judge(images, fold, scored, standardise=row not in plain) for row, images in found.items()}
    for ending in ("", " and training-free"):
        several = [judged.pop(f"random {seed}{ending}") for seed in range(RANDOM)]
        judged[f"random trunk{ending}"] = {figure: float(np.mean([one[figure] for one in several])) for figure in judge.FIGURES}
    counts = {role: int(sum((image > 0).sum() for image in side.values())) for role, side in (("train", fold.train), ("test", fold.test))}
    return {"scene": scene.name, "fold": fold.name, **counts, "rows": judged}


def compare(work: Path, repeats: int) -> dict[str, dict[str, Any]]:
    """Print each row's mean over the folds and its difference from the training-free row with a 95 % interval; returns the means.

    Folds beyond so many repetitions count only where they have been measured already.
    """
    figures: dict[str, dict[str, Any]] = {}
    for scene in (scene for scene in judge.scenes() if scene.name != "Indian Pines"):
        reports = []
        for fold in judge.folds_of(scene):
            path = work / f"box-{scene.folder.name}-{fold.name}.json"
            if not path.exists():
                if int(fold.name[1]) >= repeats:
                    continue
                path.write_text(json.dumps(measure(scene, fold), indent=1))
            reports.append(json.loads(path.read_text()))
        share = float(np.mean([report["test"] / report["train"] for report in reports]))
        print(f"\n{scene.name}: {len(reports)} folds\n| row | kNN | logistic | five a class |\n| --- | --- | --- | --- |")
        figures[scene.name] = {"folds": len(reports)}
        for row in ROWS:
            cells = []
            for figure in judge.FIGURES:
                ours, base = ([report["rows"][name][figure] for report in reports] for name in (row, "training-free"))
                test = corrected_t_test(ours, base, share) if row != "training-free" else None
                cells.append(f"{np.mean(ours):.1f}" + (f" ({test.difference:+.1f}; {test.low:+.1f} … {test.high:+.1f})" if test else ""))
                figures[scene.name].setdefault(row, {})[figure] = round(float(np.mean(ours)), 1)
            print(f"| {row} | {' | '.join(cells)} |")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=judge.REPEATS, help="of the folds, with --compare")
    parser.add_argument("--install", action="store_true", help="put the trained trunk into the package")
    parser.add_argument("--compare", action="store_true", help="judge the trunk in the package, and write the figures into its card")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if given.compare:
        model, card = box()
        card["about"]["figures"] = {
            "what": "overall accuracy in %, mean over folds that share nothing: kNN (k = 20), logistic probe, nearest of five labels a class",
            **compare(given.work, given.repeats),
        }
        model.with_suffix(".json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")
        return
    folder = make(given.work, given.steps, given.seed)
    if given.install:
        install(folder, about(folder))


if __name__ == "__main__":
    main()
