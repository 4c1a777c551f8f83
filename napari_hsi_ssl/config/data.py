"""Settings of the steps that prepare data: masks, projections, patches."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from napari_hsi_ssl.config.settings import Settings


class MaskConfig(Settings):
    """How the foreground of a cube is found (`steps.mask`)."""

    # The rules that need a click, a file or an older mask stand last: the window offers them elsewhere than among the rules.
    method: Literal["otsu", "threshold", "angle", "kmeans", "all", "grow", "labels", "saved", "file"] = Field("otsu", description="the rule")
    source: Literal["brightness", "band", "pc1"] = Field("brightness", description="the image that is thresholded")
    band: int | None = Field(None, ge=0, description="band index when the source is 'band'")
    wavelength: float | None = Field(None, gt=0, description="nm; the nearest band, instead of a band index")
    low: float | None = Field(None, description="threshold: keep values of at least this")
    high: float | None = Field(None, description="threshold: keep values of at most this")
    keep: Literal["bright", "dark"] = Field("bright", description="otsu: the side of the threshold that is foreground")
    at: tuple[tuple[int, int], ...] = Field((), description="angle, grow: pixels (y, x) whose spectra are the references or from which regions grow")
    reference: str | None = Field(None, description="angle, kmeans: the cube that the pixels or clusters are of; every cube's own by default")
    max_angle: float = Field(0.1, gt=0, description="angle: largest spectral angle in radians that is kept")
    grow_by: Literal["angle", "brightness"] = Field("angle", description="grow: what pixels of one region have in common")
    follow: Literal["seed", "mean"] = Field("seed", description="grow: compare with the pixel that was clicked, or with the mean of the region so far")
    tolerance: float = Field(0.1, gt=0, description="grow: largest angle in radians, or largest difference in brightness as a share of it")
    clusters: int = Field(4, ge=2, le=12, description="kmeans: how many kinds of pixels are told apart")
    features: Literal["spectra", "shape"] = Field("spectra", description="kmeans: whole spectra, or their shape alone, blind to brightness (SNV)")
    background: tuple[int, ...] | None = Field(None, description="kmeans: clusters that are background, counted from 0, the darkest")
    foreground: tuple[int, ...] | None = Field(None, description="kmeans: clusters that are foreground, instead of naming the background")
    classes: tuple[int, ...] = Field((), description="labels: class numbers that are foreground; every labelled pixel by default")
    file: str | None = Field(None, description="file: a mask, labels or polygons; or a folder of masks named like the cubes")
    seed: int = Field(0, ge=0, description="kmeans: the draw of pixels and of first centres follows from it")
    combine: Literal["replace", "add", "intersect", "subtract"] = Field("replace", description="what becomes of the mask that is there already")
    invert: bool = Field(False, description="take what the rule leaves out")
    fill_holes: bool = Field(True, description="background that is enclosed by foreground becomes foreground")
    drop_specks: int = Field(16, ge=0, description="drop foreground objects smaller than this many pixels")

    @field_validator("at", mode="before")
    @classmethod
    def _one_pixel_or_several(cls, value: Any) -> Any:  # noqa: ANN401 - whatever a file or a caller gives
        """Take a single pixel (y, x), as notes of older projects have it, or none."""
        if value is None:
            return ()
        if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, int) for part in value):
            return (tuple(value),)
        return value


class AnglesConfig(Settings):
    """How a cube is mapped by spectral angle (`steps.angles`)."""

    max_angle: float = Field(0.1, gt=0, le=3.1416, description="largest spectral angle in radians to the nearest reference; pixels farther away stay unmapped")
    prepared: bool = Field(False, description="use the project's chain of preprocessing")


class ViewConfig(Settings):
    """How a cube is looked at (`steps.view`)."""

    kind: Literal["auto", "true", "false", "default", "bands", "band", "ratio", "index"] = Field(
        "auto",
        description="true colour (CIE 1931), false colour (near infrared as red), the header's default bands, three bands, one in grey, "
        "a / b, or (a − b) / (a + b); auto: the first of true, false and default that the cube allows",
    )
    bands: tuple[int, ...] = Field((), description="band indices from 0: three for 'bands', one for 'band', two for 'ratio' and 'index'")
    wavelengths: tuple[float, ...] = Field((), description="nm; the nearest bands, instead of band indices")
    stretch: tuple[float, float] = Field((2.0, 98.0), description="percentiles of the image that become darkest and brightest")
    joint: bool | None = Field(None, description="one stretch for all three colours; by default only for true colour of reflectance")

    @field_validator("bands")
    @classmethod
    def _from_zero(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(band < 0 for band in value):
            msg = "bands count from 0"
            raise ValueError(msg)
        return value

    @field_validator("stretch")
    @classmethod
    def _rising(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1] <= 100:
            msg = "expected two rising percentiles between 0 and 100"
            raise ValueError(msg)
        return value


class PcaConfig(Settings):
    """How all domains are brought to one band grid and projected (`steps.pca`)."""

    bands: int = Field(256, ge=2, description="positions of the grid that all cubes are brought to")
    grid: Literal["index", "wavelength"] = Field("index", description="spread bands evenly by number, or over the range of nm that all cubes share")
    components: int = Field(30, ge=1, description="how many are kept")
    method: Literal["pca", "mnf"] = Field("pca", description="order directions by variance, or by signal to noise (minimum noise fraction)")
    edges: Literal["count", "skip"] = Field("count", description="mnf: whether neighbours of different materials count for the noise")
    denoise: int = Field(0, ge=0, le=32, description="mnf: radius in pixels of a bilateral filter of the components; 0 leaves them as they are")
    scale: Literal["none", "standardise", "snv"] = Field(
        "none", description="standardise: each band of a domain to mean 0 and spread 1; snv: each spectrum (standard normal variate)"
    )
    weights: Literal["pixels", "domain"] = Field("pixels", description="what counts the same: every pixel, or every domain")
    sample: int | None = Field(None, ge=2, description="fit on at most this many random masked pixels a cube")
    seed: int = Field(0, description="the draw of these pixels follows from it")

    @model_validator(mode="after")
    def _noise_is_known(self) -> Self:
        if self.method != "mnf" and (self.denoise or self.edges == "skip"):
            msg = "edges and denoise need to know the noise, which method 'mnf' alone estimates"
            raise ValueError(msg)
        return self

    @classmethod
    def training_free(cls, bands: int = 256, components: int = 30) -> PcaConfig:
        """Return the settings of the training-free inlet: denoised MNF of standardised bands."""
        return cls(bands=bands, components=components, method="mnf", scale="standardise", edges="skip", denoise=4)


class UmapConfig(Settings):
    """How a sample of pixels is laid out by UMAP (`steps.umap`)."""

    sample: int = Field(10_000, ge=10, le=200_000, description="pixels in all, as many of one domain as of another")
    neighbours: int = Field(15, ge=2, le=500, description="few show fine structure, many the large shape")
    distance: float = Field(0.1, ge=0, lt=1, description="how near points may lie: small values make tight clusters")
    seed: int = Field(0, description="sample and layout follow from it")


class PatchConfig(Settings):
    """How patches are cut and split (`steps.patches`)."""

    size: int = Field(32, ge=1, description="side of a patch in pixels")
    stride: int = Field(0, ge=0, description="pixels between patches; 0 means half the size")
    coverage: float = Field(0.5, ge=0, le=1, description="smallest share of foreground in a patch")
    background: Literal["mean", "keep", "zero"] = Field(
        "mean", description="what stands for background pixels inside a patch: the mean of the foreground, themselves, or zero"
    )
    per_domain: int | None = Field(None, ge=1, description="at most this many patches a domain")
    split: Literal["auto", "cube", "blocks"] = Field("auto", description="auto: by whole cube in domains of two cubes or more, guarded blocks in the others")
    guard: int = Field(0, ge=0, description="pixels left unused on each side of a block border")
    block: int = Field(0, ge=0, description="side of a block in pixels; 0 means twice the size")
    test_share: float = Field(0.25, gt=0, lt=1, description="share of cubes or blocks that is held out")
    seed: int = Field(0, description="the draw of cubes, blocks and limited patches follows from it")

    @property
    def step(self) -> int:
        """The stride in pixels."""
        return self.stride or max(1, self.size // 2)
