"""A run on a Slurm cluster: a short script, kept in the run folder, and what Slurm's own commands say of it. Nothing here computes.

The run folder stays the only channel: the job trains with the entry that a local run uses, writes the same events, and sees the
same ``cancel`` file. What Slurm adds is a queue before it, and a time limit after which the job saves, and queues itself again.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from napari_hsi_ssl import files, trust
from napari_hsi_ssl.config import SlurmConfig
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.runs.folder import RunFolder

AGAIN: Final = 75
"""Exit code of a trainer that has saved because its time is up, and wants to go on (EX_TEMPFAIL of sysexits.h)."""
_WARNING_SECONDS: Final = 120
_ANSWER_SECONDS: Final = 30
_NO_OPTION: Final = re.compile(r"[\"'`$\\\x00-\x1f\x7f]")
_JOB: Final = re.compile(r"\d{1,20}([_+]\d{1,10})?")
WAITING: Final = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SUSPENDED", "SPECIAL_EXIT"})
AT_WORK: Final = frozenset({"RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "RESIZING", "STOPPED"})


def job_script(folder: RunFolder, config: SlurmConfig) -> str:
    """Return the script that trains a run as a Slurm job; editing it changes how, never what is trained.

    Parameters
    ----------
    folder : RunFolder
        On a file system that the cluster's nodes share.
    config : SlurmConfig
    """
    run = folder.path.absolute()
    for what, text in {"the run's folder": str(run), **{f"--{name}": str(value) for name, value in config if value is not None and name != "setup"}}.items():
        if _NO_OPTION.search(text):
            raise RunError(f"{what} is {text[:80]!r}, which a job script cannot hold; choose a name without quotes, '$', '`', '\\' and line breaks.")
    options = [
        f"--job-name=hsi-{folder.name}",
        f"--chdir={run}",
        f"--output={folder.log_path.absolute()}",
        "--open-mode=append",
        f"--nodes={config.nodes}",
        f"--ntasks-per-node={config.gpus or config.tasks}",
        f"--cpus-per-task={config.cpus}",
        f"--time={config.time}",
        "--requeue",
        f"--signal=TERM@{_WARNING_SECONDS}",
    ]
    options += [f"--gpus-per-node={config.gpus}"] if config.gpus else []
    named = {"partition": config.partition, "account": config.account, "mem": config.memory}
    options += [f"--{name}={value}" for name, value in named.items() if value]
    train = shlex.join([config.python or sys.executable, "-m", "napari_hsi_ssl.runs.train", str(run), "--resume", "--slurm"])
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH {_quoted(option)}" for option in options),
            "# Slurm asks the trainer to save two minutes before the time is up; it leaves with 75, and the job is queued again.",
            "export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1} OMP_WAIT_POLICY=PASSIVE PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1",
            *([config.setup] if config.setup else []),
            f"srun --cpus-per-task=${{SLURM_CPUS_PER_TASK:-1}} {train}",
            "code=$?",
            f'if [ "$code" = {AGAIN} ]; then scontrol requeue "$SLURM_JOB_ID"; fi',
            'exit "$code"',
            "",
        ]
    )


def _quoted(option: str) -> str:
    """Return an option as a line of ``#SBATCH`` needs it: Slurm splits such lines at spaces."""
    name, _, value = option.partition("=")
    return f'{name}="{value}"' if any(sign.isspace() for sign in value) else option


def script_path(folder: RunFolder) -> Path:
    """Return where a run's job script is or would be."""
    return folder.path / "job.sh"


def require_own_script(folder: RunFolder) -> None:
    """Raise `RunError` when a run has a job script that came with its project: a script does whatever its writer wanted."""
    script, home = script_path(folder), folder.home
    if home is not None and script.exists() and not trust.is_own_script(home, script):
        raise RunError(
            f"{script} was not written on this computer, so it is not run; read it, then say `napari-hsi-ssl trust {shlex.quote(str(home))} --scripts`, "
            "or give --partition, --time or the like, and it is written anew."
        )


def write_script(folder: RunFolder, config: SlurmConfig) -> str:
    """Keep the job script in the run folder and return it."""
    text = job_script(folder, config)
    files.write_bytes(script_path(folder), text.encode())
    if folder.home is not None:
        trust.confirm_script(folder.home, script_path(folder))
    return text


