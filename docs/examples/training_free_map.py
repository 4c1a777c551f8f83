"""A map without any training, scored on blocks that share no pixel with a training window.

`python training_free_map.py [FOLDER]` makes a project there and leaves the map as a picture.
"""

import sys
import tempfile
from pathlib import Path

from napari_hsi_ssl import Project, files, run
from napari_hsi_ssl.config import ClassifyConfig, SplitConfig
from napari_hsi_ssl.cubes.samples import indian_pines
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.export import export
from napari_hsi_ssl.steps.judge import score
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.splits import audit, split

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="hsi-"))

# A part of Indian Pines and its labels, as any camera would leave them.
cube, labels, classes = indian_pines()
part = (slice(40, 104), slice(16, 112))
write_envi_cube(folder / "aviris" / "pines.hdr", cube[part])
files.write_tiff(folder / "labels.tif", labels[part])

# Blocks with a guard between them. The training-free features see 9 pixels.
run(split(folder / "labels.tif", folder / "split", SplitConfig(kind="blocks", block=16, guard=8, folds=2)))
train, test = folder / "split" / "fold1_train.tif", folder / "split" / "fold1_test.tif"
print(run(audit(train, test, window=9))["verdict"])

# Denoised MNF components beside the shape of each spectrum, and kNN.
run(new(folder / "project", [folder / "aviris" / "pines.hdr"]))
project = Project.open(folder / "project")
run(save_painted(project, "pines", labels[part], dict(zip(classes.numbers, classes.names, strict=True))))
made = run(classify(project, "training-free", ClassifyConfig(k=5), ["pines"], {"pines": train}))
path = Path(made["maps"][0]["path"])
print(f"overall accuracy on the test blocks: {run(score(path, test))['oa']:.1%}")
run(export(path, folder / "training_free_map.png"))
