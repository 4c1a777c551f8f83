"""The whole main job on the bundled real sample, as one step."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from napari_hsi_ssl import files
from napari_hsi_ssl.config import ClassifyConfig, DistilConfig, EvaluateConfig, MaskConfig, PatchConfig, PcaConfig, PretrainConfig, SplitConfig
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.steps import judge, splits
from napari_hsi_ssl.steps.baselines import baselines
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.evaluate import evaluate
from napari_hsi_ssl.steps.mask import make_masks
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.samples import indian_pines_project
from napari_hsi_ssl.steps.train import distil, pretrain


def demo(folder: Path, *, epochs: int = 10, distil_epochs: int = 10) -> Steps[dict[str, Any]]:
    """Go from the cube to scored maps in ``folder/project``; what an earlier demonstration left there makes room.

    Every accuracy is measured on blocks of the scene whose windows share no pixel with a labelled training window. The PCA and SimCLR
    see pixels of the test blocks too, without labels (a transductive protocol); those labels play no part before the scores.
    """
    if (folder / "project" / "cubes" / "aviris" / "indian_pines.hdr").exists():
        shutil.rmtree(folder / "project")
    project = yield from indian_pines_project(folder / "project")
    cube = next(iter(project.entries))
    report: dict[str, Any] = {"project": str(project.folder)}
    report["mask"] = yield from make_masks(project, MaskConfig(method="all"))
    report["pca"] = yield from fit_pca(project, PcaConfig())
    report["patches"] = yield from cut_patches(project, PatchConfig(size=9, stride=2))
    report["pretrain"] = yield from pretrain(project, PretrainConfig.from_recipe("pixel", epochs=epochs), run="simclr")
    report["evaluate"] = yield from evaluate(project, "simclr", EvaluateConfig(labels="class"))
    report["split"] = yield from splits.split(project.labels_path(cube), folder / "split", SplitConfig(block=24, guard=8))
    train, test = folder / "split" / "fold1_train.tif", folder / "split" / "fold1_test.tif"
    report["audit"] = yield from splits.audit(train, test, window=9)
    report["distil"] = yield from distil(project, DistilConfig(epochs=distil_epochs, window=9), train={cube: train}, run="self-distillation")
    scores, maps = {}, {}
    for method, run in (("knn", "simclr"), ("linear", "simclr"), ("distil", "self-distillation")):
        made = yield from classify(project, run, ClassifyConfig.parse({"method": method}), [cube], {cube: train})
        maps[method] = made["maps"][0]["path"]
        scores[method] = yield from judge.score(Path(maps[method]), test)
    report["maps"], report["scores"] = maps, scores
    report["baselines"] = yield from baselines(project, {cube: train}, {cube: test})
    report["accuracies"] = {name: {"oa": found["oa"], "aa": found["aa"]} for name, found in scores.items()} | {
        row["name"]: {"oa": row["oa"], "aa": row["aa"]} for row in report["baselines"]["rows"]
    }
    files.write_json(folder / "result.json", report)
    return report
