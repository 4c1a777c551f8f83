"""Settings of how labels are divided into training, validation and test."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from napari_hsi_ssl.config.settings import Settings

PLAIN_FOLDS = 4


class SplitConfig(Settings):
    """How labels are divided (`steps.splits`)."""

    kind: Literal["blocks", "fields", "cubes", "random"] = Field(
        "blocks",
        description="blocks: squares with a guard between them; fields: whole connected areas of one class, with a guard; "
        "cubes: whole cubes; random: single pixels, which measures interpolation",
    )
    block: int = Field(36, ge=1, description="side of a block in pixels")
    guard: int = Field(
        16,
        ge=0,
        description="blocks, fields: training pixels within so many pixels of a test pixel are left out; the window less one pixel lets no two windows meet",
    )
    folds: int | None = Field(
        None, ge=1, description=f"parts of which each is the test once ({PLAIN_FOLDS}); of random draws with counts or a share: how many draws (1)"
    )
    repeats: int = Field(1, ge=1, description="how often all of it is drawn anew")
    validation: bool = Field(False, description="hold a third part out of the training labels, as far from them as the test is")
    per_class: int | None = Field(None, ge=1, description="at most so many training pixels a class, and as many validation pixels")
    test_per_class: int | None = Field(None, ge=1, description="at most so many test pixels a class")
    share: float | None = Field(None, gt=0, lt=1, description="random: share of each class that is test")
    seed: int = Field(0, ge=0, description="the first draw follows from it, each repeat from the next number")

    @model_validator(mode="after")
    def _share_of_random(self) -> Self:
        if self.share is not None and self.kind != "random":
            msg = f"a share of test pixels ({self.share:g}) is for kind 'random' alone; choose the number of folds instead"
            raise ValueError(msg)
        if self.folds == 1 and not self.drawn:
            msg = "one fold has nothing to train on; choose 2 folds or more"
            raise ValueError(msg)
        return self

    @property
    def drawn(self) -> bool:
        """Whether each fold is a draw of its own, not one part of all."""
        return self.kind == "random" and (self.share is not None or (self.per_class is not None and self.folds in {None, 1}))

    @property
    def parts(self) -> int:
        """The number of folds of one repeat."""
        return self.folds or (1 if self.drawn else PLAIN_FOLDS)
