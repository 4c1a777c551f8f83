"""One fault at a time: what every case needs, and the list of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from child import Child
from trainers import finish, fresh_run
from world import begin, hashes, open_project

from napari_hsi_ssl.cli import main as command_line
from napari_hsi_ssl.learning import loop
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder

CASES: dict[str, Callable[[World], object]] = {}
NOBODY = 65534
_PAGE = 4096
_WORDS = 40, 420
"""Characters of a sentence: less says too little, more is no sentence."""


def case(title: str) -> Callable[[Callable[[World], object]], Callable[[World], object]]:
    """Put a case on the list."""

    def listed(function: Callable[[World], object]) -> Callable[[World], object]:
        CASES[title] = function
        return function

    return listed


@dataclass
class Answer:
    """What a command said."""

    code: int
    lines: list[str]

    @property
    def error(self) -> str:
        """The sentence; "" without one."""
        return next((line.removeprefix("error: ") for line in self.lines if line.startswith("error: ")), "")


@dataclass
class World:
    """A copy of the small project that one case breaks.

    Attributes
    ----------
    folder : Path
        Of the project.
    calm : Path
        The project that it is a copy of.
    disk : Disk or None
        The small disk that it lies on.
    said : list of str
        The sentences that were told.
    trouble : list of str
        What was not as it should be.
    """

    folder: Path
    calm: Path
    disk: Disk | None = None
    said: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    @property
    def place(self) -> Path:
        """A folder of the case's own, outside of the project."""
        return self.folder.parent

    def expect(self, true: object, otherwise: str) -> None:
        """Note what is wrong unless something is true."""
        if not true:
            self.trouble.append(otherwise)

    def hear(self, sentence: str, *words: str) -> None:
        """Take a message, which must be one clear sentence with these words in it."""
        self.said.append(sentence)
        self.expect(_WORDS[0] < len(sentence) < _WORDS[1] and "\n" not in sentence and sentence.endswith("."), f"this is no clear sentence: {sentence!r}")
        self.expect("Traceback" not in sentence and "unexpected" not in sentence and "broke off" not in sentence, f"a fault of the program: {sentence!r}")
        for word in words:
            self.expect(word in sentence, f"{word!r} is not in {sentence!r}")

    # -- commands ---------------------------------------------------------------------------------------------------------

    def command(self, verb: str, *words: object, on: Path | None = None, before: Callable[[], object] | None = None) -> Answer:
        """Run a verb on the project, or on another path, in a process of its own; ``before`` is done in it first."""
        log = (self.disk.place if self.disk else self.folder).parent / "command.txt"  # never on the disk that is full
        log.unlink(missing_ok=True)

        def work() -> int:
            sys.argv = ["napari-hsi-ssl", verb, str(on or self.folder), *map(str, words), "--json"]
            if before is not None:
                before()
            command_line()
            return 0

        log.touch(0o666)
        code = Child(work, log).wait(300.0)
        return Answer(code, log.read_text(errors="replace").splitlines())

    def works(self, verb: str, *words: object) -> None:
        """Run a verb that must succeed."""
        answer = self.command(verb, *words)
        self.expect(answer.code == 0, f"afterwards {verb} ends with {answer.code}: {answer.lines[-3:]}")

    def refused(self, answer: Answer, *words: str) -> None:
        """Take the answer of a verb that must fail with one sentence and nothing else."""
        self.expect(answer.code == 1, f"it ends with {answer.code}: {answer.lines[-3:]}")
        others = [line for line in answer.lines if not line.startswith(("error: ", "warning: ", "{"))]
        self.expect(not others, f"more than one sentence: {others[:4]}")
        self.hear(answer.error, *words)

    # -- what must still be so ----------------------------------------------------------------------------------------------

    def whole(self, but: Iterable[str] = ()) -> None:
        """Look that the project opens and that no file of the undisturbed one is lost or changed, but some."""
        prefixes = tuple(but)
        try:
            Project.open(self.folder)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the harness looks for
            self.trouble.append(f"the project does not open: {error}")
        now = hashes(self.folder)
        lost = [name for name, value in hashes(self.calm).items() if now.get(name) != value and not name.startswith(prefixes)]
        self.expect(not lost, f"lost or changed: {lost[:5]}")

    def same(self, *parts: str, calm: Path) -> None:
        """Look that some files are those of another project, which was not disturbed."""
        now = hashes(self.folder)
        for name, value in hashes(calm).items():
            if name.startswith(parts):
                self.expect(now.get(name) == value, f"{name} differs from the undisturbed one")

    # -- runs -----------------------------------------------------------------------------------------------------------------

    def run_of(self, kind: str = "pretrain") -> RunFolder:
        """Make a run that is ready to start, like the undisturbed one."""
        return fresh_run(self.folder / "runs" / "tried", RunFolder(self.folder / "runs" / f"calm-{kind}"))

    def resumes(self, folder: RunFolder, kind: str = "pretrain") -> None:
        """Resume a run, which must end as the undisturbed one."""
        self.trouble += finish(folder, RunFolder(self.folder / "runs" / f"calm-{kind}"))

    def fails(self, folder: RunFolder, child: Child | subprocess.Popen[bytes], *words: str, seconds: float = 120.0) -> None:
        """Wait for a trainer that must fail and take its sentence, from the events or, where these cannot be written, from its log."""
        code = child.wait(seconds)
        self.expect(code == 1, f"the trainer ends with {code}")
        last = folder.last("failed")
        lines = folder.log_path.read_text(errors="replace").splitlines() if folder.log_path.exists() else []
        self.hear(str(last["message"]) if last else next((line for line in reversed(lines) if line.strip()), ""), *words)
        self.expect(not any("Traceback" in line for line in lines), "there is a traceback in its log")


