"""The poster recipe on the synthetic laboratory: seven domains, judged on cubes that training never saw, by command line alone.

Every domain has some cubes of its own (another arrangement of objects, another light each); whole cubes are held out. The PCA is fitted on all
masked pixels, without labels. The random backbone, the mean spectrum and the mean scores stand in the same report.

    python benchmarks/unseen_cubes.py WORK [--cubes 4] [--side 128] [--epochs 10] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from seven_domains import command

from napari_hsi_ssl import run
from napari_hsi_ssl.cubes.samples import laboratory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--cubes", type=int, default=4, help="of each domain")
    parser.add_argument("--side", type=int, default=128, help="of a cube, in pixels")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the split and of training")
    options = parser.parse_args()
    work, project = options.work, options.work / "project"
    work.mkdir(parents=True, exist_ok=True)
    command("new", project, "--cubes", *run(laboratory(work / "cubes", size=options.side, cubes_per_domain=options.cubes)))
    report = {
        "mask": command("mask", project, "--method", "otsu"),
        "pca": command("pca", project),
        "patches": command("patches", project, "--size", 32, "--split", "cube", "--seed", options.seed),
        "pretrain": command("pretrain", project, "--epochs", options.epochs, "--run", "simclr", "--seed", options.seed),
        "evaluate": command("evaluate", project, "--run", "simclr"),
    }
    (work / "result.json").write_text(json.dumps(report, indent=2))
    print(json.dumps({key: report[key] for key in ("patches", "evaluate")}, indent=2))


if __name__ == "__main__":
    main()
