"""Settings of painting on a cube."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_hsi_ssl.config.settings import Settings

HeadKind = Literal["logistic", "prototype", "knn"]


class PaintConfig(Settings):
    """How painted pixels become a map (`steps.paint`)."""

    head: HeadKind = Field("logistic", description="what learns from the painted pixels: logistic regression, class means, or nearest neighbours")
    others: bool = Field(True, description="learn from what is painted on the other cubes of the project, too")
    suggestions: int = Field(5, ge=0, le=50, description="regions to paint next that are told")
