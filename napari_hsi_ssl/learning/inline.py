"""Train within this process, as a step that says how far it is and can be left; for small networks that are compared, not kept."""

from __future__ import annotations

import queue
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

import torch

from napari_hsi_ssl.config import TrainerConfig
from napari_hsi_ssl.learning.checkpoint import States
from napari_hsi_ssl.learning.devices import make_fabric
from napari_hsi_ssl.learning.loop import Objective, fit
from napari_hsi_ssl.progress import Progress, Steps

_POLL_SECONDS: Final = 0.1


def train_inline(objective: Objective, settings: TrainerConfig, message: str) -> Steps[None]:
    """Train an objective's model to the end; closing the generator stops it.

    The model is left on the device it was trained on, in evaluation mode.

    Parameters
    ----------
    objective : Objective
    settings : TrainerConfig
        One device is used, whatever it says of several.
    message : str
        What is being trained, in words.

    Raises
    ------
    RunError
        When the loss is no number.
    """
    events: queue.Queue[dict[str, Any] | BaseException | None] = queue.Queue()
    leave = threading.Event()
    threads = torch.get_num_threads()

    def tell(_kind: str, **fields: Any) -> None:  # noqa: ANN401 - fields are whatever JSON carries
        events.put(fields)

    def work() -> None:
        try:
            fabric = make_fabric(settings.model_copy(update={"devices": 1}))
            fabric.launch()
            with tempfile.TemporaryDirectory() as scratch:
                fit(fabric, objective, settings, States(Path(scratch), 1), tell, leave.is_set, {})
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            events.put(error)
        else:
            events.put(None)

    thread = threading.Thread(target=work, name="training", daemon=True)
    thread.start()
    try:
        total = 0
        while True:
            try:
                event = events.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                yield Progress(message=message)
                continue
            if event is None:
                break
            if isinstance(event, BaseException):
                raise event
            total = event.get("total_steps", total)
            if "step" in event and total:
                yield Progress(event["step"], total, message)
    finally:
        leave.set()
        thread.join()
        torch.set_num_threads(threads)
    objective.model.eval()
