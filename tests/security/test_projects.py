"""A project folder from a stranger: what its files name, where its names lead, what of it would be run."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_hsi_ssl import files, trust
from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import LabelInput, PretrainConfig, RunConfig, SlurmConfig
from napari_hsi_ssl.config.training import CubeInput, DistilConfig
from napari_hsi_ssl.cubes.cube import Classes, ClassMap
from napari_hsi_ssl.cubes.writers import save_map
from napari_hsi_ssl.errors import HsiError, ProjectError, RunError, UntrustedError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs import parcel, slurm
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps import cubes
from napari_hsi_ssl.steps.confirm import trust_files, unconfirmed
from napari_hsi_ssl.steps.export import export
from napari_hsi_ssl.steps.learned_from import learned_from
from napari_hsi_ssl.steps.project_splits import chosen_split
from napari_hsi_ssl.steps.relink import relink

SHAPE = (6, 5, 4)


@pytest.fixture
def victim(tmp_path):
    """A file of the user that no project was given."""
    np.save(tmp_path / "private.npy", np.random.default_rng(1).random(SHAPE))
    return tmp_path / "private.npy"


@pytest.fixture
def project(tmp_path):
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).random(SHAPE))
    run(cubes.new(tmp_path / "project", [tmp_path / "mine.npy"]))
    return Project.open(tmp_path / "project")


def tampered(project, **fields):
    """Change a field of the first cube as a stranger with an editor would; give the project as it is opened then."""
    path = project.folder / "project.json"
    content = json.loads(path.read_text())
    content["cubes"][0].update(fields)
    path.write_text(json.dumps(content))
    return Project.open(project.folder)


# -- what may be read ---------------------------------------------------------------------------------------------------------


def test_a_cube_that_was_given_here_is_read_without_a_question(project):
    assert project.outside() == []
    assert project.cube("mine").shape == SHAPE


@pytest.mark.parametrize("field", ["path", "white", "dark", "panel"])
def test_a_file_elsewhere_that_nobody_gave_is_not_read(project, victim, field):
    found = tampered(project, **({"path": str(victim)} if field == "path" else {"calibration": {field: str(victim)}}))
    with pytest.raises(UntrustedError, match="napari-hsi-ssl trust") as caught:
        found.cube("mine")
    assert caught.value.paths == (victim,)
    assert "\n" not in str(caught.value)
    assert found.outside() == [victim]


def test_cropping_or_calling_a_domain_otherwise_confirms_nothing(project, victim):
    found = tampered(project, path=str(victim))
    run(cubes.crop(found, "mine", (0, 0, 2, 2)))
    with pytest.raises(UntrustedError):
        Project.open(project.folder).raw("mine")


def test_what_one_project_may_read_another_may_not(project, tmp_path):
    shutil.copytree(project.folder, tmp_path / "copy")
    content = json.loads((tmp_path / "copy" / "project.json").read_text())
    content["id"] = "0123456789abcdef"
    (tmp_path / "copy" / "project.json").write_text(json.dumps(content))
    with pytest.raises(UntrustedError):
        Project.open(tmp_path / "copy").raw("mine")


def test_a_project_that_moved_with_its_cubes_asks_nothing_but_reads_nothing_else(project, victim, tmp_path):
    (tmp_path / "new").mkdir()
    shutil.move(project.folder, tmp_path / "new" / "project")
    shutil.move(tmp_path / "mine.npy", tmp_path / "new" / "mine.npy")
    moved = Project.open(tmp_path / "new" / "project")
    assert moved.raw("mine").shape == SHAPE
    with pytest.raises(UntrustedError):
        tampered(moved, path=str(victim)).raw("mine")


def test_a_moved_cube_is_given_by_relink(project, tmp_path):
    (tmp_path / "there").mkdir()
    shutil.move(tmp_path / "mine.npy", tmp_path / "there" / "mine.npy")
    assert run(relink(project, tmp_path / "there"))["found"]
    assert Project.open(project.folder).raw("mine").shape == SHAPE


def test_the_verb_lists_then_allows(project, victim):
    tampered(project, path=str(victim))
    listed = CliRunner().invoke(app, ["trust", str(project.folder), "--list", "--json"])
    assert json.loads(listed.stdout) == {"project": str(project.folder), "files": [str(victim)], "trusted": False}
    with pytest.raises(UntrustedError):
        Project.open(project.folder).raw("mine")
    assert CliRunner().invoke(app, ["trust", str(project.folder)]).exit_code == 0
    assert Project.open(project.folder).raw("mine").shape == SHAPE


def test_permission_is_kept_outside_the_project(project, victim):
    assert not trust.lies_in(trust.remembered_in(), project.folder)
    (project.folder / "trusted").mkdir()
    (project.folder / "trusted" / "all.json").write_text(json.dumps({"files": [str(victim)]}))
    with pytest.raises(UntrustedError):
        tampered(project, path=str(victim)).raw("mine")


def test_a_split_elsewhere_is_neither_read_nor_forgotten(project, victim):
    project.note("split", {"train": {"mine": str(victim)}, "settings": {}})
    assert chosen_split(project) == {}
    assert project.outside() == [victim]


def test_a_map_does_not_lead_to_labels_elsewhere(project, victim):
    path = project.map_path("mine", "spectra", "knn")
    blank = np.ones(SHAPE[:2], np.int32)
    told = {"cube": "mine", "run": "spectra", "method": "knn", "train": {"mine": str(victim)}}
    save_map(path, ClassMap(blank, Classes.of([1]), blank.astype(np.float32), told))
    with pytest.raises(UntrustedError):
        learned_from(path)
    assert unconfirmed(project) == [victim]


def config(path: str) -> RunConfig:
    cube = CubeInput(name="mine", domain="d", path=path, sha256="0" * 64)
    return RunConfig(kind="pretrain", pretrain=PretrainConfig(), cubes=(cube,))


@pytest.mark.parametrize("field", ["cube", "label", "inlet", "patches", "init", "start"])
def test_a_run_does_not_read_elsewhere(project, victim, field):
    own, outside = project.folder / "runs" / "theirs" / "inputs" / "own", str(victim)
    own.parent.mkdir(parents=True)
    own.write_bytes(b"own")
    named = dict.fromkeys(("cube", "label", "inlet", "patches", "init", "start"), "inputs/own") | {field: outside}
    sha256 = files.file_hash(own)
    made = RunConfig(
        kind="distil",
        distil=DistilConfig(),
        cubes=(CubeInput(name="mine", domain="d", path=named.pop("cube"), sha256=sha256),),
        labels=(LabelInput(cube="mine", path=named.pop("label"), sha256=sha256),),
        **named,
    )
    folder = RunFolder.create(project.folder / "runs" / "theirs", made)
    with pytest.raises(UntrustedError):
        folder.resolve(outside)
    with pytest.raises(UntrustedError):
        run(parcel.pack(folder, project.folder / "out.tar"))
    assert unconfirmed(project) == [victim]


# -- where names lead -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/b", "..", ".", "", "a\nb", "a\x00b", "x" * 300, 7, None])
def test_a_cube_of_such_a_name_is_refused(project, name):
    with pytest.raises(HsiError, match=r"do not trust this project|incomplete|letter of number 0"):
        tampered(project, name=name)


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "/x"])
def test_no_cube_run_or_file_gets_such_a_name(project, name, tmp_path):
    with pytest.raises(HsiError):
        run(cubes.add(project, tmp_path / "mine.npy", name=name))
    with pytest.raises(ProjectError):
        project.new_run_path("pretrain", name)
    with pytest.raises(ProjectError):
        project.run_folder(name)


def test_a_file_whose_name_is_no_name_is_called_otherwise(project, tmp_path):
    odd = tmp_path / "a\nb.npy"
    shutil.copy(tmp_path / "mine.npy", odd)
    run(cubes.add(project, odd))
    assert "a_b" in Project.open(project.folder).entries


@pytest.mark.parametrize("field", ["inlet", "patches"])
def test_what_was_made_lies_in_the_project(project, field):
    content = json.loads((project.folder / "project.json").read_text())
    (project.folder / "project.json").write_text(json.dumps({**content, field: "../../elsewhere"}))
    with pytest.raises(ProjectError, match=f"'{field}'"):
        Project.open(project.folder)


# -- links ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["masks", "masks/mine.tif", "labels", "runs", "runs/one/log.txt", "runs/one/events.jsonl", "lock.json", "maps/a.json"])
def test_a_link_that_leads_out_is_not_followed(project, tmp_path, place):
    target = tmp_path / "home" / ".bashrc"
    target.parent.mkdir()
    target.write_text("mine")
    link = project.folder / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target if "." in place else target.parent)
    with pytest.raises(UntrustedError):
        Project.open(project.folder)
    run(trust_files(project.folder))  # links of one's own, to a larger disk, are followed once they are confirmed
    Project.open(project.folder)
    assert target.read_text() == "mine"


def test_links_within_the_project_are_followed(project):
    (project.folder / "storage").mkdir()
    (project.folder / "masks").symlink_to(project.folder / "storage")
    Project.open(project.folder).save_mask("mine", np.ones(SHAPE[:2], bool))
    assert (project.folder / "storage" / "mine.tif").is_file()


def test_a_cube_in_the_project_has_no_data_elsewhere(project, victim):
    (project.folder / "theirs.hdr").write_text("ENVI\nsamples = 4\nlines = 2\nbands = 2\ndata type = 1\ninterleave = bsq\nbyte order = 0\n")
    secret = victim.with_suffix(".bin")
    secret.write_bytes(bytes(16))
    (project.folder / "theirs.dat").symlink_to(secret)
    found = tampered(project, path="theirs.hdr", shape=[2, 4, 2])
    with pytest.raises(UntrustedError):
        found.raw("mine")


def test_a_store_in_the_project_has_no_chunks_elsewhere(project, victim):
    import zarr

    store = project.folder / "theirs.zarr"
    made = zarr.create_array(str(store), shape=SHAPE, chunks=SHAPE, dtype="f8", compressors=None)
    made[:] = 1.0
    chunk = next(path for path in store.rglob("*") if path.is_file() and path.name != "zarr.json")
    chunk.unlink()
    chunk.symlink_to(victim)
    with pytest.raises(UntrustedError):
        tampered(project, path="theirs.zarr").raw("mine")


def test_a_model_that_is_a_link_is_not_handed_on(tmp_path, victim):
    folder = RunFolder.create(tmp_path / "run", config("a.npy"))
    folder.model_path.symlink_to(victim)
    (folder.path / "model.json").write_text("{}")
    with pytest.raises(RunError, match="leads out of the run's folder"):
        run(export(folder.path, tmp_path / "out.safetensors"))
    assert not (tmp_path / "out.safetensors").exists()


# -- what would be run ----------------------------------------------------------------------------------------------------------


def test_a_job_script_that_came_with_the_project_is_not_submitted(project, monkeypatch):
    folder = RunFolder.create(project.folder / "runs" / "theirs", config("a.npy"))
    (folder.path / "job.sh").write_text("#!/bin/bash\ntouch /tmp/owned\n")
    asked = []
    monkeypatch.setattr(slurm, "_ask", lambda command, what: asked.append(command) or "7")
    with pytest.raises(RunError, match="was not written on this computer"):
        slurm.submit(folder)
    assert asked == []
    slurm.write_script(folder, SlurmConfig())  # written anew, it is one's own, and so it is after an edit
    with (folder.path / "job.sh").open("a") as script:
        script.write("# edited\n")
    assert slurm.submit(folder) == "7"


@pytest.mark.parametrize("name", ['x"\nrm -rf ~\n#', "x\n#SBATCH --wrap=id", "$(id)", "`id`", "a'b"])
def test_names_do_not_become_lines_or_commands_of_a_job_script(tmp_path, name):
    folder = RunFolder(tmp_path / name.replace("/", "_"))
    with pytest.raises(RunError, match="job script cannot hold"):
        slurm.job_script(folder, SlurmConfig())
    with pytest.raises(RunError, match="job script cannot hold"):
        slurm.job_script(RunFolder(tmp_path / "run"), SlurmConfig(partition=name))
    good = slurm.job_script(RunFolder(tmp_path / "a b"), SlurmConfig(partition="gpu"))
    assert subprocess.run(["bash", "-n"], input=good, text=True, check=False).returncode == 0


def test_a_log_cannot_give_slurm_an_option(tmp_path):
    folder = RunFolder.create(tmp_path / "run", config("a.npy"))
    for job in ("--user=me", "-u me", "1 2", "", None, {"a": 1}):
        folder.emit("submitted", job=job)
        assert slurm.job_of(folder) is None
    folder.emit("submitted", job="123_4")
    assert slurm.job_of(folder) == "123_4"


def test_a_lock_cannot_have_another_process_killed(tmp_path):
    """Host, number and start time must be those of a process; a stranger cannot know the last."""
    import os
    import socket

    folder = RunFolder.create(tmp_path / "run", config("a.npy"))
    for started in (0.0, time.time(), float("inf"), float("nan"), "x", None):
        (folder.path / "lock.json").write_text(json.dumps({"host": socket.gethostname(), "pid": os.getppid(), "started": started, "heartbeat": time.time()}))
        assert folder.owner is None


# -- parcels --------------------------------------------------------------------------------------------------------------------


def archive(path, members, text=None):
    with tarfile.open(path, "w") as opened:
        for name, content in {"run/config.json": text or config("inputs/a.npy").model_dump_json().encode(), **members}.items():
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if not isinstance(content, tarfile.TarInfo):
                member.size = len(content)
            opened.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return path


def special(kind, name="run/x", link="/etc/passwd"):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


@pytest.mark.parametrize(
    "members",
    [
        {"../x": b""}, {"/x": b""}, {"run/../../x": b""}, {"run/a\\..\\x": b""}, {"run/a\nb": b""}, {"x": special(tarfile.SYMTYPE)},
        {"x": special(tarfile.LNKTYPE)}, {"x": special(tarfile.CHRTYPE)}, {"x": special(tarfile.FIFOTYPE)}, {"x": special(tarfile.DIRTYPE)},
    ],
)  # fmt: skip
def test_a_parcel_writes_nothing_outside_its_run(tmp_path, members):
    packed = archive(tmp_path / "p.tar", members)
    (tmp_path / "project" / "runs").mkdir(parents=True)
    with pytest.raises(RunError, match="do not trust this file"):
        run(parcel.unpack(packed, tmp_path / "project" / "runs"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["p.tar", "project", "runs"]


def test_a_parcel_brings_no_job_script_and_no_lock(tmp_path):
    packed = archive(tmp_path / "p.tar", {f"run/{name}": b"rm -rf ~" for name in ("job.sh", "lock.json", "cancel", ".hidden")} | {"run/inputs/a.npy": b""})
    run(parcel.unpack(packed, tmp_path / "runs"))
    assert sorted(path.name for path in (tmp_path / "runs" / "run").iterdir()) == ["config.json", "inputs"]


def test_a_parcel_names_no_input_outside_itself(tmp_path, victim):
    packed = archive(tmp_path / "p.tar", {}, config(str(victim)).model_dump_json().encode())
    with pytest.raises(RunError, match="do not trust this file"):
        run(parcel.unpack(packed, tmp_path / "runs"))
    assert not (tmp_path / "runs" / "run").exists()
