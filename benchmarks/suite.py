"""All measurements of speed in one run on the same files: this project and every rival that installs.

    python benchmarks/suite.py WORK             # all of it, under half an hour on an idle machine; `make bench` sets the rivals up first
    python benchmarks/suite.py WORK --quick     # a part of it at small sizes in two to three minutes; nothing is recorded
    python benchmarks/suite.py WORK --only knn map "growth, bands"

Every task is a process of its own with a time limit; one that fails or takes too long is told, and the rest goes on. A run of all tasks writes
`WORK/suite.json`, `benchmarks/recorded/DATE.json`, the figures and the section of `docs/benchmarks.md`. Ratios are theirs / ours. Every one
that is more than a tenth worse than the last recorded one is told, and whether the spread explains it; `--strict` makes that the exit status.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from suite_report import compare, record, recorded, told, write_docs

HERE = Path(__file__).parent
RECORDED = HERE / "recorded"
DOCS = HERE.parent / "docs" / "benchmarks.md"
MINUTES = 29.0
"""A task that would not be done by then is left out."""
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "napari", "spectral")


@dataclass(frozen=True)
class Task:
    """One measurement of the suite.

    Attributes
    ----------
    name : str
    module, function : str
        What is called in a process of its own, with WORK and the options; it returns rows or series.
    options : dict
        Of the whole suite.
    about, limit : float
        Seconds that it takes on an idle machine of two cores, and after which it is given up.
    quick : dict or None
        Options of the quick suite; None where it is left out there.
    files : sequence of str
        Interleaves of the 1 GB cube that it reads.
    """

    name: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    about: float = 30.0
    limit: float = 300.0
    quick: Mapping[str, Any] | None = None
    files: Sequence[str] = ()
    function: str = "measure"


def _peers(name: str, comparison: str, about: float, *, quick: bool = False, files: Sequence[str] = ()) -> Task:
    options = {"comparisons": [comparison], "limit": 120.0}
    return Task(name, "peers.run", options, about, 4 * about, {**options, "repeats": 1} if quick else None, files)


def _growth(quantity: str, about: float, quick: Mapping[str, Any] | None = None) -> Task:
    options = {"quantities": [quantity]}
    return Task(f"growth, {quantity}", "growth", options, about, 4 * about, None if quick is None else {**options, "repeats": 1, **quick})


TASKS = (
    _peers("pca and angles", "numbers", 100, quick=True),
    _peers("knn map", "knn", 45, quick=True),
    _peers("scatter", "scatter", 130),
    Task("map", "maps", {"windows": [32, 15]}, 180, 600, {"windows": [15], "epochs": 2, "sample": 128, "repeats": 1}),
    Task("knn", "knn", {}, 110, 400, {"queries": 10_000, "references": 2_000}),
    Task("painting", "paint", {}, 95, 300, {"side": [200, 150], "seconds": 2.0, "repeats": 2, "turns": 1}),
    Task("preprocessing", "preprocess", {}, 20, 120, {"count": 10_000}),
    Task("k-means", "masks", {}, 25, 120, {"shape": [200, 150, 50], "repeats": 1}),
    _peers("first view BIL", "open-bil", 95, files=("bil",)),
    _peers("first view BSQ", "open-bsq", 95, files=("bsq",)),
    _peers("first view BIP", "open-bip", 95, files=("bip",)),
    Task("spectrum", "spectra", {}, 40, 160, files=("bsq", "bil", "bip")),
    Task("streaming pca", "pca", {}, 45, 200, files=("bip",)),
    _growth("pixels", 50, {"sides": [64, 128, 256]}),
    _growth("bands", 20),
    _growth("classes", 25),
    _growth("references", 25, {"references": [500, 1000, 2000], "queries": 2000}),
    _growth("cores", 25),
    _growth("map", 170),
    Task("20 GB", "maps", {}, 330, 600, function="measure_memory"),
)


def prepare(work: Path, tasks: Sequence[Task], *, quick: bool) -> None:
    """Write the files that are not there yet."""
    from peers.files import write_cubes, write_small

    files = work / "files"
    files.mkdir(parents=True, exist_ok=True)
    if not (files / "references.npz").exists():
        write_small(files)
    missing = {layout for task in tasks for layout in task.files if not (files / f"{layout}.hdr").exists()}
    if missing and not quick:
        write_cubes(files, sorted(missing))


def done_in_time(task: Task, work: Path, options: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """Run a task in a process of its own; returns its name, status, seconds, rows and series, and why when it failed."""
    out, log = work / "parts" / f"{task.name}.json", work / "parts" / f"{task.name}.log"
    temporary = work / "temporary"
    for folder in (out.parent, temporary):
        folder.mkdir(parents=True, exist_ok=True)
    out.unlink(missing_ok=True)
    words = [sys.executable, "-W", "ignore", __file__, str(work), "--part", json.dumps({**asdict(task), "options": options}), "--out", str(out)]
    begun = time.monotonic()
    found: dict[str, Any] = {"task": task.name, "status": "done", "reason": "", "rows": [], "series": []}
    with log.open("w") as stream:
        environment = {**os.environ, "TMPDIR": str(temporary)}
        started = subprocess.Popen(words, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True, env=environment)
        try:
            status = started.wait(limit)
        except subprocess.TimeoutExpired:
            found |= {"status": "given up", "reason": f"not done after {limit:.0f} s"}
        finally:
            if started.poll() is None:
                os.killpg(started.pid, signal.SIGKILL)  # with the drivers and windows that it started
                started.wait()
    shutil.rmtree(temporary, ignore_errors=True)  # of what was killed, too
    if found["status"] == "done" and (status or not out.exists()):
        last = (log.read_text().strip().splitlines() or ["no word"])[-1]
        found |= {"status": "failed", "reason": f"ended with {status}: {last[:200]}"}
    if out.exists():
        found |= json.loads(out.read_text())
    return {**found, "seconds": time.monotonic() - begun}


def part(work: Path, kept: Mapping[str, Any], out: Path) -> None:
    """Measure one task in this process."""
    module = importlib.import_module(kept["module"])
    results = [one.as_json() for one in getattr(module, kept["function"])(work, **kept["options"])]
    peak = psutil.Process().memory_info().rss
    series = [one for one in results if "quantity" in one]
    out.write_text(json.dumps({"rows": [one for one in results if "quantity" not in one], "series": series, "resident_mb": peak / 2**20}, default=float))


def run_tasks(tasks: Sequence[Task], work: Path, *, quick: bool = False, minutes: float = MINUTES, patience: float = 1.0) -> dict[str, Any]:
    """Run tasks one after another, time limits multiplied by ``patience``; what is done so far is in WORK/suite.json at every moment."""
    begun, load = time.monotonic(), os.getloadavg()[0]
    report: dict[str, Any] = {"format": 1, "date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "load_at_start": load,
                              "quick": quick, "tasks": [], "rows": [], "series": []}  # fmt: skip
    if load > psutil.cpu_count() / 2:
        print(f"The machine is busy (load {load:.1f}): times will be longer, and ratios less sure.", flush=True)
    for task in tasks:
        options = dict(task.quick if quick and task.quick is not None else task.options)
        if "limit" in options:
            options["limit"] *= patience
        left = 60 * minutes - (time.monotonic() - begun)
        if left < task.about:
            found = {"task": task.name, "status": "left out", "reason": f"the suite's {minutes:g} minutes would not do for it", "seconds": 0.0}
        else:
            found = done_in_time(task, work, options, min(patience * task.limit, left))
        report["rows"] += found.pop("rows", [])
        report["series"] += found.pop("series", [])
        report["tasks"].append(found)
        report["seconds"] = time.monotonic() - begun
        print(
            f"{report['seconds'] / 60:5.1f} min  {task.name}: {found['status']} in {found['seconds']:.0f} s{' – ' * bool(found['reason'])}{found['reason']}",
            flush=True,
        )
        (work / "suite.json").write_text(json.dumps(report, indent=1))
    return report


def machine() -> dict[str, Any]:
    """Say what this was measured on."""
    processor = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    return {"processor": processor, "cores": len(os.sched_getaffinity(0)), "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}  # fmt: skip


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def on_a_screen() -> None:
    """Start again under a virtual screen where there is none: windows are measured."""
    if not os.environ.get("DISPLAY") and shutil.which("xvfb-run"):
        os.environ.setdefault("LIBGL_ALWAYS_SOFTWARE", "1")
        os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
        os.execvp("xvfb-run", ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24", sys.executable, *sys.argv])


def main() -> int:
    """Measure, compare, record, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="where files, projects and logs go, about 8 GB; networks trained there serve again")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", default=[], metavar="TASK", help=", ".join(task.name for task in TASKS))
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--patience", type=float, default=1.0, help="of all time limits, for a slow or busy machine")
    parser.add_argument("--compare", type=Path, help="a record to compare with; the last one by default")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a ratio is worse by more than its spread, or a task failed")
    parser.add_argument("--trial", action="store_true", help="record nothing and leave the documentation alone, as a part of the suite does")
    parser.add_argument("--part", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    work = options.work.resolve()
    if options.part:
        part(work, options.part, options.out)
        sys.stdout.flush()
        os._exit(0)  # a window that is taken down wrongly must not spoil what was measured
    unknown = set(options.only) - {task.name for task in TASKS}
    if unknown:
        parser.error(f"no task is called {', '.join(sorted(unknown))}; there are {', '.join(task.name for task in TASKS)}")
    on_a_screen()
    tasks = [task for task in TASKS if (task.name in options.only or not options.only) and (task.quick is not None or not options.quick)]
    prepare(work, tasks, quick=options.quick)
    report = run_tasks(tasks, work, quick=options.quick, minutes=options.minutes, patience=options.patience)
    before = json.loads(options.compare.read_text()) if options.compare else recorded(RECORDED)
    changes = compare(report, before)
    print(told(report, changes))
    if not (options.quick or options.only or options.trial):
        write_docs(report, DOCS)
        print(f"recorded in {record(report, RECORDED)} and {DOCS}")
    failed = [task for task in report["tasks"] if task["status"] in {"failed", "given up"}]
    return int(options.strict and (bool(failed) or any(change.real for change in changes)))


if __name__ == "__main__":
    sys.exit(main())
