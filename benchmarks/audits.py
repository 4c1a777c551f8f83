"""What the splits of the usual label maps are worth: the table of docs/audit.md.

For the published splits, and for three ways of dividing each whole label map (a tenth of the pixels at random, whole fields with a guard of 8, blocks of
36 with a guard of 31, the window of 32 less one), the share of test windows of 9, 15 and 32 pixels that contain a training pixel, the share that
touch a training window, and how well position alone does. Of divisions in folds the figures are means over the folds that can be made.

    python benchmarks/audits.py [--data ../shared/data] [--windows 9 15 32] [--json FILE]

The label maps are read from HSI_TEST_DATA, else from --data.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import SplitConfig
from napari_hsi_ssl.cubes.rasters import read_labels, read_raster
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.patches.audit import audit
from napari_hsi_ssl.patches.folds import make_folds

Labels = NDArray[np.int32]
MAPS: Final = {
    "Indian Pines": "indian_pines_corrected_gt.mat",
    "Pavia University": "paviaU_gt.mat",
    "Pavia Centre": "paviaC_gt.mat",
    "Salinas": "salinas_gt.mat",
    "KSC": "KSC_gt.mat",
    "Botswana": "Botswana_gt.mat",
}
PUBLISHED: Final = {
    "Indian Pines, 695 / 9,671": ("IndianTR123_temp123.tif", "IndianTE123_temp123.tif"),
    "Pavia University, 3,921 / 40,002": ("TRpavia_fixed.mat", "TSpavia_fixed.mat"),
    "Houston 2013, 2,832 / 12,197": ("houston_gt.mat#houston_gt_tr", "houston_gt.mat#houston_gt_te"),
}
DISJOINT: Final = "indianpines_disjoint_dset.mat"
"""A training map alone: the other pixels of the published split of the same scene are its test."""
DIVISIONS: Final = {
    "a tenth at random": SplitConfig(kind="random", share=0.9),
    "fields, guard 8": SplitConfig(kind="fields", guard=8),
    "blocks of 36, guard 31": SplitConfig(kind="blocks", block=36, guard=31),
}


def read(folder: Path, name: str) -> Labels:
    path = folder / name
    return read_labels(path, read_raster(path).shape)[0]


def whole(folder: Path, train: str, test: str) -> Labels:
    """Return both sides of a split as one label map (y, x)."""
    learned = read(folder, train)
    return np.where(learned != 0, learned, read(folder, test))


def renumbered(labels: Labels, truth: Labels) -> Labels:
    """Return labels (y, x) in the class numbers of another map: each class takes the number that most of its pixels have there."""
    found = np.zeros_like(labels)
    for number in np.unique(labels[labels != 0]):
        found[labels == number] = np.bincount(truth[(labels == number) & (truth != 0)]).argmax()
    return found


def splits(folder: Path) -> Iterator[tuple[str, str, list[tuple[Labels, Labels]]]]:
    """Yield scene, split and its folds of train and test labels (y, x); no folds where a division cannot be made."""
    for name, (train, test) in PUBLISHED.items():
        yield name, "published", [(read(folder, train), read(folder, test))]
    everything = {name: whole(folder, *files) for name, files in PUBLISHED.items()}
    indian_pines, _, houston = everything.values()
    learned = renumbered(read(folder, DISJOINT), indian_pines)
    yield "Indian Pines, GRSS disjoint", "published", [(learned, np.where(learned == 0, indian_pines, 0))]
    maps = {**{scene: read(folder, file) for scene, file in MAPS.items()}, "Houston 2013": houston}
    for scene, labels in maps.items():
        for division, config in DIVISIONS.items():
            try:
                folds = [(fold.train[""], fold.test[""]) for fold in make_folds({"": labels}, config)]
            except LabelError as error:
                print(f"{scene}, {division}: {error}")
                folds = []
            yield scene, division, folds


def figures(folds: list[tuple[Labels, Labels]], windows: list[int]) -> dict[str, Any]:
    """Return the means over folds of what the audit says."""
    found = [[audit(train, test, window) for window in windows] for train, test in folds]
    first = [row[0] for row in found]
    distances = [row["falls"]["position"]["distance"] for row in first]
    falls = None if None in distances else float(np.median(distances))
    return {
        "n_train": float(np.mean([row["n_train"] for row in first])),
        "n_test": float(np.mean([row["n_test"] for row in first])),
        "position_oa": float(np.mean([row["position_oa"] for row in first])),
        "position_aa": float(np.mean([row["position_aa"] for row in first])),
        "majority": float(np.mean([row["majority"] for row in first])),
        "nearest_distance": float(np.median([row["nearest_distance"] for row in first])),
        "falls_at": falls,
        **{
            key: {str(window): float(np.mean([row[place][key] for row in found])) for place, window in enumerate(windows)}
            for key in ("centre_share", "overlap_share")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HSI_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")))
    parser.add_argument("--windows", type=int, nargs="+", default=[9, 15, 32])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    listed = " / ".join(map(str, options.windows))
    print(f"| scene | split | train / test | contain, {listed} | touch, {listed} | position alone OA / AA | one class | median distance | falls half way at |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    kept = []
    for scene, split, folds in splits(options.data / "splits"):
        if not folds:
            continue
        row = figures(folds, options.windows)
        kept.append({"scene": scene, "split": split, **row})
        shares = (" / ".join(f"{100 * share:.0f}" for share in row[key].values()) for key in ("centre_share", "overlap_share"))
        fall = f"{row['falls_at']:.0f}" if row["falls_at"] is not None else "–"
        cells = (
            scene, split, f"{row['n_train']:,.0f} / {row['n_test']:,.0f}", *shares, f"{100 * row['position_oa']:.1f} / {100 * row['position_aa']:.1f}",
            f"{100 * row['majority']:.0f}", f"{row['nearest_distance']:.0f}", fall,
        )  # fmt: skip
        print(f"| {' | '.join(cells)} |", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(kept, indent=2))


if __name__ == "__main__":
    main()
