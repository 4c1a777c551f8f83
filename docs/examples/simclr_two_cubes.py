"""SimCLR on two cubes of two cameras, short, and what it is worth beside a random network.

`python simclr_two_cubes.py [FOLDER]` makes a project there and leaves the curve of the loss.
A few steps teach little; the way is the same.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.config import EvaluateConfig, MaskConfig, PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.cubes.samples import make_laboratory_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.explore.figure import curves_figure
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.evaluate import evaluate
from napari_hsi_ssl.steps.mask import make_masks
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.train import pretrain

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="hsi-"))
for domain in ("coffee", "grapes"):
    write_envi_cube(folder / domain / f"{domain}.hdr", make_laboratory_cube(domain, size=64).cube)

# Different bands, one grid, one set of components.
run(new(folder / "project", [folder / "coffee", folder / "grapes"]))
project = Project.open(folder / "project")
run(make_masks(project, MaskConfig(method="otsu")))
run(fit_pca(project, PcaConfig(bands=64, components=8)))
print(run(cut_patches(project, PatchConfig(size=8, stride=4)))["per_domain"])

# Training is a process of its own; `watch` sees every event of its log.
losses = {}
settings = PretrainConfig.from_recipe("pixel", epochs=3, batch_size=32, devices=1, accelerator="cpu")
run(
    pretrain(project, settings, run="short"),
    watch=lambda progress: losses.update({progress.data["step"]: progress.data["loss"]} if "loss" in progress.data else {}),
)

# Two cameras are easy to tell apart, also for a random network: only the difference was learned.
judged = run(evaluate(project, "short", EvaluateConfig(k=5, minimum=5)))
print(f"linear probe: {judged['linear_probe']:.0%}, of a random network {judged['random_linear_probe']:.0%}, of {judged['n_test']} held-out patches")

picture = Image.fromarray(curves_figure(np.array(list(losses), dtype=float), {"NT-Xent": np.array(list(losses.values()))}, ["#0072b2"], ("step", "loss")))
picture.quantize(32).save(folder / "simclr_two_cubes.png")
