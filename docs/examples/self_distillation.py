"""Self-distillation on labels whose division is audited first.

`python self_distillation.py [FOLDER]` makes a project there and leaves the map as a picture.
"""

import sys
import tempfile
from pathlib import Path

from napari_hsi_ssl import Project, files, run
from napari_hsi_ssl.config import ClassifyConfig, DistilConfig, PcaConfig, SplitConfig
from napari_hsi_ssl.cubes.samples import indian_pines
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.export import export
from napari_hsi_ssl.steps.judge import score
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.splits import audit, split
from napari_hsi_ssl.steps.train import distil

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="hsi-"))
cube, labels, classes = indian_pines()
part = (slice(40, 104), slice(16, 112))
write_envi_cube(folder / "aviris" / "pines.hdr", cube[part])
files.write_tiff(folder / "labels.tif", labels[part])

# A window of 5 pixels and a guard of 4: no test window shares a pixel with a training window.
run(split(folder / "labels.tif", folder / "split", SplitConfig(kind="blocks", block=16, guard=4, folds=2, per_class=40)))
train, test = folder / "split" / "fold1_train.tif", folder / "split" / "fold1_test.tif"
found = run(audit(train, test, window=5))
print(f"windows that overlap: {found['overlap_share']:.0%}; position alone reaches {found['position_oa']:.0%}")

# A narrow network, a few epochs: enough to see it work, not to judge it.
run(new(folder / "project", [folder / "aviris" / "pines.hdr"]))
project = Project.open(folder / "project")
run(save_painted(project, "pines", labels[part], dict(zip(classes.numbers, classes.names, strict=True))))
run(fit_pca(project, PcaConfig(bands=64, components=12)))
settings = DistilConfig(window=5, epochs=8, widths=(16, 24, 32), devices=1, accelerator="cpu")
report = run(distil(project, settings, train={"pines": train}, run="sd"))
made = run(classify(project, "sd", ClassifyConfig(method="distil"), ["pines"]))
path = Path(made["maps"][0]["path"])
print(f"overall accuracy on the test blocks: {run(score(path, test))['oa']:.1%}")
run(export(path, folder / "self_distillation.png"))
