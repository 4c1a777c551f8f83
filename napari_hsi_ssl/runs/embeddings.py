"""Embeddings of whole cubes, kept in the project and made only where something they depend on has changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_hsi_ssl import files
from napari_hsi_ssl.config import digest
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.learning.checkpoint import Card
from napari_hsi_ssl.learning.data import open_scores
from napari_hsi_ssl.mapping.embed import EMBEDDING_VERSION, PHASES, best_way, embed_cube
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.runs.job_inputs import Model, area_of, stored, told


def embedding_file(network: Model, card: Card, model: Path, cube: Mapping[str, Any], cache: Path) -> Steps[tuple[Path, bool]]:
    """Return the file of a cube's embedding, made now unless everything it depends on is unchanged."""
    source = Path(cube["bands"] if "bands" in cube else cube["scores"])
    area = area_of(cube["area"], open_scores(source).shape[:2])
    made_from = {
        "model": files.file_hash(model),
        "inlet": card.get("inlet_sha256"),
        "scores": files.fingerprint(source),
        "area": files.digest_bytes(np.packbits(area).tobytes()),
        "way": [EMBEDDING_VERSION, best_way(card), PHASES],
        **({"domain": cube["domain"]} if "bands" in cube else {}),
    }
    path = cache / digest(made_from) / f"{cube['name']}.npy"
    shape = (*area.shape, network.dim)
    if path.exists():
        try:
            if open_scores(path).shape == shape:
                return path, False
        except ConfigError:  # damaged: made anew
            pass
    with files.atomic_path(path) as temporary:
        out = files.empty_npy(temporary, shape)
        yield from told(embed_cube(network, card, stored(network, cube), area, out=out), str(cube["name"]))
        out.flush()
        del out
    return path, True
