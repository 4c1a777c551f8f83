"""Settings of the chain that prepares spectra: small steps, applied in their order."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from napari_hsi_ssl.config.settings import Settings
from napari_hsi_ssl.errors import ConfigError


class SnvStep(Settings):
    """Every spectrum to mean 0 and standard deviation 1 (standard normal variate)."""

    kind: Literal["snv"] = "snv"


class MeanStep(Settings):
    """Every spectrum divided by its own mean."""

    kind: Literal["mean"] = "mean"


class AbsorbanceStep(Settings):
    """Reflectance to apparent absorbance, −log10 R."""

    kind: Literal["absorbance"] = "absorbance"


class SavgolStep(Settings):
    """Savitzky-Golay smoothing, or a derivative per nm."""

    kind: Literal["savgol"] = "savgol"
    window: int = Field(11, ge=3, le=201, description="bands that a polynomial is fitted to, odd")
    order: int = Field(2, ge=0, le=7, description="degree of the polynomial, below the window")
    deriv: int = Field(0, ge=0, le=2, description="0 smooths, 1 and 2 are derivatives per nm (per band without wavelengths)")

    @model_validator(mode="after")
    def _possible(self) -> SavgolStep:
        if self.window % 2 == 0:
            msg = f"the window is {self.window} bands, expected an odd number"
            raise ValueError(msg)
        if not self.deriv <= self.order < self.window:
            msg = f"order is {self.order}, expected at least the derivative ({self.deriv}) and less than the window ({self.window})"
            raise ValueError(msg)
        return self


class ContinuumStep(Settings):
    """Every spectrum divided by its upper convex hull (continuum removal)."""

    kind: Literal["continuum"] = "continuum"


class ResampleStep(Settings):
    """Bands at even wavelengths."""

    kind: Literal["resample"] = "resample"
    start: float = Field(400.0, gt=0, description="nm, centre of the first band")
    stop: float = Field(1000.0, gt=0, description="nm, the last band lies here or just below")
    step: float = Field(5.0, gt=0, description="nm between bands")
    method: Literal["linear", "gaussian"] = Field("linear", description="between neighbours, or weighed by a Gaussian band")
    fwhm: float | None = Field(None, gt=0, description="nm, width of the Gaussian at half its height; the step by default")

    @model_validator(mode="after")
    def _rising(self) -> ResampleStep:
        if self.stop <= self.start:
            msg = f"stop is {self.stop:g} nm, expected more than start ({self.start:g} nm)"
            raise ValueError(msg)
        if (self.stop - self.start) / self.step > 20_000:
            msg = f"step is {self.step:g} nm, which makes more than 20000 bands; choose a larger one"
            raise ValueError(msg)
        return self


Step = Annotated[SnvStep | MeanStep | AbsorbanceStep | SavgolStep | ContinuumStep | ResampleStep, Field(discriminator="kind")]
AnyStep = SnvStep | MeanStep | AbsorbanceStep | SavgolStep | ContinuumStep | ResampleStep

STEP_KINDS: Final[dict[str, type[AnyStep]]] = {
    "snv": SnvStep,
    "savgol": SavgolStep,
    "continuum": ContinuumStep,
    "resample": ResampleStep,
    "mean": MeanStep,
    "absorbance": AbsorbanceStep,
}
"""Every kind of step by its name."""


class ChainConfig(Settings):
    """How spectra are prepared before they are projected, compared or learnt from (`steps.prepare`)."""

    steps: tuple[Step, ...] = Field((), description="applied one after the other")

    def doubts(self) -> tuple[str, ...]:
        """Return a sentence for every step that hardly does what is meant by it where it stands."""
        found = []
        for before, step in zip((None, *self.steps), self.steps, strict=False):
            if before == step and step.kind != "savgol":
                found.append(f"step {step.kind} follows itself, which changes nothing: take one out")
        kinds = [step.kind for step in self.steps]
        centred = [step.kind for step in self.steps if isinstance(step, SnvStep) or (isinstance(step, SavgolStep) and step.deriv > 0)]
        if "absorbance" in kinds and any(kind in kinds[: kinds.index("absorbance")] for kind in centred):
            found.append(f"absorbance comes after {centred[0]}, whose values are partly below zero and have no logarithm: put absorbance first")
        return tuple(found)

    def texts(self) -> tuple[str, ...]:
        """Return each step as the command line writes it."""
        return tuple(step_text(step) for step in self.steps)


def step_text(step: AnyStep) -> str:
    """Return a step as the command line writes it, such as ``savgol:window=11,order=2,deriv=1``."""
    values = {name: value for name, value in step.model_dump(mode="json").items() if name != "kind" and value is not None}
    inside = ",".join(f"{name}={_number(value) if isinstance(value, float) else value}" for name, value in values.items())
    return f"{step.kind}:{inside}" if inside else step.kind


def _number(value: float) -> str:
    short = f"{value:.12g}"
    return short if float(short) == value else repr(value)


def parse_step(text: str) -> AnyStep:
    """Return the step of a text such as ``snv`` or ``resample:start=400,stop=1000,step=5``.

    Raises
    ------
    ConfigError
        When the kind or a setting is unknown, or a value is out of range.
    """
    kind, _, inside = text.strip().partition(":")
    model = STEP_KINDS.get(kind.strip())
    if model is None:
        raise ConfigError(f"--step: '{kind}' is no kind of step, expected one of {', '.join(STEP_KINDS)}; correct it.")
    values: dict[str, Any] = {}
    for part in filter(None, inside.split(",")):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not (sign and name and value):
            raise ConfigError(f"--step {text}: '{part}' is not of the form NAME=VALUE; write for example savgol:window=11,order=2,deriv=1.")
        if name not in model.model_fields or name == "kind":
            known = ", ".join(field for field in model.model_fields if field != "kind") or "none"
            raise ConfigError(f"--step {text}: '{kind}' has no setting '{name}', expected one of: {known}; correct it.")
        values[name] = value
    return model.parse(values, f"--step {text}")
