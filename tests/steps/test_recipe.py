"""Copied steps: the command and the Python text do what the step itself does, whatever the paths are called."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import (
    AnglesConfig,
    BatchConfig,
    ChainConfig,
    ClassifyConfig,
    DistilConfig,
    EvaluateConfig,
    MaskConfig,
    PatchConfig,
    PcaConfig,
    PretrainConfig,
    ViewConfig,
)
from napari_hsi_ssl.config.chain import parse_step
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.files import plain
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import (
    angles,
    batch,
    classify,
    cubes,
    evaluate,
    export,
    judge,
    labels,
    lasso,
    mask,
    patches,
    pca,
    prepare,
    recipe,
    run,
    spectra,
    train,
    view,
)
from napari_hsi_ssl.steps import report as page
from tests.gui.conftest import write_cube

PRETRAIN = PretrainConfig.from_recipe("pixel", epochs=1, batch_size=4, max_steps=2, seed=3, projection=16, weight_decay=1e-3, devices=1)
DISTIL = DistilConfig(epochs=1, batch_size=8, window=3, max_steps=2, devices=1, label_smoothing=0.1, freeze=True, temperature=2.0)
PATCHES = PatchConfig(size=4, stride=1, coverage=0.2, split="blocks")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A folder whose name needs quoting, with a project that has gone all the way to two runs, and label files beside it."""
    home = tmp_path_factory.mktemp("copied") / "my 'first' project"
    paths = [write_cube(home / "raw" / name / f"{name}.hdr", (24, 22, 10), seed) for seed, name in enumerate(("tea", "salt"))]
    write_envi_cube(home / "raw" / "white.hdr", as_cube(np.full((2, 22, 10), 3000, np.uint16), np.linspace(450, 900, 10), "dn", "white"))
    run(cubes.new(home / "p", paths))
    project = Project.open(home / "p")
    run(mask.make_masks(project, MaskConfig()))
    run(pca.fit_pca(project, PcaConfig(bands=8, components=4)))
    run(patches.cut_patches(project, PATCHES))
    drawn = np.zeros((24, 22), dtype=np.int32)
    drawn[8:12], drawn[12:16] = 1, 2
    tifffile.imwrite(home / "drawn.tif", drawn.astype(np.uint8))
    run(labels.labels_from_file(project, "tea", home / "drawn.tif"))
    run(spectra.spectra(project, ["tea"], classes=True, to=home / "two.sli"))
    (home / "table.csv").write_text("cube,class\ntea,leaf\nsalt,rock\n")
    run(train.pretrain(project, PRETRAIN, run="learned"))
    run(train.distil(project, DISTIL.model_copy(update={"freeze": False}), run="taught"))
    run(classify.classify(project, "taught", ClassifyConfig(method="distil"), ["tea"]))
    run(classify.classify(project, "learned", ClassifyConfig(references=50), ["tea"]))
    return home


def copied(home: Path, to: Path) -> Path:
    """Copy the project alone; its cubes are found where they lie."""
    shutil.copytree(home / "p", to / "p")
    content = json.loads((to / "p" / "project.json").read_text())
    assert all(not Path(entry["path"]).is_absolute() for entry in content["cubes"]), "the copy would look elsewhere"
    shutil.copytree(home / "raw", to / "raw")
    for name in ("drawn.tif", "table.csv", "two.sli", "two.hdr"):
        shutil.copy(home / name, to / name)
    return to


