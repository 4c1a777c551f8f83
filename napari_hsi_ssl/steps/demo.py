"""The whole main job on the bundled real sample, as one step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_hsi_ssl import files
from napari_hsi_ssl.config import ClassifyConfig, DistilConfig, EvaluateConfig, MaskConfig, PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.cubes.samples import indian_pines
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import judge
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.evaluate import evaluate
from napari_hsi_ssl.steps.labels import labels_from_file
from napari_hsi_ssl.steps.mask import make_masks
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.train import distil, pretrain

CUBE = "indian_pines"


def write_sample(folder: Path) -> tuple[Path, Path]:
    """Write Indian Pines as an ENVI cube and its ground truth as a TIFF; returns both paths."""
    cube, labels, _ = indian_pines()
    path, truth = folder / "aviris" / f"{CUBE}.hdr", folder / f"{CUBE}_labels.tif"
    write_envi_cube(path, cube)
    files.write_tiff(truth, labels)
    return path, truth


def demo(folder: Path, *, epochs: int = 10, distil_epochs: int = 10) -> Steps[dict[str, Any]]:
    """Go from the cube to scored maps in ``folder/project``, on a split whose windows share no pixel.

    Every accuracy is measured on blocks of the scene that lie at least a guard away from every training pixel.
    """
    yield Progress(message="writing the sample cube")
    path, truth = write_sample(folder / "sample")
    yield from new(folder / "project", [path])
    project = Project.open(folder / "project")
    classes = indian_pines()[2]
    yield from labels_from_file(project, CUBE, truth)
    project.save_labels(CUBE, project.labels(CUBE), dict(zip(classes.numbers, classes.names, strict=True)))  # type: ignore[arg-type]
    report: dict[str, Any] = {"project": str(project.folder)}
    report["mask"] = yield from make_masks(project, MaskConfig(method="all"))
    report["pca"] = yield from fit_pca(project, PcaConfig())
    report["patches"] = yield from cut_patches(project, PatchConfig(size=9, stride=2))
    report["pretrain"] = yield from pretrain(project, PretrainConfig.from_recipe("pixel", epochs=epochs), run="simclr")
    report["evaluate"] = yield from evaluate(project, "simclr", EvaluateConfig(labels="class"))
    report["split"] = yield from judge.split(truth, folder / "split", kind="blocks", block=24, guard=8, folds=4)
    train, test = folder / "split" / "fold1_train.tif", folder / "split" / "fold1_test.tif"
    report["audit"] = yield from judge.audit(train, test, window=9)
    report["distil"] = yield from distil(project, DistilConfig(epochs=distil_epochs, window=9), train={CUBE: train}, run="self-distillation")
    scores, maps = {}, {}
    for method, run in (("knn", "simclr"), ("linear", "simclr"), ("distil", "self-distillation")):
        made = yield from classify(project, run, ClassifyConfig.parse({"method": method}), [CUBE], {CUBE: train})
        maps[method] = made["maps"][0]["path"]
        scores[method] = yield from judge.score(Path(maps[method]), test)
    report["maps"], report["scores"] = maps, scores
    report["baselines"] = yield from judge.baselines(project, {CUBE: train}, {CUBE: test})
    report["accuracies"] = {name: {"oa": found["oa"], "aa": found["aa"]} for name, found in scores.items()} | {
        row["name"]: {"oa": row["oa"], "aa": row["aa"]} for row in report["baselines"]["rows"]
    }
    files.write_json(folder / "result.json", report)
    return report
