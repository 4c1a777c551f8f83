"""Maps of many cubes: kept where nothing changed, gone on with where they were stopped, made side by side with the same result."""

import builtins
import csv
import gc
import socket

import numpy as np
import pytest
from PIL import Image

from napari_hsi_ssl.config import BatchConfig, ClassifyConfig
from napari_hsi_ssl.cubes.writers import load_map
from napari_hsi_ssl.errors import ConfigError, HsiError, LabelError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import batch
from napari_hsi_ssl.steps.batch import classify_many
from napari_hsi_ssl.steps.cubes import new

NAMES = ["a", "b", "c", "d"]
CONFIG = ClassifyConfig(k=3, calibrate="no")


@pytest.fixture
def project(tmp_path):
    (tmp_path / "cubes").mkdir()
    for number, name in enumerate(NAMES):
        draws = np.random.default_rng(number)
        truth = np.kron(draws.permutation(4).reshape(2, 2) % 2, np.ones((6, 7), dtype=int))
        np.save(tmp_path / "cubes" / f"{name}.npy", (truth[..., None] * np.arange(1, 6) + draws.normal(scale=0.1, size=(12, 14, 5))).astype(np.float32))
        if name == "a":
            np.save(tmp_path / "truth.npy", truth)
    run(new(tmp_path / "project", [tmp_path / "cubes"]))
    made = Project.open(tmp_path / "project")
    labels = np.load(tmp_path / "truth.npy") + 1
    labels[2:10] = 0
    made.save_labels("a", labels, {1: "clay", 2: "chalk"})
    return Project.open(tmp_path / "project")


def make(project, **changes):
    seen = []
    options = {key: changes.pop(key) for key in ("sheet", "areas", "cubes") if key in changes}
    report = run(classify_many(project, "spectra", CONFIG, batch=BatchConfig(**changes), **options), seen.append)
    return report, [progress.message for progress in seen if progress.warning]


def times(report):
    return {row["cube"]: project_time(row["path"]) for row in report["maps"]}


def project_time(path):
    from pathlib import Path

    return Path(path).stat().st_mtime_ns


def test_maps_that_would_come_out_the_same_are_kept(project):
    first, warned = make(project)
    assert [row["cube"] for row in first["maps"]] == NAMES
    assert (first["kept"], first["failed"], warned) == ([], {}, [])
    before = times(first)
    second, warned = make(project)
    assert second["kept"] == NAMES
    assert times(second) == before
    assert warned == ["All maps are there already and would come out the same, so they are kept."]
    assert [row["areas"] for row in second["maps"]] == [row["areas"] for row in first["maps"]]
    third, warned = make(project, again=True)
    assert (third["kept"], warned) == ([], [])
    assert all(after > before[cube] for cube, after in times(third).items())


def test_only_what_has_changed_is_made_again(project):
    make(project)
    mask = np.ones((12, 14), dtype=bool)
    mask[:3] = False
    project.save_mask("c", mask)
    report, warned = make(project)
    assert report["kept"] == ["a", "b", "d"]
    assert warned[0].startswith("3 of 4 maps are there already")
    assert (load_map(project.map_path("c", "spectra", "knn")).labels[:3] == 0).all()
    labels = project.labels("a")
    labels[5, 5] = 1
    project.save_labels("a", labels)
    assert make(project)[0]["kept"] == []  # all learned from them
    assert run(classify_many(project, "spectra", CONFIG.model_copy(update={"k": 1})))["kept"] == []


def test_what_was_stopped_goes_on(project):
    going = classify_many(project, "spectra", CONFIG)
    while not project.map_path("b", "spectra", "knn").with_suffix(".json").exists():
        next(going)
    going.close()
    assert not project.map_path("d", "spectra", "knn").exists()
    report, _ = make(project)
    assert {"a", "b"} <= set(report["kept"])
    assert len(report["maps"]) == 4


def test_one_cube_that_cannot_be_mapped_does_not_keep_the_others_from_it(project, tmp_path):
    make(project)
    (tmp_path / "cubes" / "c.npy").unlink()
    (tmp_path / "cubes" / "d.npy").unlink()
    for name in ("b", "c"):
        project.map_path(name, "spectra", "knn").unlink()
    report, warned = make(project)
    assert [row["cube"] for row in report["maps"]] == ["a", "b", "d"]
    assert list(report["failed"]) == ["c"]
    assert "c.npy is gone" in report["failed"]["c"]
    assert any(words.startswith("c: ") for words in warned)
    with pytest.raises(HsiError, match=r"c\.npy is gone"):
        make(project, cubes=["c"])