def steps(home: Path) -> dict[str, tuple[recipe.Recipe, Any]]:
    """Every step that can be copied, and the step itself."""
    folder = home / "p"
    project = Project.open(folder)
    maps = {path.stem.split("--")[1]: path for path in project.maps()}
    truth = home / "drawn.tif"
    knn = ClassifyConfig(k=5, references=60, seed=2)
    masking = MaskConfig(method="threshold", low=150.0, fill_holes=False, invert=True)
    projection = PcaConfig(bands=9, components=3, method="mnf", weights="domain", seed=2)
    cutting = PatchConfig(size=5, stride=2, coverage=0.2, background="zero", per_domain=7, split="blocks", guard=1)
    looking = ViewConfig(kind="bands", bands=(5, 3, 1), stretch=(1.0, 99.0), joint=False)
    preparing = ChainConfig(steps=tuple(map(parse_step, ("savgol:window=5,deriv=1", "resample:start=500,stop=800,step=12.5,method=gaussian", "snv"))))
    raw = home / "raw"
    both = [raw / "tea", raw / "salt" / "salt.hdr"]
    library = home / "two.sli"
    first = lasso.strokes_around(project, [(0, -9), (9, -9), (9, 9), (0, 9)], 1, 3)
    two = first + lasso.strokes_around(project, [(-9, 0), (9, 0), (9, 9), (-9, 9)], mode="subtract")
    return {
        "new": (recipe.new(home / "another", both), lambda: cubes.new(home / "another", both)),
        "add": (
            recipe.add(folder, raw / "tea" / "tea.hdr", name="more tea", domain="-"),
            lambda: cubes.add(project, raw / "tea" / "tea.hdr", name="more tea", domain="-"),
        ),
        "add calibrated": (
            recipe.add(folder, raw / "tea" / "tea.hdr", name="tea 2", white=raw / "white.hdr", exposure=(8.0, 2.0, None), panel=0.5),
            lambda: cubes.add(project, raw / "tea" / "tea.hdr", name="tea 2", white=raw / "white.hdr", exposure=(8.0, 2.0, None), panel=0.5),
        ),
        "crop": (recipe.crop(folder, "tea", (1, 2, 20, 19)), lambda: cubes.crop(project, "tea", (1, 2, 20, 19))),
        "whole frame": (recipe.crop(folder, "tea", None), lambda: cubes.crop(project, "tea", None)),
        "mask": (recipe.masks(folder, masking, ["tea"]), lambda: mask.make_masks(project, masking, ["tea"])),
        "masks": (recipe.masks(folder, MaskConfig()), lambda: mask.make_masks(project, MaskConfig())),
        "angle": (recipe.masks(folder, MaskConfig(method="angle", at=(12, 11))), lambda: mask.make_masks(project, MaskConfig(method="angle", at=(12, 11)))),
        "labels": (recipe.labels(folder, "salt", source=truth), lambda: labels.labels_from_file(project, "salt", truth)),
        "whole cube": (recipe.labels(folder, "salt", class_name="sea salt"), lambda: labels.label_whole_cube(project, "salt", "sea salt")),
        "table": (recipe.labels_of_all(folder, home / "table.csv"), lambda: labels.labels_from_table(project, home / "table.csv")),
        "folders": (recipe.labels_of_all(folder), lambda: labels.labels_from_folders(project)),
        "view": (recipe.view(folder, "tea", looking, home / "tea.png"), lambda: view.view(project.cube("tea"), looking, home / "tea.png")),
        "bad bands": (recipe.bad_bands(folder, ["salt"], (0, 1, 2, 7)), lambda: prepare.bad_bands(project, ["salt"], chosen="0-2,7")),
        "no bad bands": (recipe.bad_bands(folder, ["tea"], ()), lambda: prepare.bad_bands(project, ["tea"], chosen="none")),
        "header's bad bands": (recipe.bad_bands(folder, ["tea"], None), lambda: prepare.bad_bands(project, ["tea"], chosen="header")),
        "chain": (recipe.chain(folder, preparing), lambda: prepare.set_chain(project, preparing)),
        "no chain": (recipe.chain(folder, ChainConfig()), lambda: prepare.set_chain(project, ChainConfig())),
        "saturated": (recipe.saturated(folder, ["tea"], 990.0), lambda: prepare.flag_saturated(project, ["tea"], ceiling=990.0)),
        "pca": (recipe.pca(folder, projection), lambda: pca.fit_pca(project, projection)),
        "pixels": (recipe.spectra(folder, ["tea"], at=[(3, 4), (5, 6)]), lambda: spectra.spectra(project, ["tea"], at=[(3, 4), (5, 6)])),
        "means": (recipe.spectra(folder, ["tea", "salt"], pool=True), lambda: spectra.spectra(project, ["tea", "salt"], mask=True, pool=True)),
        "class means": (recipe.spectra(folder, ["tea"], classes=True), lambda: spectra.spectra(project, ["tea"], classes=True)),
        "angles": (
            recipe.angles(folder, "tea", home / "two.sli", AnglesConfig(max_angle=0.3)),
            lambda: angles.angles(project, ["tea"], AnglesConfig(max_angle=0.3), library=home / "two.sli"),
        ),
        "library": (
            recipe.spectra(folder, ["tea"], at=[(3, 4)], library=library), lambda: spectra.spectra(project, ["tea"], at=[(3, 4)], library=library)
        ),
        "lasso": (recipe.lasso(folder, first), lambda: lasso.lasso_counts(project, first)),
        "lasso's mask": (
            recipe.lasso(folder, first, mask="remove", cubes=["tea"], outside=True), lambda: lasso.lasso_masks(project, first, "remove", ["tea"], outside=True)
        ),
        "lasso's class": (recipe.lasso(folder, first, class_name="it's"), lambda: lasso.lasso_class(project, first, "it's")),
        "lassos": (recipe.lasso(folder, two), lambda: lasso.lasso_counts(project, two)),
        "patches": (recipe.patches(folder, cutting), lambda: patches.cut_patches(project, cutting)),
        "sheet": (
            recipe.patches(folder, cutting, home / "sheet.png"), lambda: patches.preview_report(project, cutting, home / "sheet.png")
        ),
        "pretrain": (recipe.pretrain(folder, PRETRAIN), lambda: train.pretrain(project, PRETRAIN)),
        "distil": (recipe.distil(folder, DISTIL, "learned"), lambda: train.distil(project, DISTIL, init="learned")),
        "classify": (
            recipe.classify(folder, "learned", knn, ["tea"], {"tea": truth}, BatchConfig(memory=64, workers=2)),
            lambda: classify.classify(project, "learned", knn, ["tea"], {"tea": truth}, memory=64),
        ),
        "classify all": (
            recipe.classify(folder, "taught", ClassifyConfig(method="distil"), None, None, BatchConfig(memory=64)),
            lambda: batch.classify_many(project, "taught", ClassifyConfig(method="distil"), batch=BatchConfig(memory=64)),
        ),
        "evaluate": (recipe.evaluate(folder, "learned", EvaluateConfig(k=3)), lambda: evaluate.evaluate(project, "learned", EvaluateConfig(k=3))),
        "score": (recipe.score(maps["learned"], truth), lambda: judge.score(maps["learned"], truth)),
        "compare": (
            recipe.compare(maps["learned"], maps["taught"], truth), lambda: judge.compare(maps["learned"], maps["taught"], truth)
        ),
        "report": (
            recipe.report(folder, maps["learned"], home / "page.html", truth), lambda: page.report(project, maps["learned"], home / "page.html", truth)
        ),
        "export": (recipe.export(maps["learned"], home / "areas.csv"), lambda: export.export(maps["learned"], home / "areas.csv")),
    }  # fmt: skip


