"""From spectra to a mask: which pixels of a tray are the objects, and what their spectra look like.

Arrays alone, no project: the functions below the steps know no folder.
`python spectra_to_mask.py [FOLDER]` leaves a picture there.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from napari_hsi_ssl import run
from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.samples import make_laboratory_cube
from napari_hsi_ssl.explore.figure import curves_figure
from napari_hsi_ssl.explore.masks import find_mask

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")

# A synthetic cube of coffee beans on a tray, with its truth: labels 0 are the tray.
made = make_laboratory_cube("coffee", size=96)
cube, objects = made.cube, made.labels > 0

# Four kinds of pixels; what most of the frame's border belongs to is taken for background.
mask = run(find_mask(cube, MaskConfig(method="kmeans", clusters=4, features="spectra")))
print(f"{mask.mean():.0%} of the pixels are foreground; {(mask == objects).mean():.1%} agree with the truth")

# Mean spectra in and outside of the mask.
values, centres = cube.values, cube.wavelength.values
curves = {"foreground": values[mask].mean(axis=0), "background": values[~mask].mean(axis=0)}
picture = curves_figure(centres, curves, ["#d55e00", "#0072b2"], ("wavelength in nm", "reflectance"))

# Below the curves one band, and the mask over it.
grey = values[:, :, centres.size // 2]
grey = np.repeat((255 * np.clip(grey / np.quantile(grey, 0.99), 0, 1)).astype(np.uint8)[..., None], 3, axis=2)
shown = np.where(mask[..., None], grey, grey // 3 + np.array([0, 20, 60], dtype=np.uint8))
page = Image.new("RGB", (picture.shape[1], picture.shape[0] + 480), "white")
page.paste(Image.fromarray(picture), (0, 0))
for number, image in enumerate((grey, shown)):
    page.paste(Image.fromarray(image).resize((470, 470), Image.Resampling.NEAREST), (84 + 480 * number, picture.shape[0]))
page.quantize(200).save(folder / "spectra_to_mask.png")
