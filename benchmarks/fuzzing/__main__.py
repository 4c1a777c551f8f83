"""Fuzz every reader, project file, run folder, configuration, event log and model card with random damage.

    python -m benchmarks.fuzzing OUT [--inputs 50000] [--seed 0] [--only envi tiff …] [--workers 2]
    python -m benchmarks.fuzzing OUT --replay FOLDER

An input fails when anything but one sentence of the package's own comes of it (crash), when it takes over 2 s of processor time (hang)
or over 1 GB of memory (memory), or when what is read contradicts itself, the file, or what is written of it and read again (wrong).
Failing inputs are written into OUT, a folder for each bug. Every input follows from seed and number alone. The command can be ended and started
again: OUT/progress.json holds how far every target is. It ends with 1 where an input failed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from benchmarks.fuzzing.mutations import Tree
from benchmarks.fuzzing.targets import BY_NAME, TARGETS, drawn, read_tree, seeds_of, write_tree
from benchmarks.fuzzing.trial import Outcome, tried
from benchmarks.fuzzing.workers import outcomes
from napari_hsi_ssl import files

FAILURES: Final = ("crash", "hang", "memory", "wrong")
_KEPT_EACH: Final = 3
_SAVED_EVERY: Final = 500


def fuzz(out: Path, inputs: int, seed: int, only: list[str] | None = None, workers: int = 2) -> dict[str, dict[str, Any]]:
    """Try so many inputs over the targets chosen, each by its share, and return the counts of every target."""
    chosen = [target for target in TARGETS if not only or target.name in only]
    whole = sum(target.share for target in chosen)
    progress_file = out / "progress.json"
    kept = json.loads(progress_file.read_text()) if progress_file.exists() else {}
    progress: dict[str, dict[str, Any]] = kept.get("targets", {}) if kept.get("seed") == seed else {}
    print(
        f"{'target':14} {'inputs':>7} {'accepted':>9} {'refused':>8} " + " ".join(f"{word:>7}" for word in FAILURES) + f" {'bugs':>5} {'strays':>7} {'s':>6}",
        flush=True,
    )
    for target in chosen:
        counts = Counter(progress.get(target.name, {}).get("counts", {}))
        places = Counter(progress.get(target.name, {}).get("places", {}))
        strays = Counter(progress.get(target.name, {}).get("strays", {}))
        begun, wanted, done = time.monotonic(), round(inputs * target.share / whole), counts.total()
        seeds_of(target.name, seed)  # made once, before the workers fork
        for number, outcome in outcomes(target.name, seed, iter(range(done, wanted)), workers):
            counts[outcome.verdict] += 1
            strays.update(outcome.strays)
            if outcome.verdict in FAILURES:
                places[outcome.place] += 1
                if places[outcome.place] <= _KEPT_EACH:
                    _keep(out, target.name, seed, number, outcome)
            if counts.total() % _SAVED_EVERY == 0:
                _save(progress_file, seed, progress, target.name, counts, places, strays)
        _save(progress_file, seed, progress, target.name, counts, places, strays)
        failed = " ".join(f"{counts[word]:7}" for word in FAILURES)
        figures = f"{counts.total():7} {counts['accepted']:9} {counts['refused']:8} {failed} {len(places):5} {strays.total():7}"
        print(f"{target.name:14} {figures} {time.monotonic() - begun:6.0f}", flush=True)
    return {target.name: progress[target.name] for target in chosen}


def _save(path: Path, seed: int, progress: dict[str, Any], name: str, *found: Counter[str]) -> None:
    progress[name] = dict(zip(("counts", "places", "strays"), map(dict, found), strict=True))
    files.write_json(path, {"seed": seed, "targets": progress})


def _keep(out: Path, name: str, seed: int, number: int, outcome: Outcome) -> None:
    keep_input(out, name, number, *drawn(name, seed, number), outcome)


def keep_input(out: Path, name: str, number: int, tree: Tree, entry: str, outcome: Outcome) -> None:
    """Write a failing input with what came of it."""
    folder = out / "found" / name / f"{outcome.verdict}-{re.sub(r'[^A-Za-z0-9]+', '-', outcome.place)[:80]}-{number}"
    (folder / "input").mkdir(parents=True, exist_ok=True)
    write_tree(folder / "input", tree)
    (folder / "entry.txt").write_text(entry)
    (folder / "outcome.txt").write_text(f"{outcome.place}\n\n{outcome.sentence}\n", encoding="utf-8", errors="replace")


def replay(found: Path) -> int:
    """Try kept inputs again, each in this process, and return how many fail."""
    failed = 0
    for entry in sorted(found.rglob("entry.txt")):
        name = next(part for part in reversed(entry.parts) if part in BY_NAME)
        outcome = tried(name, read_tree(entry.parent / "input"), entry.read_text())
        failed += outcome.verdict in FAILURES
        print(f"{outcome.verdict:9} {entry.parent.name}  {outcome.place if outcome.verdict in FAILURES else outcome.sentence[:200]}")
    return failed


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--inputs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=sorted(BY_NAME))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--replay", type=Path, help="try the kept inputs of this folder again, and nothing else")
    given = parser.parse_args()
    if given.replay is not None:
        return 1 if replay(given.replay) else 0
    found = fuzz(given.out, given.inputs, given.seed, given.only, given.workers)
    failed = sum(sum(row["counts"].get(word, 0) for word in FAILURES) for row in found.values())
    total = sum(sum(row["counts"].values()) for row in found.values())
    bugs = sum(len(row["places"]) for row in found.values())
    print(f"{total} inputs, {failed} failures, {bugs} places; failing inputs are in {given.out / 'found'}" if failed else f"{total} inputs, no failure")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