NAMES = (
    "new", "add", "add calibrated", "crop", "whole frame", "mask", "masks", "angle", "labels", "whole cube", "table", "folders",
    "view", "bad bands", "no bad bands", "header's bad bands", "chain", "no chain", "saturated", "pca", "pixels", "means",
    "class means", "angles", "library", "lasso", "lasso's mask", "lasso's class", "lassos", "patches", "sheet",
    "pretrain", "distil", "classify", "classify all", "evaluate", "score", "compare", "report", "export",
)  # fmt: skip
_TIMES = {"seconds", "created", "time", "finished", "started", "pid", "host", "pixels_per_second", "throughput"}


def comparable(value: Any, home: Path) -> Any:
    """Return a report without what two equal runs differ in: times, and the folder it was done in."""
    if isinstance(value, dict):
        return {key: comparable(part, home) for key, part in value.items() if not any(word in key for word in _TIMES)}
    if isinstance(value, list):
        return [comparable(part, home) for part in value]
    if isinstance(value, float):
        return pytest.approx(value, rel=1e-4, abs=1e-6)
    return value.replace(str(home), "HOME") if isinstance(value, str) else value


def by_command(made: recipe.Recipe) -> dict[str, Any]:
    if not made.verb:
        return by_python(made)
    words = shlex.split(made.command)
    assert words[0] == recipe.PROGRAM
    done = CliRunner().invoke(app, [*words[1:], "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


def by_python(made: recipe.Recipe) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(made.python, "copied", "exec"), space)
    return json.loads(json.dumps(plain(space["report"])))


def test_every_step_is_tried(prepared):
    assert tuple(steps(prepared)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_both_texts_do_what_the_step_does(prepared, tmp_path, name):
    """A copied text that gives other results is worse than none: it would be cited as what was done."""
    reports = []
    for way in ("step", "command", "python"):
        home = copied(prepared, tmp_path / f"a {way}")
        made, step = steps(home)[name]
        report = {"step": lambda: plain(run(step())), "command": lambda: by_command(made), "python": lambda: by_python(made)}[way]()  # noqa: B023
        reports.append((json.loads(json.dumps(report)), home))
    (first, home), *others = reports
    for other, place in others:
        assert json.loads(json.dumps(strip(other, place))) == comparable(strip(first, home), home)


def strip(value: Any, home: Path) -> Any:
    if isinstance(value, dict):
        return {key: strip(part, home) for key, part in value.items() if not any(word in key for word in _TIMES)}
    if isinstance(value, list):
        return [strip(part, home) for part in value]
    return value.replace(str(home), "HOME") if isinstance(value, str) else value


def test_only_what_was_chosen_is_written():
    made = recipe.patches(Path("/data/p"), PatchConfig(size=16))
    assert made.command == "napari-hsi-ssl patches /data/p --size 16"
    assert "cut_patches(project, PatchConfig(size=16))" in made.python
    assert recipe.pca(Path("/data/p"), PcaConfig()).command == "napari-hsi-ssl pca /data/p"
    assert recipe.pretrain(Path("/data/p"), PretrainConfig.from_recipe("pixel")).command == "napari-hsi-ssl pretrain /data/p --recipe pixel"


@settings(max_examples=60, deadline=None)
@given(
    name=st.text(st.characters(blacklist_characters="\0/", blacklist_categories=["Cs"]), min_size=1, max_size=20).filter(lambda text: text not in {".", ".."})
)
def test_any_name_survives_quoting(name):
    """Spaces, quotes and dollar signs in folders must reach the program as they are."""
    folder = Path("/data") / name
    made = recipe.crop(folder, name, None)
    words = shlex.split(made.command)
    assert words[1:3] == ["crop", str(folder.absolute())]
    assert words[3:] == (["--cube", name] if not name.startswith("-") else [f"--cube={name}"])
    compile(made.python, "copied", "exec")
    assert repr(str(folder.absolute())) in made.python


def test_a_pretraining_that_starts_from_a_run_says_so():
    made = recipe.pretrain(Path("/data/p"), PretrainConfig.from_recipe("pixel"), "before")
    assert made.command == "napari-hsi-ssl pretrain /data/p --recipe pixel --init before"
    assert "pretrain(project, PretrainConfig.from_recipe('pixel'), init='before')" in made.python
