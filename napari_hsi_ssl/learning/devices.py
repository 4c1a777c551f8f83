"""Which devices train, in which precision, started how: a thin layer over Lightning Fabric."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, Final, Literal, cast

import psutil
import torch
import torch._dynamo
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import ClusterEnvironment, LightningEnvironment, SLURMEnvironment
from lightning_fabric.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from torch import Tensor, nn

from napari_hsi_ssl.config import TrainerConfig
from napari_hsi_ssl.errors import RunError

_Precision = Literal["32-true", "16-mixed", "bf16-mixed", "64-true"]
_PRECISIONS: Final[dict[str, _Precision]] = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed", "64": "64-true"}

SILENCE = timedelta(minutes=10)
"""How long a rank waits for another one, which may be judging or saving meanwhile, before it takes it for lost."""


def make_fabric(settings: TrainerConfig, *, cluster: bool = False) -> Fabric:
    """Return Fabric for the devices and the precision the settings ask for.

    Parameters
    ----------
    settings : TrainerConfig
    cluster : bool
        This process is one of the tasks of a Slurm job step: Slurm says how many there are, whatever ``devices`` says.

    Raises
    ------
    RunError
        When a device is not there, or cannot compute in that precision, or the batch cannot be shared out.
    """
    graphics = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if settings.accelerator == "gpu" and not graphics:
        raise RunError("a GPU was asked for, but torch sees none on this computer; train with accelerator 'cpu' or 'auto', or install torch for your GPU.")
    on_gpu = graphics > 0 and settings.accelerator != "cpu"
    if on_gpu and not _built_for_gpu():
        name, capability = torch.cuda.get_device_name(0), ".".join(map(str, torch.cuda.get_device_capability(0)))
        raise RunError(
            f"this torch was not built for {name} (compute capability {capability}); "
            "install a build that serves it, such as that of https://download.pytorch.org/whl/cu126, or train with accelerator 'cpu'."
        )
    there = graphics if on_gpu else cores()
    nodes = int(os.environ.get("SLURM_NNODES", "1")) if cluster else 1
    ranks = _tasks(settings, nodes) if cluster else _ranks(settings, there, "GPU(s)" if on_gpu else "CPU core(s)", on_gpu)
    precision = precision_of(settings.precision, on_gpu)
    if not on_gpu:
        torch.set_num_threads(max(1, min(cores() // ranks, int(os.environ.get("OMP_NUM_THREADS") or there))))
    if precision == "64-true":
        torch.set_default_dtype(torch.float64)  # Fabric hands results back in the default type, and would round them
    # Lightning's own environment is named so that a window opened inside a Slurm job starts its ranks here and not there.
    device = torch.device("cuda" if on_gpu else "cpu", 0) if on_gpu else torch.device("cpu")
    strategy: Strategy = DDPStrategy(timeout=SILENCE) if ranks * nodes > 1 else SingleDeviceStrategy(device)
    environment: ClusterEnvironment = SLURMEnvironment(auto_requeue=False) if cluster else LightningEnvironment()
    return Fabric(
        accelerator="cuda" if on_gpu else "cpu",
        devices=ranks,
        num_nodes=nodes,
        strategy=strategy,
        precision=precision,
        plugins=[environment],
    )


def rank_lost(error: BaseException) -> bool:
    """Return whether an error says that another rank has ended or does not answer; gloo says so in words alone."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def describe(fabric: Fabric) -> str:
    """Return the device in words."""
    if fabric.device.type == "cuda":
        return str(torch.cuda.get_device_name(fabric.device))
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}" + (" a rank" if fabric.world_size > 1 else "")


def compiled(model: nn.Module, wanted: bool, device: torch.device) -> nn.Module:
    """Return a network as a step calls it: compiled where that is wanted and the device is a GPU; what cannot be compiled runs as it is."""
    if not wanted or device.type != "cuda":
        return model
    torch._dynamo.config.suppress_errors = True
    return cast("nn.Module", torch.compile(model))


