"""Settings of the steps that train, judge and map, and the file that a training run is started from."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from napari_hsi_ssl.config.chain import ChainConfig
from napari_hsi_ssl.config.settings import SCHEMA_VERSION, Settings
from napari_hsi_ssl.errors import ConfigError


class AugmentConfig(Settings):
    """The random views of a patch; every strength 0 leaves the patch alone. How views in band space are made: `learning.band_views`."""

    flip: bool = Field(True, description="mirror half of the patches")
    rotate: bool = Field(True, description="turn by quarters")
    crop: float = Field(0.0, ge=0, lt=1, description="largest share of a side cut away before resizing back")
    light: float = Field(0.0, ge=0, le=2, description="band space: standard deviation of the logarithm of the light's gain, the same for all bands")
    slope: float = Field(0.0, ge=0, le=2, description="band space: standard deviation of the light's slope: its logarithm at the ends of the wavelengths")
    distortion: float = Field(0.0, ge=0, le=2, description="band space: standard deviation of the logarithm of a smooth factor over the wavelengths")
    band_drop: float = Field(0.0, ge=0, le=1, description="band space: probability that a band takes the value of the mean spectrum")
    sensor_noise: float = Field(0.0, ge=0, description="band space: standard deviation of noise of its own in every band, in units of the bands' spread")
    gain: float = Field(0.2, ge=0, description="standard deviation of the logarithm of the illumination gain")
    offset: float = Field(0.1, ge=0, description="standard deviation of a shift a component, in units of its spread")
    noise: float = Field(0.1, ge=0, description="standard deviation of the pixel noise, in units of a component's spread")
    drop: float = Field(0.1, ge=0, le=1, description="probability that a component is set to zero")
    cutout: float = Field(0.25, ge=0, le=1, description="largest side of a square set to zero, as a share of the window")

    @property
    def band_space(self) -> bool:
        """Whether any view is made in band space, for which the projection must be known."""
        return any((self.light, self.slope, self.distortion, self.band_drop, self.sensor_noise))


class TrainerConfig(Settings):
    """What every training run has in common."""

    epochs: int = Field(100, ge=1, description="passes over the training data")
    batch_size: int = Field(64, ge=2, description="over all devices")
    learning_rate: float = Field(1e-3, gt=0, description="at its peak")
    warm_up: float = Field(0.05, ge=0, lt=1, description="share of the steps in which the learning rate rises to its peak")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="how the learning rate falls from its peak")
    weight_decay: float = Field(1e-4, ge=0, description="pull of all weights towards zero (AdamW)")
    seed: int = Field(0, description="first weights, order and views follow from it")
    devices: int | Literal["auto"] = Field("auto", description="how many; auto: all GPUs that share the batch evenly, or one CPU process")
    accelerator: Literal["auto", "cpu", "gpu"] = Field("auto", description="auto: GPUs where there are any")
    precision: Literal["auto", "32", "16", "bf16", "64"] = Field("auto", description="of the network's arithmetic; auto: what the device has units for")
    compiled: bool = Field(False, description="on a GPU, compile the network first: a start of a minute or so, then often faster steps")
    checkpoint_minutes: float = Field(5.0, gt=0, description="minutes between states that the run can be resumed from")
    keep_checkpoints: int = Field(2, ge=1, description="older ones are deleted")
    max_steps: int | None = Field(None, ge=1, description="stop after this many steps, whatever the epochs say")


class SlurmConfig(Settings):
    """How a run is handed to a Slurm cluster (`runs.slurm`)."""

    partition: str | None = Field(None, description="the cluster's default when not given")
    account: str | None = Field(None, description="who pays; the cluster's default when not given")
    time: str = Field(
        "24:00:00", pattern=r"^(\d+-)?\d+(:\d{1,2}){0,2}$", description="limit as Slurm writes it (minutes, H:MM:SS, D-H:MM:SS); a longer run is queued again"
    )
    nodes: int = Field(1, ge=1, description="computers")
    gpus: int = Field(1, ge=0, description="on each node, one rank each; 0 trains on CPUs")
    tasks: int = Field(1, ge=1, description="ranks on each node when there is no GPU")
    cpus: int = Field(4, ge=1, description="cores a rank")
    memory: str | None = Field(None, pattern=r"^\d+[KMGT]?$", description="a node, such as 32G; the cluster's default when not given")
    setup: str | None = Field(None, description="shell commands before training, such as `module load cuda`")
    python: str | None = Field(None, description="the cluster's Python, when it is not the one that submits")

    @property
    def ranks(self) -> int:
        """How many processes train."""
        return self.nodes * (self.gpus or self.tasks)


class TrunkConfig(Settings):
    """The universal trunk: a narrow residual network without batch statistics."""

    widths: tuple[int, ...] = Field((48, 96, 192), description="channels of each stage")
    blocks: int = Field(1, ge=1, description="residual blocks a stage")
    stem_stride: Literal[1, 2] = Field(2, description="of the first convolution")
    stride: Literal[1, 2] = Field(2, description="of every stage after the first; with both strides 1 every pixel keeps a feature of its own")
    pool: Literal["mean", "centre"] = Field("mean", description="centre: centre feature beside the window mean, of every stage")


_INLET = "pca: the frozen projection; learned: filters of every domain over its own bands, which start as the projection and are trained with the trunk"


class PretrainConfig(TrainerConfig):
    """SimCLR on the patches of a project (`steps.pretrain`)."""

    recipe: Literal["poster", "pixel"] = Field("poster", description="poster: wide patches, one feature each; pixel: small ones, for maps of single pixels")
    inlet: Literal["pca", "learned"] = Field("pca", description=_INLET)
    temperature: float = Field(0.5, gt=0, description="of the loss: the smaller, the more the hardest negatives count")
    projection: int = Field(128, ge=2, description="length of z, the output of the projection head")
    whiten: bool = Field(False, description="divide every component by its own spread, not all by that of the first")
    neighbour: int = Field(0, ge=0, description="the second view's window is moved by up to this many pixels")
    augment: AugmentConfig = Field(AugmentConfig(), description="strengths of the views")
    trunk: TrunkConfig = Field(TrunkConfig(), description="shape of the network")

    @model_validator(mode="after")
    def _bands_are_known(self) -> Self:
        if self.inlet == "learned" and self.augment.band_space:
            msg = "augment's light, slope, distortion, band_drop and sensor_noise follow from a frozen projection; set them to 0 or inlet to 'pca'"
            raise ValueError(msg)
        return self

    @classmethod
    def from_recipe(cls, recipe: str, **changes: object) -> PretrainConfig:
        """Return the settings of a named recipe, with changes; of ``augment`` a dict changes only the views that it names."""
        if recipe not in RECIPES:
            raise ConfigError(f"recipe '{recipe}' is unknown, expected one of {', '.join(RECIPES)}; choose one of them.")
        given = {key: value for key, value in changes.items() if value is not None}
        return cls.parse({**RECIPES[recipe], "recipe": recipe}).changed(given, f"recipe {recipe}")


RECIPES: dict[str, dict[str, Any]] = {
    # The reference: wide windows, global pooling, both views of one window.
    "poster": {},
    # Small windows and neighbouring windows as positives: made for maps of single pixels.
    "pixel": {
        "temperature": 0.2,
        "neighbour": 3,
        "whiten": True,
        "augment": {"gain": 0.1, "offset": 0.05, "noise": 0.1, "drop": 0.05, "cutout": 0.0},
        "trunk": {"widths": (64, 64, 128), "stem_stride": 1, "stride": 1, "pool": "centre"},
    },
}
"""What each recipe changes in the defaults of `PretrainConfig`."""

WINDOWS: dict[str, tuple[int, int]] = {"poster": (32, 32), "pixel": (5, 9)}
"""Smallest and largest side of a patch, in pixels, that each recipe is made for."""


def window_advice(recipe: str, size: int | None = None) -> str:
    """Say which patch size a recipe is made for and why, and how large the patches are where they do not fit."""
    low, high = WINDOWS[recipe]
    why = {
        "poster": f"patches of {low} pixels, wide enough for the texture that tells domains apart",
        "pixel": f"patches of {low} to {high} pixels; wider ones blur a map of single pixels",
    }
    advice = f"Recipe {recipe}: {why[recipe]}."
    return advice if size is None or low <= size <= high else f"{advice} These have {size}."


class DistilConfig(TrainerConfig):
    """Self-distillation training of a multi-exit spectral-spatial network (`steps.distil`)."""

    epochs: int = Field(60, ge=1, description="passes over the labelled pixels")
    batch_size: int = Field(64, ge=2, description="over all devices; with few labels a fifth of them (but 8), so that a pass is five steps")
    learning_rate: float = Field(2e-3, gt=0, description="at its peak")
    weight_decay: float = Field(1e-3, ge=0, description="pull of all weights towards zero (AdamW)")
    window: int = Field(15, ge=1, description="pixels on a side; odd windows have a centre")
    direction: Literal["both", "deep", "early", "past", "none"] = Field(
        "both", description="who teaches: the deepest exit, the earlier ones, both, or what the deepest exit said an epoch ago"
    )
    input: Literal["pcs", "bands"] = Field("pcs", description="what the network sees: the scores of the project's projection, or the prepared bands")
    inlet: Literal["pca", "learned"] = Field("pca", description=_INLET)
    distil_weight: float = Field(0.5, ge=0, description="weight of the soft-target terms")
    feature_weight: float = Field(0.05, ge=0, description="weight of the feature consistency between exits")
    temperature: float = Field(3.0, gt=0, description="softens the targets between exits")
    ramp_up: float = Field(0.0, ge=0, le=1, description="share of the training in which the weights of both terms rise to their full value")
    label_smoothing: float = Field(0.05, ge=0, lt=1, description="share of the target that is spread over all classes")
    balance: Literal["off", "weights", "sampling"] = Field(
        "off", description="classes of few labels: as they are, weighed so that every class counts the same, or drawn as often as the others"
    )
    widths: tuple[int, ...] = Field((48, 64, 96), description="of the stages, each of which ends in an exit")
    blocks: int = Field(1, ge=1, description="residual blocks a stage; those of the initial trunk where there is one")
    whiten: float = Field(
        0.0,
        ge=0,
        le=1,
        description="0: components keep their true proportions; 1: all have the same spread; in between: those that vary little speak up",
    )
    augment: AugmentConfig = Field(AugmentConfig(gain=0.0, offset=0.0, noise=0.0, drop=0.0, cutout=0.0), description="strengths of the views")
    freeze: bool = Field(False, description="with an initial trunk: train only the exits, and inlets that are learned")

    @model_validator(mode="after")
    def _exits(self) -> Self:
        if len(self.widths) < 2:
            msg = "at least two exits are needed"
            raise ValueError(msg)
        if self.input == "bands" and self.inlet == "learned":
            msg = "input 'bands' has no inlet to learn; choose input 'pcs' with inlet 'learned', which starts as the projection"
            raise ValueError(msg)
        return self


class EvaluateConfig(Settings):
    """How a pretrained backbone is judged (`steps.evaluate`)."""

    k: int = Field(20, ge=1, description="neighbours that vote")
    labels: Literal["domain", "class"] = Field(
        "domain", description="what the features must tell: a patch's domain, or the class of most of its labelled pixels"
    )
    minimum: int = Field(20, ge=1, description="domains or classes with fewer held-out patches are reported, not scored")
    seed: int = Field(0, description="the weights of the random network beside it follow from it")


class ClassifyConfig(Settings):
    """How a map is made (`steps.classify`)."""

    method: Literal["knn", "linear", "distil"] = Field(
        "knn", description="nearest neighbours or logistic regression on features, or a self-distillation network's own answer"
    )
    k: int = Field(20, ge=1, description="knn: neighbours that vote")
    metric: Literal["cosine", "euclidean"] = Field("cosine", description="knn: what near means")
    weights: Literal["uniform", "distance", "softmax"] = Field("uniform", description="knn: what a vote counts: as any other, 1 / distance, or by softmax")
    temperature: float = Field(0.07, gt=0, description="knn, softmax: a vote counts exp(-distance / temperature)")
    references: int = Field(20000, ge=1, description="at most this many labelled pixels serve as references")
    exits: Literal["deepest", "mean"] = Field("deepest", description="distil: the deepest exit decides, or the mean of all exits' probabilities")
    exit_at: float | None = Field(None, gt=0, le=1, description="distil: the first exit whose probability reaches this decides; deeper ones are spared")
    turns: bool = Field(False, description="distil: the mean over the eight turns and mirror images of every window, at eight times the cost")
    seed: int = Field(0, description="the draw of references and of held-out parts follows from it")
    calibrate: Literal["far", "near", "no"] = Field(
        "far", description="confidence as held-out labelled pixels bear it out: far from those that teach, as most of a scene is, or near; no: as it is said"
    )
    unknown: float | None = Field(
        None, gt=0, lt=1, description="mark what is unlike training; the share of false alarms among pixels like the held-out labelled ones, such as 0.05"
    )
    layers: tuple[Literal["entropy", "disagreement", "typicality"], ...] = Field(
        (), description="images to keep beside the map; disagreement is that of the exits of a self-distillation network"
    )

    @model_validator(mode="after")
    def _exits_agree(self) -> Self:
        asked = [name for name, given in {"exits": self.exits != "deepest", "exit_at": self.exit_at is not None, "turns": self.turns}.items() if given]
        if asked and self.method != "distil":
            msg = f"{asked[0]} is for the exits of a self-distillation network; choose method 'distil' or leave it out"
            raise ValueError(msg)
        if self.exit_at is not None and len(asked) > 1:
            msg = "exit_at asks one exit after another, which neither exits 'mean' nor turns can do; choose one of them"
            raise ValueError(msg)
        return self


class BatchConfig(Settings):
    """How maps are made (`steps.batch`); what they are does not depend on it."""

    workers: int = Field(1, ge=1, description="cubes that are mapped side by side, each by a process of its own")
    cluster: str | None = Field(None, description="address of a dask scheduler, such as tcp://10.0.0.1:8786, whose workers see the project's folder")
    again: bool = Field(False, description="make also the maps that are there already")
    memory: int = Field(384, ge=1, description="MiB that a tile of a cube may take on its way through a network; the same map up to rounding")


class CubeInput(Settings):
    """One cube as a training run sees it. Paths are relative to the run folder where they lie in the project."""

    name: str = Field(description="in the project")
    domain: str = Field(description="its camera or kind of object")
    path: str = Field(description="projected scores (y, x, k) as .npy, or the cube's own file when bands are the input")
    sha256: str = Field(description="of that file")
    key: str | None = Field(None, description="the array in a file of several, when bands are the input")
    calibration: dict[str, Any] | None = Field(None, description="how the bands were calibrated, as the project notes it")
    bad_bands: tuple[int, ...] | None = Field(None, description="bands that the user called bad; None: as the file says")
    mask: str | None = Field(None, description="foreground (y, x) as TIFF; None means every valid pixel")


class DomainInput(Settings):
    """One camera with a learned inlet, as a training run sees it."""

    name: str = Field(description="of the domain")
    bands: int = Field(description="of its prepared cubes")
    used: tuple[int, ...] = Field(description="bands, from 0, that are good in all its cubes")
    wavelengths: tuple[float, ...] | None = Field(None, description="of all bands in nm, where known")


class LabelInput(Settings):
    """Labels of one cube as a training run sees them."""

    cube: str = Field(description="its name")
    path: str = Field(description="class numbers (y, x) as TIFF, 0 = unlabelled")
    sha256: str = Field(description="of that file")
    role: Literal["train", "validation"] = Field("train", description="learned from, or judged by")


class RunConfig(Settings):
    """Everything a training process needs: it reads its run folder and nothing else (`config.json`)."""

    schema_version: Literal[1] = Field(SCHEMA_VERSION, description="of this file")
    kind: Literal["pretrain", "distil"] = Field(description="which training")
    pretrain: PretrainConfig | None = Field(None, description="its settings, where it is pretraining")
    distil: DistilConfig | None = Field(None, description="its settings, where it is self-distillation")
    cubes: tuple[CubeInput, ...] = Field((), description="what is learned from")
    domains: tuple[DomainInput, ...] = Field((), description="cameras with a learned inlet; the cubes are then arrays of their used bands")
    inlet: str | None = Field(None, description="pca.npz")
    inlet_sha256: str | None = Field(None, description="of that file")
    patches: str | None = Field(None, description="patch index .npz")
    patches_sha256: str | None = Field(None, description="of that file")
    background: Literal["mean", "keep", "zero"] = Field("mean", description="what stands for background pixels inside a patch")
    chain: ChainConfig = Field(ChainConfig(), description="how the spectra were prepared")
    labels: tuple[LabelInput, ...] = Field((), description="by cube and role")
    class_numbers: tuple[int, ...] = Field((), description="ascending")
    class_names: tuple[str, ...] = Field((), description="in the order of the numbers")
    class_colours: tuple[str, ...] = Field((), description="in the order of the numbers, #rrggbb")
    init: str | None = Field(None, description="model.safetensors whose trunk is carried over")
    init_sha256: str | None = Field(None, description="of that file")
    start: str | None = Field(None, description="checkpoint of another run that this one goes on from")
    start_sha256: str | None = Field(None, description="of that file")
    parent: str | None = Field(None, description="name of the run that the checkpoint is of")

    @model_validator(mode="after")
    def _settings_of_its_kind(self) -> Self:
        if (self.pretrain is None) == (self.distil is None) or getattr(self, self.kind) is None:
            msg = f"exactly the settings '{self.kind}' are needed"
            raise ValueError(msg)
        return self

    @property
    def trainer(self) -> PretrainConfig | DistilConfig:
        """The settings of this run's kind."""
        settings = self.pretrain or self.distil
        assert settings is not None  # the validator has seen to it
        return settings
