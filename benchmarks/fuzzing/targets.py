"""What is fuzzed: how a valid input is made, which of its files are damaged most, and what must hold of it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.fuzzing import checks, folder_checks, folders, samples
from benchmarks.fuzzing.mutations import Tree, changed_node, damaged

SEEDS_EACH: Final = 24
"""Valid inputs that a target starts from."""


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes
    ----------
    name : str
    make : callable
        Writes a valid input into a folder, and returns the name of its entry.
    check : callable
        Reads an entry; raises an `HsiError` where it is refused, `checks.Wrong` where it contradicts itself.
    share : float
        How many inputs it gets, against 1 of the others.
    focus : tuple of str
        Words in the names of files that are damaged most.
    seeds : int
        Valid inputs that are made.
    """

    name: str
    make: Callable[[Path, np.random.Generator], str]
    check: Callable[[Path], None]
    share: float = 1.0
    focus: tuple[str, ...] = ()
    seeds: int = SEEDS_EACH


def _settings(folder: Path, random: np.random.Generator) -> str:
    names = sorted(folder_checks.SETTINGS)
    name = names[int(random.integers(len(names)))]
    model = folder_checks.SETTINGS[name]
    values: dict[str, Any] = {
        "CubeInput": {"name": "a", "domain": "d", "path": "a.npy", "sha256": "0"},
        "DomainInput": {"name": "d", "bands": 3, "used": [0, 1]},
        "LabelInput": {"cube": "a", "path": "a.tif", "sha256": "0"},
        "RunConfig": {"kind": "pretrain", "pretrain": {"epochs": 3}},
    }.get(name, {})
    content = model.parse(values).model_dump(mode="json")
    if name == "ChainConfig":
        content = {"steps": [kind().model_dump(mode="json") for kind in folder_checks.STEP_KINDS.values()]}
    (folder / "settings.json").write_text(json.dumps({"model": name, "values": content}))
    return "settings.json"


def _step_text(folder: Path, random: np.random.Generator) -> str:
    texts = ["snv", "savgol:window=11,order=2,deriv=1", "resample:start=400,stop=1000,step=5,method=gaussian,fwhm=7.5", "continuum", "absorbance"]
    (folder / "step.txt").write_text(texts[int(random.integers(len(texts)))])
    return "step.txt"


def _references(folder: Path, random: np.random.Generator) -> str:
    from napari_hsi_ssl.cubes.cube import as_cube
    from napari_hsi_ssl.cubes.cube_writers import write_cube

    cube = random.random((4, 5, 6)) + 0.5
    write_cube(folder / "cube.hdr", as_cube(cube, np.linspace(400, 900, 6), "dn"))
    write_cube(folder / "white.hdr", as_cube(cube[:1] + 5, np.linspace(400, 900, 6), "dn"))
    write_cube(folder / "dark.hdr", as_cube(cube[:1] * 0.1, np.linspace(400, 900, 6), "dn"))
    rows = [f"{nm},{0.9}" for nm in range(350, 1000, 50)]
    (folder / "panel.csv").write_text("\n".join(["wavelength_nm,panel", *rows]))
    noted: dict[str, Any] = {
        "white": "white.hdr",
        "dark": "dark.hdr",
        "panel": ["panel.csv", 0.95, None][int(random.integers(3))],
        "exposure": [1.0, 2.0, None],
    }
    (folder / "references.json").write_text(json.dumps({key: value for key, value in noted.items() if random.random() < 0.8}))
    return "references.json"


TARGETS: Final = (
    Target("envi", samples.envi, checks.cube, 2.0, (".hdr",)),
    Target("tiff", samples.tiff, checks.cube, 1.5),
    Target("mat5", samples.mat5, checks.cube, 1.0),
    Target("mat5-big", samples.big_endian_mat5, checks.cube, 0.3),
    Target("mat73", samples.mat73, checks.cube, 0.7),
    Target("numpy", samples.numpy_file, checks.cube, 1.0),
    Target("hdf5", samples.hdf5, checks.cube, 1.0),
    Target("hspy", samples.hspy, checks.cube, 0.7),
    Target("netcdf3", samples.netcdf3, checks.cube, 1.0),
    Target("netcdf4", samples.netcdf4, checks.cube, 0.5),
    Target("zarr", samples.zarr_store, checks.cube, 1.0, ("zarr.json", ".zarray", ".zattrs", ".zmetadata")),
    Target("band-folder", samples.band_folder, checks.cube, 1.0),
    Target("plain", samples.plain_numbers, checks.plain_numbers, 0.1),
    Target("library-envi", samples.envi_library, checks.library, 1.5, (".hdr",)),
    Target("library-csv", samples.csv_library, checks.library, 1.5),
    Target("labels", samples.labels, checks.labels, 1.5),
    Target("polygons", samples.polygons, checks.labels, 2.0),
    Target("roi", samples.roi, checks.labels, 1.5),
    Target("references", _references, folder_checks.references, 0.7, ("references.json", "panel.csv", "white.hdr")),
    Target("project", folders.project, folder_checks.project, 0.5, (".json", ".jsonl"), seeds=4),
    Target("run", folders.run_folder, folder_checks.run_folder, 0.4, (".json", ".jsonl", ".safetensors", ".pt"), seeds=8),
    Target("parcel", folders.parcel, folder_checks.parcel, 0.3, seeds=4),
    Target("derived", folders.derived, folder_checks.derived, 1.5),
    Target("settings", _settings, folder_checks.settings, 4.0, seeds=80),
    Target("step-text", _step_text, folder_checks.step_texts, 1.5, seeds=5),
)
BY_NAME: Final = {target.name: target for target in TARGETS}


@cache
def seeds_of(name: str, seed: int) -> tuple[tuple[Tree, str], ...]:
    """Return the valid inputs of a target with the names of their entries."""
    target = BY_NAME[name]
    found = []
    for number in range(target.seeds):
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as trusted:
            os.environ["HSI_TRUST"] = trusted
            random = np.random.default_rng([seed, number, *name.encode()])
            entry = target.make(Path(folder), random)
            found.append((read_tree(Path(folder)), entry))
    return tuple(found)


def drawn(name: str, seed: int, number: int) -> tuple[Tree, str]:
    """Return an input of a target; it follows from seed and number alone. One in fifty is a valid one."""
    random = np.random.default_rng([seed, number, 1, *name.encode()])
    trees = seeds_of(name, seed)
    tree, entry = trees[int(random.integers(len(trees)))]
    if number % 50 == 0:
        return tree, entry
    if name == "settings" and random.random() < 0.9:  # their values alone: that the file is JSON is tried elsewhere
        content = json.loads(tree[entry])
        for _ in range(int(random.choice([1, 1, 2, 4]))):
            content["values"] = changed_node(content["values"], random)
        return {entry: json.dumps(content).encode()}, entry
    return damaged(tree, random, BY_NAME[name].focus), entry


def read_tree(folder: Path) -> Tree:
    """Return the files of a folder and below by their names."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def write_tree(folder: Path, tree: Tree) -> None:
    """Write files into a folder."""
    for name, content in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
