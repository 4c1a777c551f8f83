"""Self-distillation on the published split of Indian Pines (695 / 9,671 pixels), by command line, beside position alone and the simple rivals.

The split measures interpolation: position alone reaches 92 %. It is here for parity with the literature and nothing else.

    python benchmarks/published_split.py WORK [--seeds 3] [--directions both none] [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from napari_hsi_ssl.cubes.samples import indian_pines


def command(*words: object) -> dict:
    done = subprocess.run([sys.executable, "-m", "napari_hsi_ssl", *map(str, words), "--json"], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout.splitlines()[-1])
    if done.returncode != 0:
        sys.exit(f"{words[0]} failed: {report}")
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--directions", nargs="+", default=["both", "none"])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    options = parser.parse_args()
    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    train, test = (options.data / "splits" / f"Indian{part}123_temp123.tif" for part in ("TR", "TE"))
    np.save(work / "indian_pines.npy", np.asarray(indian_pines()[0].data))
    project = work / "project"
    command("new", project, "--cubes", work / "indian_pines.npy")
    command("pca", project)
    rows = []
    for direction in options.directions:
        for seed in range(options.seeds):
            name = f"{direction}-{seed}"
            made = command("distil", project, "--train", f"indian_pines={train}", "--direction", direction, "--seed", seed, "--run", name)
            command("classify", project, "--run", name, "--method", "distil", "--out", work / f"{name}.tif")
            score = command("score", work / f"{name}.tif", "--labels", test)
            rows.append({"direction": direction, "seed": seed, "oa": score["oa"], "aa": score["aa"], "kappa": score["kappa"], "seconds": made["seconds"]})
            print(json.dumps(rows[-1]), flush=True)
    report = {
        "rows": rows,
        "audit": command("audit", "--train", train, "--test", test, "--window", 15),
        "baselines": command("baselines", project, "--train", f"indian_pines={train}", "--test", f"indian_pines={test}")["rows"],
    }
    (work / "result.json").write_text(json.dumps(report, indent=2))
    for row in report["baselines"]:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
