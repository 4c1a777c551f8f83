"""Settings of the steps that prepare data: masks, projections, patches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_hsi_ssl.config.settings import Settings


class MaskConfig(Settings):
    """How the foreground of a cube is found (`steps.mask`)."""

    method: Literal["otsu", "threshold", "angle", "all"] = "otsu"
    source: Literal["brightness", "band", "pc1"] = Field("brightness", description="the image that is thresholded")
    band: int | None = Field(None, ge=0, description="band index when the source is 'band'")
    wavelength: float | None = Field(None, gt=0, description="nm; the nearest band, instead of a band index")
    low: float | None = Field(None, description="threshold: keep values of at least this")
    high: float | None = Field(None, description="threshold: keep values of at most this")
    keep: Literal["bright", "dark"] = Field("bright", description="otsu: the side of the threshold that is foreground")
    at: tuple[int, int] | None = Field(None, description="angle: pixel (y, x) whose spectrum is the reference")
    max_angle: float = Field(0.1, gt=0, description="angle: largest spectral angle in radians that is kept")
    invert: bool = False
    fill_holes: bool = True
    drop_specks: int = Field(16, ge=0, description="drop foreground objects smaller than this many pixels")


class AnglesConfig(Settings):
    """How a cube is mapped by spectral angle (`steps.angles`)."""

    max_angle: float = Field(0.1, gt=0, le=3.1416, description="largest spectral angle in radians to the nearest reference; pixels farther away stay unmapped")
    prepared: bool = Field(False, description="use the project's chain of preprocessing")


class PcaConfig(Settings):
    """How all domains are brought to one band grid and projected (`steps.pca`)."""

    bands: int = Field(256, ge=2)
    grid: Literal["index", "wavelength"] = "index"
    components: int = Field(30, ge=1)
    method: Literal["pca", "mnf"] = "pca"
    scale: Literal["none", "standardise", "snv"] = "none"
    weights: Literal["pixels", "domain"] = "pixels"
    sample: int | None = Field(None, ge=2, description="fit on at most this many random masked pixels a cube")
    seed: int = 0


class PatchConfig(Settings):
    """How patches are cut and split (`steps.patches`)."""

    size: int = Field(32, ge=1)
    stride: int = Field(0, ge=0, description="pixels between patches; 0 means half the size")
    coverage: float = Field(0.5, ge=0, le=1, description="smallest share of foreground in a patch")
    background: Literal["mean", "keep", "zero"] = "mean"
    per_domain: int | None = Field(None, ge=1, description="at most this many patches a domain")
    split: Literal["auto", "cube", "blocks"] = Field("auto", description="auto: by whole cube in domains of two cubes or more, guarded blocks in the others")
    guard: int = Field(0, ge=0, description="pixels left unused on each side of a block border")
    block: int = Field(0, ge=0, description="side of a block in pixels; 0 means twice the size")
    test_share: float = Field(0.25, gt=0, lt=1)
    seed: int = 0

    @property
    def step(self) -> int:
        """The stride in pixels."""
        return self.stride or max(1, self.size // 2)
