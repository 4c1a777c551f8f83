"""The one training loop, shared by every objective: steps, schedule, states, events, leaving.

What a step does is a function of the seed and its number alone, so a run that goes on from a saved state ends with the same
weights as one that was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from napari_hsi_ssl.config import TrainerConfig
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning.checkpoint import States
from napari_hsi_ssl.learning.devices import compiled, gather_rows, memory_in_use
from napari_hsi_ssl.learning.encoder import channels_last

_EVENT_SECONDS: Final = 0.2
_STATE_SHARE: Final = 0.02
"""Share of the time that saving at the end of epochs may take."""

Tell = Callable[..., None]
"""Called with the type of an event and its fields."""


@dataclass(frozen=True)
class Share:
    """The part of every batch that is this device's.

    Attributes
    ----------
    batch : int
        Windows on all devices.
    rank, ranks : int
    device : torch.device
    gather : callable or None
        Rows of all devices together, with gradients: (n, …) → (batch, …). None on one device.
    """

    batch: int
    rank: int
    ranks: int
    device: torch.device
    gather: Callable[[Tensor], Tensor] | None = None

    @property
    def rows(self) -> slice:
        """Which rows of the batch are this device's."""
        size = self.batch // self.ranks
        return slice(self.rank * size, (self.rank + 1) * size)


@runtime_checkable
class Remembering(Protocol):
    """An objective whose loss depends on more than weights, seed and step: what it remembers belongs to the state."""

    def memory(self) -> dict[str, Tensor]:
        """Return what is remembered, on the CPU."""

    def remember(self, memory: dict[str, Tensor]) -> None:
        """Take up what `memory` returned; what does not fit raises `RunError`."""


class Objective(Protocol):
    """What is trained: a model, its loss at a step, and how it is judged on the way.

    Attributes
    ----------
    batch : int
        Windows a step, on all devices.
    """

    batch: int

    @property
    def model(self) -> nn.Module:
        """The network, unwrapped."""

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass over the windows."""

    def loss(self, model: Any, step: int, share: Share) -> Tensor:  # noqa: ANN401 - the model, possibly wrapped by Fabric
        """Return the loss of this device's rows at a step: a pure function of weights, seed and step, and of what a `Remembering` one remembers."""

    def judge(self, epoch: int) -> dict[str, Any]:
        """Return figures after an epoch, counted from 1."""


@dataclass(frozen=True)
class Outcome:
    """How a training went.

    Attributes
    ----------
    cancelled : bool
        It was asked to leave, and its state is saved.
    step : int
        Steps done in all.
    loss : float
        Mean of the last epoch.
    seconds : float
        Spent training, over all sittings.
    throughput : float
        Windows a second, over all sittings.
    """

    cancelled: bool
    step: int
    loss: float
    seconds: float
    throughput: float


def total_steps(objective: Objective, settings: TrainerConfig) -> int:
    """Return how many steps the training takes in all."""
    steps = settings.epochs * objective.steps_per_epoch
    return min(steps, settings.max_steps) if settings.max_steps else steps


def learning_rate(step: int, total: int, settings: TrainerConfig) -> float:
    """Return the learning rate of a step: a linear warm-up (Goyal et al. 2017, arXiv 1706.02677), then down to nothing, or not.

    ``cosine`` is half a cosine (Loshchilov and Hutter 2017, arXiv 1608.03983); with a long warm-up it is the one cycle of Smith and
    Topin (2018, arXiv 1708.07120).
    """
    peak, warm = settings.learning_rate, max(1, round(settings.warm_up * total))
    if step < warm:
        return peak * (step + 1) / warm
    done = (step - warm) / max(1, total - warm)
    return peak * {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}[settings.schedule]


