"""A real Slurm of one node on this computer, for as long as a test runs: its own munge, controller and node daemon."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel")


def missing() -> str:
    """Return why no cluster can be started here; "" when one can."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    absent = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if absent:
        return f"Slurm is not installed ({', '.join(absent)} missing): apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "only root can start Slurm's daemons"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def cluster(folder: Path) -> Iterator[Path]:
    """Run a cluster and give its configuration file, to be named by ``SLURM_CONF``."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    key, socket_path = folder / "munge.key", folder / "munge.sock"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    sbin = os.environ["PATH"] + ":/usr/sbin:/sbin"
    run = {name: str(shutil.which(name, path=sbin)) for name in NEEDED}
    node = socket.gethostname().split(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(
        "\n".join(
            [
                "ClusterName=test",
                f"SlurmctldHost={node}(127.0.0.1)",
                "SlurmUser=root",
                f"SlurmctldPort={free_port()}",
                f"SlurmdPort={free_port()}",
                "AuthType=auth/munge",
                f"AuthInfo=socket={socket_path}",
                "CredType=cred/munge",
                f"StateSaveLocation={folder / 'state'}",
                f"SlurmdSpoolDir={folder / 'spool'}",
                f"SlurmctldPidFile={folder / 'slurmctld.pid'}",
                f"SlurmdPidFile={folder / 'slurmd.pid'}",
                f"SlurmctldLogFile={folder / 'slurmctld.log'}",
                f"SlurmdLogFile={folder / 'slurmd.log'}",
                "ProctrackType=proctrack/pgid",
                "TaskPlugin=task/none",
                "SelectType=select/cons_tres",
                "SelectTypeParameters=CR_CPU",
                "MpiDefault=none",
                "ReturnToService=2",
                "SchedulerParameters=sched_interval=1,batch_sched_delay=0",
                "KillWait=5",
                "MinJobAge=60",
                f"NodeName={node} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1024 State=UNKNOWN",
                f"PartitionName=debug Nodes={node} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4",
                "",
            ]
        )
    )
    (folder / "state").mkdir(exist_ok=True)
    (folder / "spool").mkdir(exist_ok=True)
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    munge = [run["munged"], "--foreground", "--force", f"--key-file={key}", f"--socket={socket_path}", f"--pid-file={folder / 'munged.pid'}"]
    munge += [f"--log-file={folder / 'munged.log'}", f"--seed-file={folder / 'munged.seed'}"]
    daemons = []
    try:
        for command in (munge, [run["slurmctld"], "-D", "-c", "-f", str(conf)], [run["slurmd"], "-D", "-f", str(conf)]):
            log = (folder / f"{Path(command[0]).name}.out").open("wb")
            daemons.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True))
            log.close()
            time.sleep(0.5)
        wait_for_node(environment)
        yield conf
    finally:
        subprocess.run([run["scancel"], "--state=RUNNING", "--user=root"], env=environment, check=False, capture_output=True, timeout=30)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def wait_for_node(environment: dict[str, str], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    words = ""
    while time.monotonic() < deadline:
        told = subprocess.run(["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True, timeout=30, check=False)
        words = told.stdout.strip() or told.stderr.strip()
        if words.startswith(("idle", "mixed", "allocated")):
            return
        time.sleep(0.5)
    msg = f"Slurm's node did not come up: {words}"
    raise TimeoutError(msg)