def alone(fabric: Fabric) -> Fabric:
    """Return Fabric for this process's device alone, in the same precision."""
    here = Fabric(
        accelerator="cuda" if fabric.device.type == "cuda" else "cpu",
        devices=1,
        strategy=SingleDeviceStrategy(fabric.device),
        precision=fabric.strategy.precision.precision,
        plugins=[LightningEnvironment()],
    )
    here.launch()
    return here


def memory_in_use(device: torch.device) -> int:
    """Return the bytes that this process has taken: of a GPU, or of the computer's memory where the device is the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device))
    return int(psutil.Process().memory_info().rss)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mine: Tensor) -> Tensor:  # noqa: ANN401 - autograd's own
        parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, mine.contiguous())
        ctx.rows = slice(dist.get_rank() * len(mine), (dist.get_rank() + 1) * len(mine))
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        total = gradient.contiguous()
        dist.all_reduce(total)  # every rank's loss depends on these rows
        rows: Tensor = total[ctx.rows]
        return rows


def gather_rows(mine: Tensor) -> Tensor:
    """Put the rows of all ranks together, (n, …) → (ranks · n, …), in the order of the ranks; the gradient is that of the sum of all ranks' losses."""
    together: Tensor = _Gather.apply(mine)  # type: ignore[no-untyped-call]
    return together


def _ranks(settings: TrainerConfig, there: int, kind: str, on_gpu: bool) -> int:
    asked = settings.devices
    if asked == "auto":
        # One process uses all cores of a CPU; of GPUs as many as share the batch evenly.
        return max(n for n in range(1, (there if on_gpu else 1) + 1) if settings.batch_size % n == 0)
    if not 1 <= asked <= there:
        raise RunError(f"devices is {asked}, but this computer has {there} {kind}; choose 1 to {there}, or 'auto'.")
    if settings.batch_size % asked:
        raise RunError(f"batch_size is {settings.batch_size}, which {asked} devices cannot share evenly; choose a multiple of {asked}.")
    return asked


def _tasks(settings: TrainerConfig, nodes: int) -> int:
    """Return the tasks of a Slurm job step on each node."""
    tasks = int(os.environ.get("SLURM_NTASKS", "1"))
    if tasks % nodes or settings.batch_size % tasks:
        raise RunError(f"batch_size is {settings.batch_size}, which {tasks} ranks of Slurm cannot share evenly; ask for another number of ranks.")
    return tasks // nodes


def precision_of(asked: str, on_gpu: bool) -> _Precision:
    """Return Fabric's name of a precision; auto is what the device has units for.

    Raises
    ------
    RunError
        When the device does not compute in it.
    """
    if asked == "auto":
        return "bf16-mixed" if has_bf16(on_gpu) else ("16-mixed" if on_gpu else "32-true")
    if asked == "16" and not on_gpu:
        raise RunError("precision is 16, which only GPUs compute in; choose bf16, 32 or auto.")
    if asked == "bf16" and on_gpu and not has_bf16(on_gpu):
        raise RunError(f"precision is bf16, which {torch.cuda.get_device_name(0)} does not compute in; choose 16, 32 or auto.")
    return _PRECISIONS[asked]


def has_bf16(on_gpu: bool) -> bool:
    """Return whether the device has units for bfloat16: GPUs from Ampere on, CPUs with AVX-512 BF16 or AMX."""
    if on_gpu:
        return torch.cuda.get_device_capability()[0] >= 8
    probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(probe is not None and probe() for probe in probes)


def _built_for_gpu() -> bool:
    """Return whether this torch holds code for the GPU: machine code of its generation, or code that the driver can translate."""
    major, minor = torch.cuda.get_device_capability(0)
    kinds = [name.partition("_") for name in torch.cuda.get_arch_list()]
    known = [(kind, divmod(int("".join(filter(str.isdigit, number))), 10)) for kind, _, number in kinds if kind in {"sm", "compute"}]
    # Without any it is a build for GPUs of another maker, which says nothing of the kind.
    return not known or any((kind == "compute" or chip[0] == major) and chip <= (major, minor) for kind, chip in known)


def cores() -> int:
    """Return how many physical cores this process may use."""
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return max(1, min(physical, allowed))