def test_sheet_and_table_hold_every_map(project, tmp_path):
    report, _ = make(project, sheet=tmp_path / "sheet.png", areas=tmp_path / "areas.csv")
    with Image.open(tmp_path / "sheet.png") as picture:
        pixels = np.asarray(picture)
    found = load_map(project.map_path("a", "spectra", "knn"))
    for colour in found.classes.colours:
        assert (pixels == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=-1).sum() > 4 * 1000
    with (tmp_path / "areas.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["cube"], row["class"]) for row in rows] == [(name, words) for name in NAMES for words in ("clay", "chalk")]
    assert [int(row["pixels"]) for row in rows[:2]] == [report["maps"][0]["areas"][name] for name in ("clay", "chalk")]
    assert float(rows[0]["share"]) + float(rows[1]["share"]) == pytest.approx(1)


def test_maps_that_are_there_are_put_on_a_sheet_without_making_any(project, tmp_path):
    report, _ = make(project, cubes=["a", "c"], sheet=tmp_path / "first.png", areas=tmp_path / "first.csv")
    found = run(batch.sheet_maps(project, "spectra", "knn"))
    assert [one.cube for one in found] == ["a", "c"]
    assert found[1].areas == report["maps"][1]["areas"]
    for ending in ("png", "csv"):
        run(batch.save_sheet(project, "spectra", "knn", tmp_path / f"second.{ending}"))
        assert (tmp_path / f"second.{ending}").read_bytes() == (tmp_path / f"first.{ending}").read_bytes()
    with pytest.raises(ConfigError, match=r"second\.tif ends in neither \.png nor \.csv"):
        run(batch.save_sheet(project, "spectra", "knn", tmp_path / "second.tif"))
    with pytest.raises(LabelError, match="no map by spectra and linear yet"):
        run(batch.sheet_maps(project, "spectra", "linear"))


@pytest.mark.parametrize("where", ["workers", "cluster"])
def test_side_by_side_they_come_out_the_same(project, tmp_path, where):
    distributed = pytest.importorskip("distributed")
    alone, _ = make(project)
    expected = {name: load_map(project.map_path(name, "spectra", "knn")) for name in NAMES}
    (tmp_path / "cubes" / "d.npy").unlink()
    if where == "workers":
        report, warned = make(project, again=True, workers=2)
    else:
        with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
            report, warned = make(project, again=True, cluster=cluster.scheduler_address)
    assert [row["cube"] for row in report["maps"]] == ["a", "b", "c"]
    assert "d.npy is gone" in report["failed"]["d"]
    assert any(words.startswith("d: ") for words in warned)
    for row in report["maps"]:
        found = load_map(project.map_path(row["cube"], "spectra", "knn"))
        np.testing.assert_array_equal(found.labels, expected[row["cube"]].labels)
        assert found.provenance["stamp"] == expected[row["cube"]].provenance["stamp"]
    assert alone["maps"][1]["areas"] == report["maps"][1]["areas"]


def test_a_cluster_that_does_not_answer_or_cannot_help_is_told_in_one_sentence(project, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(batch, "_ANSWER_SECONDS", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        silent = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"no dask scheduler answers at {silent} within 1 s; check the address"):
            make(project, cluster=silent)
    with pytest.raises(ConfigError, match="no dask scheduler answers at nonsense"):
        make(project, cluster="nonsense")
    # Collected later, within the start of another, one that did not connect would stop everything.
    assert not [one for one in gc.get_objects() if type(one) is distributed.Client and one.status != "closed"]
    monkeypatch.setattr(batch, "_ANSWER_SECONDS", 10)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None, processes=False) as cluster,
        pytest.raises(ConfigError, match="has no worker; start some with `dask worker"),
    ):
        make(project, cluster=cluster.scheduler_address)
    assert not project.maps()

    imported = builtins.__import__

    def without(name, *rest, **more):
        if name == "distributed":
            raise ImportError(name)
        return imported(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="need the package distributed"):
        make(project, workers=2)


def test_a_worker_that_does_not_see_the_project_is_named(project):
    class Client:
        def scheduler_info(self, **_):
            return {"workers": {"tcp://far:1": {}}}

        def run(self, _function, _folder):
            return {"tcp://far:1": False}

    with pytest.raises(ConfigError, match=r"worker tcp://far:1 of the cluster at tcp://far:0 does not find .*project; put the project"):
        batch._workers(Client(), project, "tcp://far:0")
