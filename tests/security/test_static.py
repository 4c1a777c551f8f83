"""Nothing in the package runs what a file says: looked for in the code itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import napari_hsi_ssl

PACKAGE = Path(napari_hsi_ssl.__file__).parent
_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "yaml", "joblib", "jsonpickle"}
_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "pty.spawn", "numpy.fromstring", "pandas.read_pickle", "subprocess.getoutput"}


def offences(source: str) -> list[str]:
    """Return what in a module would run a file's content."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found += [f"import of {name}" for name in names if name.split(".")[0] in _MODULES - {"pickle"}]
        # `pickle` may be named for the error that torch raises, and for nothing else.
        if isinstance(node, ast.ImportFrom) and node.module == "pickle":
            found.append("import from pickle")
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle" and node.attr != "UnpicklingError":
            found.append(f"pickle.{node.attr}")
        if not isinstance(node, ast.Call):
            continue
        name, given = ast.unparse(node.func), {word.arg: word.value for word in node.keywords}
        if name in _CALLS:
            found.append(name)
        if name.endswith("torch.load") and not _is(given.get("weights_only"), True):
            found.append("torch.load without weights_only")
        if "allow_pickle" in given and not _is(given["allow_pickle"], False):
            found.append("allow_pickle")
        if "shell" in given and not _is(given["shell"], False):
            found.append("shell")
        if name.endswith((".extract", ".extractall")) and not _is(given.get("filter"), "data"):
            found.append(f"{name} without a filter")
        if name.startswith("subprocess.") and node.args and isinstance(node.args[0], ast.Constant | ast.JoinedStr):
            found.append("a command that is one text")
        if name == "subprocess.Popen" and "env" not in given:
            found.append("a process that would import modules from the user's folder (PYTHONSAFEPATH)")
    return found


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value == value and type(node.value) is type(value)


def test_no_module_runs_what_a_file_says():
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 300
    assert {path.name: found for path in modules if (found := offences(path.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.loads(b'')", "from pickle import loads", "import yaml\nyaml.load('')", "import numpy as np\nnp.load('a', allow_pickle=True)",
        "import torch\ntorch.load('a')", "import torch\ntorch.load('a', weights_only=False)", "eval('1')", "exec('1')", "import os\nos.system('ls')",
        "import subprocess\nsubprocess.run('ls', shell=True)", "import subprocess\nsubprocess.run(f'ls {1}')", "archive.extractall('here')",
        "import subprocess, sys\nsubprocess.Popen([sys.executable, '-m', 'x'])",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(source):
    assert offences(source)
