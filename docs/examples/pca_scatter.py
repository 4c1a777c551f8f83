"""One component against the other, of all pixels, in the colours of the classes.

`python pca_scatter.py [FOLDER]` makes a project there and leaves a picture.
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

from napari_hsi_ssl import run
from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.plots import scatter_report
from napari_hsi_ssl.steps.samples import indian_pines_project

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="hsi-"))
project = run(indian_pines_project(folder / "pines"))

# One pass over the cube; the result is that of a PCA of all pixels at once.
report = run(fit_pca(project, PcaConfig(bands=200, components=10)))
print("variance explained:", [f"{share:.1%}" for share in report["explained"][:3]])

# A histogram of all pixels, not a sample of them.
run(scatter_report(project, x=1, y=2, colour="label", to=folder / "scatter.png"))
Image.open(folder / "scatter.png").convert("RGB").resize((835, 512)).quantize(32).save(folder / "pca_scatter.png")