def fit(
    fabric: Fabric,
    objective: Objective,
    settings: TrainerConfig,
    states: States,
    tell: Tell,
    leave: Callable[[], bool],
    facts: dict[str, Any],
    *,
    anew: bool = True,
) -> Outcome:
    """Train to the end, or until asked to leave.

    Parameters
    ----------
    fabric : Fabric
        Launched.
    objective : Objective
    settings : TrainerConfig
    states : States
        Where the training goes on from, and where it is saved. Only rank 0 writes.
    tell : callable
        Takes events; called on rank 0 only.
    leave : callable
        Whether to save and leave; asked every step, of rank 0's answer and the others' any counts.
    facts : dict
        Fields of the event ``started``.
    anew : bool
        No step of this run was ever told of; else the events that are undone are voided.

    Raises
    ------
    RunError
        When the loss is no number, or the newest state is of another network.
    ProjectError
        When a state cannot be written.
    torch.OutOfMemoryError, MemoryError, RuntimeError
        When a step does not fit into the device's memory (`trials.out_of_memory`).
    """
    channels_last(objective.model)
    learned = [parameter for parameter in objective.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    model = fabric.setup_module(compiled(objective.model, settings.compiled, fabric.device))
    state, complaints = states.newest()
    if state is not None:  # what is loaded takes place and type of the weights, which `setup_module` has brought to the device
        states.restore(state, objective.model, optimizer)
        if isinstance(objective, Remembering):
            objective.remember(state.get("memory", {}))
        if state.get("precision"):  # the scale of float16's gradients; a run may go on in another precision
            fabric.strategy.precision.load_state_dict(state["precision"])
    wrapped = cast(torch.optim.Optimizer, fabric.setup_optimizers(optimizer))
    share = Share(objective.batch, fabric.global_rank, fabric.world_size, fabric.device, gather_rows if fabric.world_size > 1 else None)
    pace = _Pace(fabric, objective, settings, states, tell, state or {})
    if settings.compiled and fabric.device.type != "cuda":
        complaints.append("steps are compiled for GPUs alone; this run trains without.")
    for complaint in complaints:
        pace.tell("warning", message=complaint)
    pace.begin(resumed=state is not None or not anew, facts=facts)
    for step in range(pace.step, pace.total):
        rate = learning_rate(step, pace.total, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = objective.loss(model, step, share)
        fabric.backward(loss)
        wrapped.step()
        wrapped.zero_grad()
        if pace.done(loss.detach(), rate, optimizer, leave()):
            return pace.outcome(cancelled=True)
    return pace.outcome(cancelled=False)


class _Pace:
    """Counts steps, tells events, saves states: everything around a step but the step itself."""

    def __init__(self, fabric: Fabric, objective: Objective, settings: TrainerConfig, states: States, tell: Tell, state: dict[str, Any]) -> None:
        self._fabric, self._objective, self._settings, self._states, self._tell = fabric, objective, settings, states, tell
        self.step = int(state.get("step", 0))
        self.total = total_steps(objective, settings)
        self._sum, self._count = float(state.get("loss_sum", 0.0)), int(state.get("loss_count", 0))
        self._loss = float(state.get("loss", math.nan))
        self._before = float(state.get("seconds", 0.0))
        self._start = self._told = self._saved = time.monotonic()
        self._told_step = self.step
        self._saving = 0.0

    def tell(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - fields are whatever JSON carries
        if self._fabric.is_global_zero:
            self._tell(kind, **fields)

    def begin(self, *, resumed: bool, facts: dict[str, Any]) -> None:
        objective = self._objective
        fields = {"total_steps": self.total, "epochs": math.ceil(self.total / objective.steps_per_epoch), "batch_size": objective.batch, **facts}
        self.tell("resumed" if resumed else "started", **({"step": self.step} if resumed else {}), **fields)

    @property
    def _seconds(self) -> float:
        return self._before + time.monotonic() - self._start

    def outcome(self, *, cancelled: bool) -> Outcome:
        seconds = self._seconds
        return Outcome(cancelled, self.step, self._loss, seconds, self.step * self._objective.batch / max(seconds, 1e-9))

    def done(self, loss: Tensor, rate: float, optimizer: torch.optim.Optimizer, leave: bool) -> bool:
        """Account for a step; returns whether to leave, the same on every device."""
        value, leave = self._agreed(loss, leave)
        self.step += 1
        if not math.isfinite(value):
            raise RunError(self._no_number(value, rate))
        self._sum, self._count = self._sum + value, self._count + 1
        epoch = math.ceil(self.step / self._objective.steps_per_epoch)
        now = time.monotonic()
        if now - self._told >= _EVENT_SECONDS or self.step in {1, self.total}:
            speed = (self.step - self._told_step) / max(now - self._told, 1e-9)
            left = (self.total - self.step) / max(speed, 1e-9)
            figures = {"loss": value, "learning_rate": rate, "throughput": speed * self._objective.batch, "seconds_left": left}
            self.tell("step", epoch=epoch, step=self.step, **figures, memory=memory_in_use(self._fabric.device))
            self._told, self._told_step = now, self.step
        ended = self.step % self._objective.steps_per_epoch == 0 or self.step == self.total
        if ended:
            self._loss, self._sum, self._count = self._sum / self._count, 0.0, 0
            if self._fabric.is_global_zero:
                self.tell("epoch", epoch=epoch, step=self.step, loss=self._loss, **self._objective.judge(epoch))
        self._save(optimizer, ended, leave)
        return leave

    def _agreed(self, loss: Tensor, leave: bool) -> tuple[float, bool]:
        if self._fabric.world_size == 1:
            return float(loss), leave
        both = torch.stack((loss.double(), loss.new_tensor(float(leave)).double()))
        mean = cast(Tensor, self._fabric.all_reduce(both, reduce_op="mean")).tolist()
        return mean[0], mean[1] > 0

    def _save(self, optimizer: torch.optim.Optimizer, ended: bool, leave: bool) -> None:
        waited = time.monotonic() - self._saved
        due = leave or waited >= 60 * self._settings.checkpoint_minutes or (ended and waited * _STATE_SHARE >= self._saving)
        due = due or self.step == self.total  # what a branch with more epochs goes on from
        if not due or not self._fabric.is_global_zero:
            return
        start = time.monotonic()
        sums = {"loss_sum": self._sum, "loss_count": self._count, "loss": self._loss, "seconds": self._seconds}
        state = {"model": self._objective.model.state_dict(), "optimizer": optimizer.state_dict(), "precision": self._fabric.strategy.precision.state_dict()}
        memory = {"memory": self._objective.memory()} if isinstance(self._objective, Remembering) else {}
        path = self._states.save({**state, **memory, "step": self.step, **sums})
        self._saved = time.monotonic()
        self._saving = self._saved - start
        self.tell("checkpoint", step=self.step, path=path.name)

    def _no_number(self, value: float, rate: float) -> str:
        found = "NaN" if math.isnan(value) else "infinite"
        early = self.step == 1  # no weight has been learned yet
        why = "a value in the inputs is too large" if early else "the learning rate is too high"
        cure = "check the scores of the cubes" if early else "lower learning_rate, or choose precision 32"
        return f"the loss became {found} at step {self.step} (learning rate {rate:.2g}; probably {why}); {cure}, then start another run."
