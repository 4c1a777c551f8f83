"""A few strokes become a map, and the program says where to paint next.

`python paint_by_code.py [FOLDER]` makes a project there and leaves the map as a picture.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from napari_hsi_ssl import Project, files, run
from napari_hsi_ssl.config import MaskConfig, PaintConfig
from napari_hsi_ssl.cubes.samples import laboratory_classes, make_laboratory_cube
from napari_hsi_ssl.cubes.writers import load_map, write_envi_cube
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.export import export
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.mask import make_masks
from napari_hsi_ssl.steps.paint import paint

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="hsi-"))
made, classes = make_laboratory_cube("grapes", size=96), laboratory_classes("grapes")
write_envi_cube(folder / "grapes" / "tray.hdr", made.cube)
run(new(folder / "project", [folder / "grapes" / "tray.hdr"]))
project = Project.open(folder / "project")
run(make_masks(project, MaskConfig(method="otsu")))

# Strokes: three short lines of pixels in each class, as a hand would draw them.
strokes = np.zeros(made.labels.shape, dtype=np.int32)
for number in np.unique(made.labels[made.labels > 0]):
    rows = [row for row in range(96) if (made.labels[row] == number).sum() > 6]
    for row in rows[:: max(1, len(rows) // 3)][:3]:
        strokes[row, np.flatnonzero(made.labels[row] == number)[:6]] = number
files.write_tiff(folder / "strokes.tif", strokes)
run(save_painted(project, "tray", strokes, dict(zip(classes.numbers, classes.names, strict=True))))  # the names of the classes

report = run(paint(project, "tray", PaintConfig(head="logistic"), strokes=folder / "strokes.tif"))
path = Path(report["maps"][0]["path"])
found, truth = load_map(path).labels, made.labels
judged = (found > 0) & (truth > 0) & (strokes == 0)
print(f"{(strokes > 0).sum()} painted pixels; {(found == truth)[judged].mean():.0%} of the others are right")
for place in report["suggestions"][:3]:
    print(f"paint next around row {place['y']}, column {place['x']} ({place['pixels']} pixels, doubt {place['doubt']:.2f})")
run(export(path, folder / "paint_by_code.png"))
