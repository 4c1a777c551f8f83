# %% [markdown]
# # From a cube to a map, in a notebook
#
# The cells run in Jupyter, in an editor that knows `# %%`, or as a script: `python docs/examples/notebook.py [FOLDER]`.
# The steps are those of the window and of the command line. The training is far too short for a good map; it shows the way.

# %%
from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from napari_hsi_ssl import Project, files, run
from napari_hsi_ssl.config import ClassifyConfig, EvaluateConfig, PatchConfig, PcaConfig, PretrainConfig, SplitConfig
from napari_hsi_ssl.cubes.samples import indian_pines
from napari_hsi_ssl.cubes.writers import load_map, write_envi_cube
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.evaluate import evaluate
from napari_hsi_ssl.steps.judge import score
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.splits import audit, split
from napari_hsi_ssl.steps.train import pretrain

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="hsi-notebook-"))

# %% [markdown]
# A part of Indian Pines, written as any camera would leave it: an ENVI file and a label image.

# %%
cube, labels, classes = indian_pines()
cube, labels = cube[40:104, 16:112], labels[40:104, 16:112]
write_envi_cube(folder / "aviris" / "pines.hdr", cube)
files.write_tiff(folder / "pines_labels.tif", labels)

# %% [markdown]
# A project; every step is a generator, `run` drives it to its end and returns its report.

# %%
run(new(folder / "project", [folder / "aviris" / "pines.hdr"]))
project = Project.open(folder / "project")
run(save_painted(project, "pines", labels, dict(zip(classes.numbers, classes.names, strict=True))))
report = run(fit_pca(project, PcaConfig(bands=128, components=10)))
print("variance explained by three components:", [round(share, 3) for share in report["explained"][:3]])
print(run(cut_patches(project, PatchConfig(size=8, stride=4)))["per_domain"])

# %% [markdown]
# Training happens in a process of its own; `watch` sees every event of its log.

# %%
losses = []
run(
    pretrain(project, PretrainConfig.from_recipe("pixel", epochs=2, batch_size=32, devices=1), run="short"),
    watch=lambda progress: losses.append(progress.data["loss"]) if "loss" in progress.data else None,
)
print("loss, first and last:", losses[0], losses[-1])
print(run(evaluate(project, "short", EvaluateConfig(labels="class", minimum=5))))

# %% [markdown]
# A split by blocks with a guard of the window less one pixel, so that no test window touches a training window; then a map, scored on the test blocks.

# %%
run(split(folder / "pines_labels.tif", folder / "split", SplitConfig(kind="blocks", block=16, guard=7, folds=2)))
train, test = folder / "split" / "fold1_train.tif", folder / "split" / "fold1_test.tif"
print(run(audit(train, test, window=8)))
made = run(classify(project, "short", ClassifyConfig(method="knn", k=5), ["pines"], {"pines": train}))
path = Path(made["maps"][0]["path"])
print(path, "overall accuracy on the test blocks:", run(score(path, test))["oa"])

# %% [markdown]
# The map as arrays: `labels` and `confidence`, both (y, x), with names and colours in `classes`.

# %%
class_map = load_map(path)
print(class_map.labels.shape, class_map.classes.names)
