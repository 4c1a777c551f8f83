"""Full disks, rights that are taken away, disks that turn read-only, folders that vanish."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from cases import NOBODY, World, as_nobody, begin_slowly, case
from world import hashes

from napari_hsi_ssl.cubes.writers import load_map
from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs import launch

_FULL = "No space left on device"
SMALL_PCA = ("pca", "--bands", 6, "--components", 4)
PATCHES = ("--size", 8, "--stride", 5, "--coverage", 0)
VERBS: dict[str, tuple[Sequence[object], tuple[str, ...], int]] = {
    "a mask": (("mask", "--method", "otsu", "--cube", "beans"), ("masks/beans", "preprocessing.json"), 0),
    "labels": (("labels", "--cube", "lumps", "--class", "whole"), ("labels/",), 0),
    "project.json": (("crop", "--cube", "beans", "--box", "0,0,20,20"), ("project.json",), 0),
    "PCA scores": (("pca", "--bands", 7, "--components", 3), ("inlets/", "project.json", "preprocessing.json"), 20_000),
    "patches": (("patches", *PATCHES), ("patches/", "project.json", "preprocessing.json"), 0),
    "a map": (("classify", "--cube", "beans", "--run", "training-free", "--method", "knn", "--k", 3), ("maps/", "inlets/", "embeddings/"), 4096),
    "a PCA's note": (("pca", "--bands", 6, "--components", 2), ("inlets/", "project.json", "preprocessing.json"), 24_576),
}
"""What is written on a full disk: the verb, what of the project may differ afterwards, and the bytes that are left for it."""


def _full(what: str) -> Callable[[World], None]:
    """Return the case in which the disk is full while a verb writes: nothing changes, and once there is room it does what it should."""
    words, may_change, left = VERBS[what]

    def check(world: World) -> None:
        assert world.disk is not None
        before = hashes(world.folder)
        world.disk.fill(left)
        answer = world.command(str(words[0]), *words[1:])
        world.refused(answer, _FULL)
        left_behind = {name for name in hashes(world.folder).keys() - before.keys() if not name.startswith(("inlets/", "embeddings/"))}
        world.expect(not left_behind, f"something was left: {sorted(left_behind)}")
        world.whole(but=[] if what != "a PCA's note" else ["preprocessing.json"])
        world.disk.empty()
        world.works(str(words[0]), *words[1:])
        other = world.place.parent / "undisturbed"
        shutil.copytree(world.calm, other / "project")
        World(other / "project", world.calm).works(str(words[0]), *words[1:])
        made = World(world.folder, world.calm)
        made.same(*(part for part in may_change if part.endswith("/") and part != "maps/"), calm=other / "project")
        world.trouble += made.trouble
        for path in Project.open(world.folder).maps():
            load_map(path)

    return check


for _what in VERBS:
    case(f"disk full: {_what}")(_full(_what))


@case("disk full: an ENVI cube, a Zarr store and a GeoTIFF that are exported over older ones")
def export(world: World) -> None:
    assert world.disk is not None
    for name in ("out.hdr", "out.zarr", "out.tif"):
        world.disk.fill(1 << 20)
        cube = world.folder / "cubes" / "coffee" / "beans.hdr"
        target = world.place / name
        answer = world.command("export", "--to", target, on=cube)
        world.expect(answer.code == 0, f"{name}: {answer.lines}")
        before = hashes(world.place)
        world.disk.empty()
        world.disk.fill(8192)
        world.refused(world.command("export", "--to", target, on=cube), _FULL)
        now = {key: value for key, value in hashes(world.place).items() if key != "ballast"}
        world.expect(now == {key: value for key, value in before.items() if key != "ballast"}, f"{name}: the older one is not as it was")
        world.disk.empty()
        world.expect(world.command("export", "--to", target, on=cube).code == 0, f"{name} is not written where there is room again")
    world.whole()


def _train_until_full(world: World, left: int, *words: str) -> None:
    """Fill the disk while a run trains; where not even its log can be written, whoever watches says that it has stopped."""
    assert world.disk is not None
    folder = world.run_of()
    child = begin_slowly(folder)
    step = (folder.last("checkpoint") or {})["step"]
    world.disk.fill(left)
    if left:
        world.fails(folder, child, *words)
    else:
        world.expect(child.wait() == 1, f"the trainer ends with {child.code}")
        try:
            run(launch.follow(folder))
        except HsiError as error:
            world.hear(str(error), *words)
    world.whole()
    world.expect(max((int(path.stem.removeprefix("step-")) for path in folder.checkpoints.glob("step-*.pt")), default=0) >= step, "a saved state is lost")
    world.disk.empty()
    world.resumes(folder)


@case("disk full: a training that saves its state")
def state(world: World) -> None:
    _train_until_full(world, 16_384, _FULL, "cannot be written")


@case("disk full: a training that cannot even write an event")
def event(world: World) -> None:
    _train_until_full(world, 0)


@case("disk read-only while a training runs")
def frozen_disk(world: World) -> None:
    assert world.disk is not None
    folder = world.run_of()
    log = world.calm.parent / "frozen.txt"  # a disk with a file that is open for writing cannot be turned
    log.unlink(missing_ok=True)
    child = begin_slowly(folder, log=log)
    world.disk.freeze()
    world.expect(child.wait() == 1, f"the trainer ends with {child.code}")
    world.disk.thaw()
    world.hear(_last_words(log), "Read-only file system")
    world.whole()
    world.resumes(folder)


def _last_words(log: Path) -> str:
    return next((line for line in reversed(log.read_text(errors="replace").splitlines()) if line.strip()), "")


# -- rights -----------------------------------------------------------------------------------------------------------------


def _open_to_all(folder: Path) -> None:
    """Let anybody go into the folders above."""
    for parent in (folder, *folder.parents):
        if parent != Path("/") and parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o555)


def _give_away(folder: Path) -> None:
    """Give a folder to somebody who is no administrator."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)