def slowly(seconds: float = 0.05) -> Callable[[], None]:
    """Return what makes a trainer rest after every step, so that there is time to break something."""

    def before() -> None:
        done = loop._Pace.done

        def rest(self: Any, *arguments: Any) -> bool:
            time.sleep(seconds)
            return done(self, *arguments)

        loop._Pace.done = rest  # type: ignore[method-assign]

    return before


def as_nobody() -> None:
    """Give up the rights that make an administrator see no fault."""
    if os.geteuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def begin_slowly(folder: RunFolder, *, before: Callable[[], object] | None = None, log: Path | None = None) -> Child:
    """Start a trainer that rests after every step, and wait for its first state."""

    def prepared() -> None:
        slowly()()
        if before is not None:
            before()

    child = begin(folder, resume=False, before=prepared, log=log)
    wait_for(lambda: folder.last("checkpoint") is not None or child.ended_within(0))
    return child


def wait_for(so: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{so.__code__.co_filename}:{so.__code__.co_firstlineno} did not come within {seconds:.0f} s")
        time.sleep(0.01)


class Disk:
    """A small disk of its own for a project; only an administrator can make one."""

    def __init__(self, place: Path, megabytes: int = 24) -> None:
        self.place = place
        self._ballast = place / "ballast"
        place.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "faults", str(place)], check=True)

    def fill(self, left: int) -> None:
        """Fill the disk until so many bytes are left."""
        room = os.statvfs(self.place)
        with suppress(OSError), self._ballast.open("wb", buffering=0) as stream:  # somebody else may take of the room meanwhile
            for _ in range(max(0, (room.f_bavail * room.f_frsize - left) // _PAGE)):
                stream.write(bytes(_PAGE))

    def empty(self) -> None:
        """Take the ballast away."""
        self._ballast.unlink()

    def freeze(self) -> None:
        """Turn the disk read-only, as one with errors does; that takes a moment in which nobody writes."""
        wait_for(lambda: subprocess.run(["mount", "-o", "remount,ro", str(self.place)], check=False, capture_output=True).returncode == 0)

    def thaw(self) -> None:
        """Let it be written again."""
        subprocess.run(["mount", "-o", "remount,rw", str(self.place)], check=True)


def unmount(place: Path) -> None:
    """Take a disk away."""
    subprocess.run(["umount", "-l", str(place)], check=True)


def run_case(title: str, work: Path) -> dict[str, Any]:
    """Run one case on a fresh copy of the project, and return what was said and found."""
    place = work / "other" / f"{list(CASES).index(title):02d}"
    if (place / "disk").is_mount():  # of a harness that was killed
        unmount(place / "disk")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    calm = open_project(work / "calm" / "project").folder
    disk = Disk(place / "disk") if title.startswith("disk") else None
    world = World((disk.place if disk else place) / "project", calm, disk)
    shutil.copytree(calm, world.folder)
    try:
        CASES[title](world)
    except Exception as error:  # noqa: BLE001 - a case that cannot be ended has found something
        world.trouble.append(f"{type(error).__name__}: {error}")
    finally:
        if disk is not None:
            unmount(disk.place)
    if not world.trouble:
        shutil.rmtree(place, ignore_errors=True)
    return {"case": title, "said": world.said, "trouble": world.trouble}
