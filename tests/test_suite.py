"""The suite of benchmarks goes on when a task fails, tells what became worse, and leaves the documentation outside of its markers alone."""

from __future__ import annotations

import ast
import inspect
import json
from dataclasses import replace

import pytest
from PIL import Image

from tests.conftest import REPOSITORY

TINY = """
import time
from rows import Row, in_turn, compared
from growth_of_tiny import Grown

def measure(work, *, times):
    taken = in_turn({"ours": lambda: time.sleep(0.001) or 7, "rival": lambda: time.sleep(0.01 * times) or 7}, 3)
    return compared("sleeping", "a nap", taken.pop("ours"), taken, lambda ours, theirs: {"same": float(ours == theirs)})

def breaking(work):
    raise RuntimeError("the rival has no such button")

def hanging(work):
    time.sleep(60)

def growing(work):
    return [Grown()]
"""
GROWN = """
class Grown:
    def as_json(self):
        x = [10.0, 100.0, 1000.0]
        return {"quantity": "pixels", "task": "nap", "who": "this project", "x": x, "seconds": x, "resident_mb": [], "exponent": 1.0}
"""


@pytest.fixture
def suite(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import suite

    return suite


@pytest.fixture
def report(suite, tmp_path, monkeypatch):
    """A run of four tiny tasks and one for which there is no time."""
    (tmp_path / "tiny_tasks.py").write_text(TINY)
    (tmp_path / "growth_of_tiny.py").write_text(GROWN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    task = suite.Task("nap", "tiny_tasks", {"times": 1}, about=1)
    tasks = [
        task,
        replace(task, name="broken", function="breaking", options={}),
        replace(task, name="hung", function="hanging", options={}, limit=1),
        replace(task, name="grown", function="growing", options={}),
        replace(task, name="late", about=10_000),
    ]
    return suite.run_tasks(tasks, tmp_path)


def test_what_fails_is_told_and_the_rest_goes_on(suite, report, tmp_path):
    found = {task["task"]: task for task in report["tasks"]}
    assert {name: task["status"] for name, task in found.items()} == {
        "nap": "done", "broken": "failed", "hung": "given up", "grown": "done", "late": "left out",
    }  # fmt: skip
    assert "no such button" in found["broken"]["reason"]
    (row,) = report["rows"]
    assert {"task", "what", "rival", "ours", "theirs", "unit", "ratio", "ratio_band", "memory_mb", "agreement", "reason"} == set(row)
    assert row["ours"]["count"] == row["theirs"]["count"] == 3
    assert row["ratio"] == row["theirs"]["median"] / row["ours"]["median"] > 1
    assert row["agreement"] == {"same": 1.0}
    assert [one["exponent"] for one in report["series"]] == [1.0]
    assert json.loads((tmp_path / "suite.json").read_text()) == json.loads(json.dumps(report))

    # -- what became worse --
    from suite_report import compare, record, recorded

    assert compare(report, None) == []
    assert compare(report, report) == []
    exact = {**row, "theirs": dict.fromkeys(("lowest", "q1", "median", "q3", "highest"), 3.0) | {"count": 3}}
    exact["ours"] = dict.fromkeys(("lowest", "q1", "median", "q3", "highest"), 1.0) | {"count": 3}
    past = {**report, "rows": [exact]}

    def now(**theirs: float) -> dict:
        return {**report, "rows": [{**exact, "theirs": {**exact["theirs"], **theirs}}]}

    assert compare(now(median=2.8, q1=2.8, q3=2.8), past) == [], "less than a tenth"
    (worse,) = compare(now(median=2.0, q1=1.9, q3=2.1), past)
    assert worse.real
    assert (worse.before, worse.now) == (3.0, 2.0)
    (noise,) = compare(now(median=2.0, q1=1.9, q3=3.1), past)
    assert not noise.real
    (once,) = compare(now(median=2.0, q1=2.0, q3=2.0, count=1), past)
    assert not once.real
    (missing,) = compare({**report, "rows": [{**exact, "theirs": None, "reason": "gone"}]}, past)
    assert missing.real
    assert missing.now is None
    record(past, tmp_path / "recorded")
    assert recorded(tmp_path / "recorded")["rows"] == [exact]

    # -- the documentation --
    from suite_report import BEGIN, END, write_docs

    page = tmp_path / "benchmarks.md"
    page.write_text("# Figures\n")
    with pytest.raises(SystemExit, match="once each"):
        write_docs(report, page)
    page.write_text(f"# Figures\n\nby hand\n\n{BEGIN}\nold table\n{END}\n\n## Below\n")
    write_docs(report, page)
    written = page.read_text()
    write_docs(report, page)
    assert page.read_text() == written, "twice is as once"
    assert written.startswith(f"# Figures\n\nby hand\n\n{BEGIN}\n")
    assert written.endswith(f"{END}\n\n## Below\n")
    assert "old table" not in written
    assert "a nap" in written
    assert "broken (failed" in written
    with Image.open(tmp_path / "images" / "growth-pixels.png") as picture:
        assert len(picture.convert("RGB").getcolors(2**24)) > 3, "axes, a curve and its legend"


def test_every_task_of_the_suite_can_be_called(suite):
    """A task whose function or option was renamed would fail after minutes of others."""
    for task in suite.TASKS:
        source = REPOSITORY / "benchmarks" / f"{task.module.replace('.', '/')}.py"
        functions = {node.name: node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.FunctionDef)}
        taken = {argument.arg for argument in functions[task.function].args.kwonlyargs}
        assert set(task.options) | set(task.quick or {}) <= taken, task.name
    assert len({task.name for task in suite.TASKS}) == len(suite.TASKS)
    assert sum(task.about for task in suite.TASKS) < 60 * suite.MINUTES
    assert inspect.signature(suite.run_tasks).parameters["minutes"].default < 30


def _names(module: str) -> set[str]:
    """What can be imported from a module of the package: what it defines or imports itself, and its submodules."""
    place = REPOSITORY.joinpath(*module.split("."))
    source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    found = {path.stem for path in place.glob("*")} if place.is_dir() else set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name | ast.Constant):  # assigned, or listed as a public name that is imported on first use
            found.add(node.id if isinstance(node, ast.Name) else str(node.value))
    return found


SCRIPTS = sorted(path for folder in (REPOSITORY / "benchmarks", REPOSITORY / "benchmarks" / "peers") for path in folder.glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_benchmark_imports_what_the_package_has(path):
    """Nothing else runs these scripts before somebody wants their figures."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "napari_hsi_ssl":
            missing = {alias.name for alias in node.names} - _names(node.module)
            assert not missing, f"{path.name} imports {', '.join(missing)} from {node.module}"