@case("a project folder that may only be read")
def read_only(world: World) -> None:
    _open_to_all(world.folder)
    for words in (("mask", "--method", "otsu"), ("crop", "--cube", "beans", "--box", "0,0,20,20"), SMALL_PCA, ("patches", *PATCHES)):
        world.refused(world.command(str(words[0]), *words[1:], before=as_nobody), "Permission denied")
    world.expect(world.command("runs", before=as_nobody).code == 0, "looking at it does not work either")
    world.whole()
    world.works("mask", "--method", "otsu")
    world.whole()


@case("a project.json that may not be read")
def unreadable(world: World) -> None:
    _open_to_all(world.folder)
    (world.folder / "project.json").chmod(0)
    world.refused(world.command("runs", before=as_nobody), "project.json", "Permission denied")
    (world.folder / "project.json").chmod(0o644)
    world.expect(world.command("runs", before=as_nobody).code == 0, "it does not open once it may be read")
    world.whole()


@case("a run folder whose rights are taken away while it trains")
def rights(world: World) -> None:
    folder = world.run_of()
    _open_to_all(world.folder)
    for name in ("events.jsonl", "log.txt"):
        (folder.path / name).touch()
    _give_away(folder.path)
    child = begin_slowly(folder, before=as_nobody)
    for place in (folder.checkpoints, folder.path):
        os.chown(place, os.geteuid(), os.getegid())
        place.chmod(0o555)
    world.fails(folder, child, "Permission denied")
    world.whole()
    for place in (folder.path, folder.checkpoints):
        place.chmod(0o755)
    world.resumes(folder)


@case("a cube that may not be read any more")
def cube(world: World) -> None:
    _open_to_all(world.folder)
    data = world.folder / "cubes" / "coffee" / "beans.dat"
    data.chmod(0)
    world.refused(world.command(*SMALL_PCA, before=as_nobody), "beans.dat")
    data.chmod(0o644)
    world.whole()
    world.works(*SMALL_PCA)


# -- what vanishes ------------------------------------------------------------------------------------------------------------


@case("a run folder that vanishes while it trains")
def run_gone(world: World) -> None:
    folder = world.run_of()
    child = begin_slowly(folder)
    away = world.place / "away"
    folder.path.rename(away)
    world.expect(child.wait() == 1, f"the trainer ends with {child.code}")
    world.hear(_last_words(away / "log.txt"), "has vanished", "bring it back")
    world.expect(not folder.path.exists(), "a part of the folder has come back")
    world.whole()
    away.rename(folder.path)
    world.resumes(folder)


@case("a project folder that vanishes while it is open")
def project_gone(world: World) -> None:
    project = Project.open(world.folder)
    world.folder.rename(world.place / "away")
    for write in (lambda: project.set_crop("beans", (0, 0, 9, 9)), lambda: project.note("mask", {}), lambda: project.save_mask("beans", project_mask(world))):
        try:
            write()
        except HsiError as error:
            world.hear(str(error))
        else:
            world.expect(False, "a write into a folder that is gone says nothing")
    world.expect(not (world.folder / "project.json").exists(), "the project has come back with a part of itself")
    shutil.rmtree(world.folder, ignore_errors=True)
    (world.place / "away").rename(world.folder)
    world.whole()


def project_mask(world: World):
    """Return the mask of the undisturbed project."""
    return Project.open(world.calm).mask("beans")


@case("cubes on a share that is gone for a while")
def share(world: World) -> None:
    away = world.folder / "away"
    (world.folder / "cubes").rename(away)
    world.refused(world.command(*SMALL_PCA), "beans", "is gone")
    world.expect(world.command("runs").code == 0, "the rest of the project cannot be looked at")
    away.rename(world.folder / "cubes")
    world.works(*SMALL_PCA)
    world.whole(but=["project.json", "preprocessing.json"])


@case("two commands that write at once")
def at_once(world: World) -> None:
    one, other = Project.open(world.folder), Project.open(world.folder)
    one.set_crop("beans", (0, 0, 20, 20))
    try:
        other.set_crop("lumps", (0, 0, 10, 10))
    except HsiError as error:
        world.hear(str(error), "changed by another")
    world.expect(Project.open(world.folder).entry("beans").crop == (0, 0, 20, 20), "what the first one wrote is lost")
    other.set_crop("lumps", (0, 0, 10, 10))
    now = Project.open(world.folder)
    world.expect((now.entry("beans").crop, now.entry("lumps").crop) == ((0, 0, 20, 20), (0, 0, 10, 10)), "not both crops are there")


@case("a process that hangs while it writes to the project")
def hanging(world: World) -> None:
    (world.folder / ".writing").write_text(f"{os.uname().nodename} {os.getpid()}")
    world.refused(world.command("crop", "--cube", "beans", "--box", "0,0,20,20"), ".writing", "wait for it")
    (world.folder / ".writing").unlink()
    world.whole()
