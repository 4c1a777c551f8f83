"""Settings of a table of rivals (`steps.table`)."""

from __future__ import annotations

from pydantic import Field

from napari_hsi_ssl.config.settings import Settings


class TableConfig(Settings):
    """Which rivals are scored, how often, and what they are compared with."""

    rows: tuple[str, ...] = Field(("quick",), min_length=1, description="rows by key; quick: those of seconds, all: every one (`mapping.baselines.rows`)")
    seeds: int = Field(1, ge=1, description="of every row whose outcome depends on draws, on every fold")
    seed: int = Field(0, ge=0, description="the first")
    max_steps: int | None = Field(None, ge=1, description="of every training of a network; by default 60 epochs")
    reference: str | None = Field(None, description="the row that the others are compared with; by default self-distillation, else the first")
