"""The events of a run as progress in words."""

from __future__ import annotations

from typing import Any

from napari_hsi_ssl.progress import Progress


class Story:
    """Turns events into progress in words."""

    def __init__(self) -> None:
        self._total: float = 0
        self._epochs: int | None = None
        self._step: float = 0
        self.ending: dict[str, Any] | None = None
        """The event that ended the run, unless it was started again since."""

    def tell(self, event: dict[str, Any]) -> Progress:
        """Return where a run stands after an event."""
        self.note(event)
        kind = event["type"]
        if kind == "step":
            message = self._step_words(event)
        elif kind in {"launched", "started"}:
            message = "starting" if kind == "launched" else f"training on {event.get('device', 'this computer')}"
        elif kind == "resumed":
            message = f"going on from step {event.get('step', 0)}"
        elif kind == "epoch":
            message = " · ".join([f"{self._epoch_words(event)} done", *_figures(event)])
        else:
            message = str(event.get("message") or kind)
        return Progress(done=self._step, total=self._total, message=message, warning=kind == "warning", data=event)

    def note(self, event: dict[str, Any]) -> None:
        """Take an event in without a word."""
        kind = event["type"]
        if kind in {"submitted", "launched", "started", "resumed"}:
            self.ending = None
        elif kind in {"finished", "failed", "cancelled"}:
            self.ending = event
        self._total = event.get("total_steps") or self._total
        self._epochs = event.get("epochs") or self._epochs
        if event.get("step") is not None:
            self._step = event["step"]
        elif kind == "started":
            self._step = 0

    def _epoch_words(self, event: dict[str, Any]) -> str:
        epoch = event.get("epoch")
        if epoch is None:
            return f"step {self._step}"
        return f"epoch {epoch} of {self._epochs}" if self._epochs else f"epoch {epoch}"

    def _step_words(self, event: dict[str, Any]) -> str:
        words = [self._epoch_words(event)]
        if event.get("loss") is not None:
            words.append(f"loss {event['loss']:.4g}")
        if event.get("throughput") is not None:
            words.append(f"{event['throughput']:.0f} patches/s")
        if event.get("seconds_left") is not None:
            words.append(f"{duration(event['seconds_left'])} left")
        if event.get("memory") is not None:
            words.append(memory_words(event["memory"]))
        return " · ".join(words)


def _figures(event: dict[str, Any]) -> list[str]:
    """Return what was found out at the end of an epoch, in words."""
    words = []
    for key, name in (
        ("loss", "loss"),
        ("knn_accuracy", "kNN"),
        ("validation_accuracy", "validation"),
        ("alignment", "alignment"),
        ("uniformity", "uniformity"),
    ):
        value = event.get(key)
        if value is not None:
            words.append(f"{name} {100 * value:.1f} %" if key.endswith("accuracy") else f"{name} {value:.4g}")
    return words


def memory_words(size: float) -> str:
    """Return an amount of memory in bytes in words: ``850 MB``, ``12.4 GB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def duration(seconds: float) -> str:
    """Return a time span in words: ``40 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
