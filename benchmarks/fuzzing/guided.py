"""The same inputs led by coverage: atheris keeps what reaches new lines of the package, and damages that further.

    python -m benchmarks.fuzzing.guided OUT [--runs 2000] [--seed 0] [--only envi settings …]

atheris (libFuzzer) has wheels for Python 3.11 to 3.13 on Linux and wants an environment of its own: `pip install atheris` into one that sees the
packages of this project, for example by a .pth file. Each target runs in a process of its own; what libFuzzer calls an input is the file that is
opened, damaged by our own mutations and by libFuzzer's in turn; files beside it are those of a valid input. Failures are written into OUT as
`benchmarks.fuzzing` writes them, and `--replay` of that command tries them again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

TARGETS = ("envi", "mat5", "numpy", "netcdf3", "tiff", "library-envi", "library-csv", "labels", "polygons", "roi", "settings", "step-text", "run", "project")
# Of folders, the file that is worth most; elsewhere it is the one that is opened.
_MAIN = {"project": "project/project.json", "run": "run/events.jsonl"}


def one(name: str, out: Path, runs: int, seed: int) -> None:
    """Run one target in this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["napari_hsi_ssl"]):
        from benchmarks.fuzzing import mutations, targets, trial
        from benchmarks.fuzzing.__main__ import FAILURES, keep_input

    trees = targets.seeds_of(name, seed)
    names = [_MAIN.get(name, entry) for _, entry in trees]
    corpus = Path(tempfile.mkdtemp())
    for number, ((tree, _), main) in enumerate(zip(trees, names, strict=True)):
        (corpus / str(number)).write_bytes(bytes([number]) + tree[main])
    counts: Counter[str] = Counter()
    places: Counter[str] = Counter()

    def test(data: bytes) -> None:
        """Read one input: its first byte says whose neighbours the file has."""
        number = data[0] % len(trees) if data else 0
        tree, entry = trees[number]
        damaged = {**tree, names[number]: data[1:]}
        outcome = trial.tried(name, damaged, entry)
        counts[outcome.verdict] += 1
        if outcome.verdict in FAILURES:
            places[outcome.place] += 1
            if places[outcome.place] == 1:
                keep_input(out, name, counts.total(), damaged, entry, outcome)
        if counts.total() % 100 == 0 or counts.total() >= runs:
            (out / f"{name}.json").write_text(json.dumps({"counts": counts, "places": places}))

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        """Damage a file as its kind asks for, or as libFuzzer would."""
        if seed % 3 == 0 or len(data) < 2:
            return bytes(atheris.Mutate(data, most))
        return (data[:1] + mutations.damage(data[1:], np.random.default_rng(seed)))[:most]

    out.mkdir(parents=True, exist_ok=True)
    options = [f"-runs={runs}", f"-seed={seed + 1}", "-max_len=20000", "-rss_limit_mb=4000", "-timeout=60", f"-artifact_prefix={out}/{name}-"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], test, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    """Run the command: a process a target, and a row of figures for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--here", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        one(given.here, given.out, given.runs, given.seed)
        return 0
    failed = 0
    for name in given.only:
        command = [sys.executable, "-m", "benchmarks.fuzzing.guided", str(given.out), "--runs", str(given.runs), "--seed", str(given.seed), "--here", name]
        process = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        report = given.out / f"{name}.json"
        found: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {"counts": {}, "places": {"nothing ran": 1}}
        covered = [line.split("cov: ")[1].split()[0] for line in process.stderr.splitlines() if "cov: " in line]
        print(f"{name:14} {found['counts']} places of code covered: {covered[-1] if covered else '?'}; failures: {found['places'] or 'none'}", flush=True)
        failed += len(found["places"]) + (process.returncode != 0)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
