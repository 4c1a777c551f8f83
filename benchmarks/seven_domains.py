"""The main job on seven real domains with differing band counts, by command line alone.

Indian Pines (200 bands), EnMAP Potsdam (18 tiles of 224), Samson (156), three AVIRIS scenes of ABU, HYDICE; windows of 16, because the
EnMAP tiles are 32×32. Two cubes smaller than that (hippo_image, plantcv) are added as well: they load, map and are left out of
the patches.

    python benchmarks/seven_domains.py WORK [--epochs 10] [--recipe poster] [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from napari_hsi_ssl.cubes.samples import indian_pines
from napari_hsi_ssl.files import write_tiff


def command(*words: object) -> dict:
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "napari_hsi_ssl", *map(str, words), "--json"], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout.splitlines()[-1])
    if done.returncode != 0:
        sys.exit(f"{words[0]} failed: {report}")
    print(f"{words[0]:10s} {time.monotonic() - started:7.1f} s", file=sys.stderr)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--recipe", default="poster")
    parser.add_argument("--scale", default="standardise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    options = parser.parse_args()
    data, work = options.data, options.work
    work.mkdir(parents=True, exist_ok=True)
    cube, labels, _ = indian_pines()
    np.save(work / "indian_pines.npy", np.asarray(cube.data))
    write_tiff(work / "indian_pines_labels.tif", labels)
    project = work / "project"
    command("new", project)
    for path, domain in [
        (work / "indian_pines.npy", "indian_pines"),
        (data / "enmap_potsdam" / "images", "enmap"),
        (data / "samson" / "Samson.mat", "samson"),
        (data / "abu" / "abu-airport-2.mat", "airport"),
        (data / "abu" / "abu-beach-3.mat", "beach"),
        (data / "abu" / "abu-urban-2.mat", "urban"),
        (data / "abu" / "hydice.mat", "hydice"),
        (data / "hippo_image" / "image.hdr", "drill_core"),
        (data / "plantcv" / "corn-kernel-hyperspectral.hdr", "corn"),
    ]:
        command("add", project, path, "--domain", domain)
    report = {
        "mask": command("mask", project, "--method", "all"),
        "pca": command("pca", project, "--scale", options.scale),
        "patches": command("patches", project, "--size", 16, "--seed", options.seed),
        "pretrain": command("pretrain", project, "--epochs", options.epochs, "--recipe", options.recipe, "--run", "simclr", "--seed", options.seed),
        "evaluate": command("evaluate", project, "--run", "simclr"),
    }
    labelled = {"indian_pines": work / "indian_pines_labels.tif"}
    report["classify"] = command("classify", project, "--all", "--run", "simclr", *(f"--train={name}={path}" for name, path in labelled.items()))
    (work / "result.json").write_text(json.dumps(report, indent=2))
    print(json.dumps({key: report[key] for key in ("patches", "evaluate")}, indent=2))


if __name__ == "__main__":
    main()