def submit(folder: RunFolder) -> str:
    """Hand the run's job script to Slurm, as it stands in the run folder, and return the job's number.

    Raises
    ------
    RunError
        When the run is being trained, is finished, or waits in the queue already, Slurm refuses the job, or its script came with the project.
    """
    require_own_script(folder)
    if folder.alive:
        raise RunError(f"run '{folder.name}' is being trained already; follow it, or cancel it before it is submitted again.")
    if folder.result is not None:
        raise RunError(f"run '{folder.name}' is finished; choose another name with --run, or delete it first.")
    waiting = queued(folder)
    if waiting is not None:
        raise RunError(f"run '{folder.name}' is job {waiting} of Slurm already; follow it, or cancel it before it is submitted again.")
    folder.clear_cancel()
    begin = folder.log_path.stat().st_size if folder.log_path.exists() else 0
    job = _ask(["sbatch", "--parsable", str(script_path(folder))], f"run '{folder.name}'").strip().split(";")[0]
    folder.emit("submitted", job=job, log=begin, message=f"job {job} is in the queue")
    return job


def job_of(folder: RunFolder) -> str | None:
    """Return the number of the job that a run was submitted as last, or None when it was started otherwise since, or has ended."""
    event = folder.last("submitted", "launched", "finished", "failed", "cancelled")
    job = str(event.get("job")) if event is not None and event["type"] == "submitted" else ""
    return job if _JOB.fullmatch(job) else None  # it becomes an argument of Slurm's commands, which must not be an option


def queued(folder: RunFolder) -> str | None:
    """Return the run's job when Slurm still has it, waiting or at work; None otherwise."""
    job = job_of(folder)
    return job if job is not None and state(job) in WAITING | AT_WORK else None


def state(job: str) -> str:
    """Return a job's state in Slurm's words (``PENDING``, ``RUNNING``, ``TIMEOUT``, …), "" when Slurm no longer knows it.

    Raises
    ------
    RunError
        When Slurm does not answer.
    """
    try:
        told = _ask(["squeue", "--noheader", "--jobs", job, "--format=%T", "--states=all"], f"job {job}").split()
    except _UnknownJobError:
        told = []
    if told:
        return told[0]
    if shutil.which("sacct") is None:
        return ""
    try:  # the accounting is an extra that many clusters, and every small one, do without
        told = _ask(["sacct", "--noheader", "--allocations", "--jobs", job, "--format=State"], f"job {job}").split()
    except RunError:
        return ""
    return told[0].rstrip("+") if told else ""


def reason(job: str) -> str:
    """Return why a job waits, in Slurm's word (``Priority``, ``Resources``, …); "" when it does not."""
    try:
        told = _ask(["squeue", "--noheader", "--jobs", job, "--format=%r"], f"job {job}").strip()
    except RunError:
        return ""
    return "" if told in {"None", ""} else told.splitlines()[0]


def cancel(job: str) -> None:
    """Take a job out of the queue, or end it."""
    _ask(["scancel", job], f"job {job}")


class _UnknownJobError(RunError):
    """Slurm has forgotten a job: it ended some minutes ago."""


def _ask(command: list[str], what: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False)
    except FileNotFoundError as error:
        raise RunError(
            f"{what}: Slurm's command '{command[0]}' is not on this computer; submit from a login node, or carry the run there with `runs --pack`."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise RunError(f"{what}: Slurm has not answered {command[0]} within {_ANSWER_SECONDS} s; its controller may be down: try again later.") from error
    if done.returncode == 0:
        return done.stdout
    words = next((line.strip() for line in reversed(done.stderr.splitlines()) if line.strip()), f"exit code {done.returncode}")
    if "Invalid job id" in done.stderr:
        raise _UnknownJobError(f"{what}: Slurm no longer knows it.")
    if command[0] == "sbatch":
        raise RunError(f"{what}: Slurm refused the job ({words}); correct --partition, --account, --time, --gpus or --nodes, or edit job.sh in the run folder.")
    raise RunError(f"{what}: Slurm's {command[0]} failed ({words}); see whether the cluster is up, then try again.")
