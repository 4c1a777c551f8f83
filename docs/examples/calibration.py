"""Is a confidence of 80 % right in 80 of 100 cases? Before and after one temperature.

Arrays alone. `python calibration.py [FOLDER]` leaves the reliability diagram there.
"""

import sys
from pathlib import Path

import numpy as np

from napari_hsi_ssl.cubes.samples import indian_pines
from napari_hsi_ssl.explore.figure import Figure
from napari_hsi_ssl.mapping.classifiers import fit_linear
from napari_hsi_ssl.metrics.calibration import fit_temperature, reliability, tempered
from napari_hsi_ssl.patches.splits import split_labels

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
cube, labels, _ = indian_pines()
spectra = cube.values[:, :, ::8].astype(np.float64)

# Blocks: one part teaches, one gives the temperature, one is the test. No two of them lie side by side.
parts = [test for _, test in split_labels(labels, "blocks", block=24, guard=0, folds=3)]
taught, held_out, test = (np.where(part > 0, labels, 0) for part in parts)
probe = fit_linear(spectra[taught > 0], taught[taught > 0])


# What it says of the other two parts, where the true class is one that was taught.
judged = [np.isin(part, probe.classes) for part in (held_out, test)]
logs = [np.log(np.maximum(probe.proba(spectra[here]), 1e-12)) for here in judged]
codes = [np.searchsorted(probe.classes, labels[here]) for here in judged]
temperature = fit_temperature(logs[0], codes[0])
right = logs[1].argmax(axis=1) == codes[1]

figure = Figure((0.0, 1.0), (0.0, 1.0), ("confidence", "accuracy"))
figure.curve(np.array([0.0, 1.0]), np.array([0.0, 1.0]), "#a0a0a0")
entries = []
for name, factor, colour in (("as it is said", 1.0, "#d55e00"), ("calibrated", temperature, "#0072b2")):
    bins = reliability(tempered(logs[1], factor).max(axis=1), right, bins=10)
    figure.curve(bins.confidence, bins.accuracy, colour)
    entries.append((f"{name}: ECE {bins.ece:.2f}", colour))
figure.legend(entries)
print(f"temperature {temperature:.2f}, accuracy {right.mean():.0%};", "; ".join(text for text, _ in entries))
figure.image.quantize(32).save(folder / "calibration.png")
