"""Kill what trains, what is looked at and what writes, two hundred times, at random moments; then break everything else, one case at a time.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/faults WORK [--kills 200] [--seed 0] [--only trainer,writer,window,other]

Of the kills 45 % strike a trainer (`pretrain` and `distil`), 40 % a writer of project files, maps and cubes, 15 % a real napari window. After each
the project must open, nothing that was finished may be lost, no half file may be taken for a whole one, no temporary file may stay for ever, and what
is resumed must end in the bytes of an undisturbed run. The other faults (full disks, rights, cut and damaged files, frozen ranks, …) are listed by
``--list``. The command can itself be killed and started again: ``WORK/faults.json`` holds what is done.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from child import become_single

become_single()

import faults_of_disks  # noqa: E402, F401 - after the threads are settled; these put themselves on the list of cases
import faults_of_files  # noqa: E402, F401
import faults_of_processes  # noqa: E402, F401
import windows  # noqa: E402
from cases import CASES, run_case  # noqa: E402
from trainers import kill_runs  # noqa: E402
from world import TRAINERS, open_project, quiet  # noqa: E402
from writers import KINDS, kill_writer  # noqa: E402

from napari_hsi_ssl import files  # noqa: E402
from napari_hsi_ssl.learning import devices, loop, setup, trials  # noqa: E402, F401 - imported once, for all trainers that are forked

SHARES = {"trainer": 0.45, "writer": 0.40, "window": 0.15}


class Book:
    """What was done so far, on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.done: dict[str, list[dict[str, Any]]] = json.loads(path.read_text()) if path.exists() else {}

    def add(self, part: str, *found: dict[str, Any]) -> None:
        """Note what was found, and show it."""
        self.done.setdefault(part, []).extend(found)
        files.write_json(self._path, self.done)
        for one in found:
            print(json.dumps(one), file=sys.stderr, flush=True)

    def count(self, part: str) -> int:
        """Return how many were done."""
        return len(self.done.get(part, []))


def kill(part: str, wanted: int, work: Path, seed: int, book: Book) -> None:
    """Kill until so many of a part are done; each round has a number of its own, so that a command that goes on repeats none."""
    while book.count(part) < wanted:
        number = book.count("rounds")
        if part == "trainer":
            found = kill_runs(open_project(work / "trainer" / "project"), list(TRAINERS)[number % 2], number, seed)
        elif part == "writer":
            found = [kill_writer(open_project(work / "writer" / "project"), list(KINDS)[book.count(part) % len(KINDS)], number, seed)]
        else:
            if not (work / "window" / "cubes").exists():
                shutil.copytree(open_project(work / "writer" / "project").folder / "cubes", work / "window" / "cubes")
            found = windows.kill_windows(work / "window", number, seed)
        book.add("rounds", {"round": number, "part": part})
        book.add(part, *found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="trainer,writer,window,other", help="parts, with commas between")
    parser.add_argument("--case", help="run the other faults whose name contains this, whether they are done or not")
    parser.add_argument("--list", action="store_true", help="list the other faults")
    given = parser.parse_args()
    if given.list or given.work is None:
        print("\n".join(CASES))
        return
    quiet()
    work = given.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    book = Book(work / "faults.json")
    parts = given.only.split(",")
    if given.case:
        parts = []
        for name in CASES:
            if given.case in name:
                print(json.dumps(run_case(name, work)))
    if "window" in parts and not windows.there_is_a_display():
        print("no window is killed: there is no display; start this by xvfb-run", file=sys.stderr)
        parts.remove("window")
    for part, share in SHARES.items():
        if part in parts:
            kill(part, round(share * given.kills), work, given.seed, book)
    if "other" in parts:
        known = {one["case"] for one in book.done.get("other", [])}
        for name in CASES:
            if name not in known:
                book.add("other", run_case(name, work))
    report(book)


def report(book: Book) -> None:
    """Print what was found, and leave with 1 when anything was."""
    rows = {part: found for part, found in book.done.items() if part != "rounds"}
    summary = {
        part: {
            "all": len(found),
            "recovered": sum(not one["trouble"] for one in found),
            **({"while_writing": sum(one["while_writing"] for one in found), "kinds": dict(Counter(one["kind"] for one in found))} if part != "other" else {}),
        }
        for part, found in rows.items()
    }
    print(json.dumps(summary))
    sys.exit(any(one["trouble"] for found in rows.values() for one in found))


if __name__ == "__main__":
    main()
