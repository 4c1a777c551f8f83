"""What headers, project files, event logs, settings and model cards must hold whatever is in them (hypothesis)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.fuzzing.checks import check_sentence
from benchmarks.fuzzing.folder_checks import SETTINGS
from benchmarks.fuzzing.mutations import NASTY_VALUES
from napari_hsi_ssl.config import PretrainConfig, RunConfig
from napari_hsi_ssl.cubes import envi
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.cube_writers import write_cube
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.errors import ConfigError, CubeError, HsiError
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.runs.story import Story

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
json_values = st.recursive(
    st.sampled_from([value for value in NASTY_VALUES if value != 10**400]) | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
header_text = st.text(st.characters(codec="utf-8"), max_size=30)


# -- ENVI headers ----------------------------------------------------------------------------------------------------------


@few
@given(content=st.binary(max_size=60) | st.lists(header_text, max_size=6).map(lambda lines: "\n".join(["ENVI", *lines]).encode()))
def test_a_header_is_text_by_field_or_a_sentence(tmp_path, content):
    path = tmp_path / "a.hdr"
    path.write_bytes(content)
    try:
        found = envi.parse_header(path)
    except CubeError as error:
        check_sentence(error)
        return
    assert all(key == key.lower().strip() for key in found)


@few
@given(description=header_text, sensor=header_text)
def test_nothing_a_cube_says_of_itself_becomes_a_field(tmp_path, description, sensor):
    """A stranger's description with a brace and a line ``samples = 1`` would otherwise make another cube of the copy."""
    hostile = f"{description}}}\nsamples = 1\nlines = {{"
    cube = as_cube(np.arange(24.0).reshape(2, 3, 4), [400, 500, 600, 700], "unknown", "a", description=hostile, sensor=f"{sensor}\nbands = 9")
    write_cube(tmp_path / "a.hdr", cube)
    again = read_cube(tmp_path / "a.hdr")
    assert np.array_equal(again.data, cube.data)
    assert again.attrs["quantity"] == "unknown"
    assert "\n" not in again.attrs["description"]


# -- project files ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    from napari_hsi_ssl.progress import run
    from napari_hsi_ssl.steps.cubes import new

    folder = tmp_path_factory.mktemp("project")
    write_cube(folder / "project" / "cubes" / "a.hdr", as_cube(np.random.default_rng(0).random((3, 4, 5)), [400, 500, 600, 700, 800], "reflectance", "a"))
    run(new(folder / "project", [folder / "project" / "cubes" / "a.hdr"]))
    return folder / "project"


@few
@given(
    field=st.sampled_from(
        ["name", "domain", "path", "shape", "quantity", "key", "raw", "wavelengths", "crop", "calibration", "bad_bands", "fingerprint", "new"]
    ),
    value=json_values,
)
def test_an_entry_of_a_project_is_of_its_types_or_refused(project, tmp_path_factory, field, value):
    content = json.loads((project / "project.json").read_text())
    content["cubes"][0][field] = value
    copy = tmp_path_factory.mktemp("copy")
    (copy / "project.json").write_bytes(json.dumps(content).encode("utf-8", "surrogatepass"))
    try:
        found = Project.open(copy)
    except HsiError as error:
        check_sentence(error)
        return
    (entry,) = found.entries.values()
    assert isinstance(entry.name, str)
    assert all(isinstance(side, int) and side > 0 for side in entry.shape)
    assert entry.bad_bands is None or all(isinstance(band, int) and band >= 0 for band in entry.bad_bands)
    found.put(entry)
    assert Project.open(copy).entries == found.entries


# -- event logs ------------------------------------------------------------------------------------------------------------


names = st.sampled_from(
    ["step", "epoch", "epochs", "total_steps", "loss", "throughput", "seconds_left", "memory", "knn_accuracy", "message", "exits", "device"]
)
kinds = st.sampled_from(["launched", "started", "step", "epoch", "resumed", "warning", "finished", "failed", "other"]) | json_values
events = st.builds(lambda kind, fields: {**fields, "type": kind}, kinds, st.dictionaries(names, json_values | st.integers(0, 9), max_size=3))


@few
@given(lines=st.lists(events.map(lambda event: json.dumps(event).encode("utf-8", "surrogatepass")) | st.binary(max_size=12), max_size=5))
def test_any_log_has_words_and_a_history(tmp_path_factory, lines):
    folder = RunFolder.create(tmp_path_factory.mktemp("run") / "r", RunConfig(kind="pretrain", pretrain=PretrainConfig()))
    (folder.path / "events.jsonl").write_bytes(b"\n".join([*lines, b""]))
    found, _ = folder.events()
    story = Story()
    for event in found:
        told = story.tell(event)
        assert isinstance(told.message, str)
        assert isinstance(told.done, int | float)
    assert [event for event in folder.history() if event not in found] == []
    assert folder.state in {"new", "queued", "running", "finished", "cancelled", "failed", "stopped"}


# -- settings --------------------------------------------------------------------------------------------------------------

NEEDED: dict[str, dict[str, Any]] = {
    "CubeInput": {"name": "a", "domain": "d", "path": "a.npy", "sha256": "0"},
    "DomainInput": {"name": "d", "bands": 3, "used": [0, 1]},
    "LabelInput": {"cube": "a", "path": "a.tif", "sha256": "0"},
    "RunConfig": {"kind": "pretrain", "pretrain": {}},
}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_settings_of_any_values_are_refused_or_survive_json(data):
    name = data.draw(st.sampled_from(sorted(SETTINGS)))
    model = SETTINGS[name]
    fields = data.draw(st.dictionaries(st.sampled_from([*model.model_fields, "unknown"]), json_values, max_size=3))
    try:
        found = model.parse({**NEEDED.get(name, {}), **fields})
    except ConfigError as error:
        check_sentence(error)
        return
    again = model.parse(json.loads(json.dumps(found.model_dump(mode="json"))))
    assert again == found
    assert again.digest() == found.digest()


# -- model cards -----------------------------------------------------------------------------------------------------------

TRUNK = {"widths": [4, 6], "blocks": 1, "stem_stride": 1, "stride": 1, "pool": "mean"}
CARD = {"format": 1, "kind": "pretrain", "channels": 3, "window": 4, "architecture": {"trunk": TRUNK, "projection": 4}, "input": {"source": "pcs"}}
CARD["input"] |= {"offset": [0.0] * 3, "gain": [1.0] * 3, "background": "mean"}


@cache
def saved(folder: Path) -> bytes:
    from napari_hsi_ssl.learning.checkpoint import build_model, save_model

    save_model(folder, build_model(CARD, seed=1), CARD)
    return (folder / "model.safetensors").read_bytes()


@few
@given(path=st.sampled_from([("format",), ("kind",), ("channels",), ("window",), ("architecture",), ("architecture", "trunk"), ("architecture", "projection"),
                             ("architecture", "trunk", "widths"), ("inlets",), ("input",)]), value=json_values)  # fmt: skip
def test_a_card_of_any_values_is_a_model_or_a_sentence(tmp_path_factory, path, value):
    from napari_hsi_ssl.learning.checkpoint import load_model

    folder = tmp_path_factory.mktemp("model")
    (folder / "model.safetensors").write_bytes(saved(tmp_path_factory.getbasetemp() / "saved"))
    card = json.loads(json.dumps(CARD))
    inner = card
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    (folder / "model.json").write_bytes(json.dumps(card).encode("utf-8", "surrogatepass"))
    try:
        model, read = load_model(folder / "model.safetensors")
    except HsiError as error:
        check_sentence(error)
        return
    assert not model.training
    assert read["format"] == 1
