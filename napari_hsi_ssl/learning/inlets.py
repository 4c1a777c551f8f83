"""A learned inlet for every domain: filters over all of a camera's own bands, trained together with the trunk that all cameras share.

An independent implementation of the idea of a universal trunk behind inlets of different bands (arXiv 2204.03144); no figure of that paper is
claimed. A filter looks at one pixel: the trunk's stem sees the neighbours. Every inlet starts as a projection that is there already
(`learning.starts`), so that before the first step the features are those of that projection.

Letters: B bands of a domain, k channels of the trunk, n windows of w × w pixels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_hsi_ssl.config import DomainInput
from napari_hsi_ssl.errors import RunError

_ROW_BYTES: Final = 64 * 2**20

Views = Callable[[Tensor], Tensor]
"""From stored scores (n, w, w, k) to network input (m, k, w, w)."""


class Bands(NamedTuple):
    """Windows of several domains: (n_d, w, w, B_d) of each, and where each row of the batch lies among them, (n,)."""

    parts: tuple[Tensor, ...]
    order: Tensor


class Inlet(nn.Module):
    """One domain's filters: bands (…, B), as stored, to scores (…, k) of about unit spread.

    The weights are kept √B times as large as they act, so that one step of the optimiser changes a score about as much with many bands as
    with few.

    Parameters
    ----------
    bands, channels : int
        B and k.
    """

    offset: Tensor
    gain: Tensor

    def __init__(self, bands: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, bands))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("offset", torch.zeros(bands))
        self.register_buffer("gain", torch.ones(bands))

    def start(self, weights: NDArray[np.floating], bias: NDArray[np.floating], mean: NDArray[np.floating], spread: NDArray[np.floating]) -> None:
        """Take weights (B, k) and bias (k,) for bands of mean 0 and spread 1, and what brings the bands there (B,)."""
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(weights.T * len(weights) ** 0.5))
            self.bias.copy_(torch.from_numpy(bias))
            self.offset.copy_(torch.from_numpy(mean))
            self.gain.copy_(torch.from_numpy(1 / spread))

    @property
    def effective(self) -> NDArray[np.float64]:
        """The weights (B, k) as they act on bands of mean 0 and spread 1."""
        found: NDArray[np.float64] = self.weight.detach().double().cpu().numpy().T / self.weight.shape[1] ** 0.5
        return found

    def forward(self, x: Tensor) -> Tensor:
        """(…, B) → (…, k), never in less than float32: late components are small differences of large values."""
        with torch.autocast(x.device.type, enabled=False):
            standardised = (x.to(self.weight.dtype) - self.offset) * self.gain
            return functional.linear(standardised, self.weight / self.weight.shape[1] ** 0.5, self.bias)


class InletBank(nn.ModuleDict):
    """The inlets of all domains of a run, by number and name, such as ``0_coffee``.

    Parameters
    ----------
    domains : sequence of DomainInput
    channels : int
        k.
    """

    def __init__(self, domains: Sequence[DomainInput], channels: int) -> None:
        super().__init__({_key(number, domain.name): Inlet(len(domain.used), channels) for number, domain in enumerate(domains)})
        self.domains = tuple(domain.name for domain in domains)

    def of(self, domain: str) -> Inlet:
        """Return the inlet of a domain."""
        return cast("Inlet", self[_key(self.domains.index(domain), domain)])

    def forward(self, bands: Bands) -> Tensor:
        """Return scores (n, w, w, k) in the order of the batch; every inlet takes part in every step, if only with no window."""
        scores = torch.cat([inlet(part) for inlet, part in zip(self.values(), bands.parts, strict=True)])
        return scores.index_select(0, bands.order)


def _key(number: int, domain: str) -> str:
    return f"{number}_{re.sub(r'[^0-9A-Za-z_-]', '_', domain)}"


def described(domains: Sequence[DomainInput]) -> list[dict[str, Any]]:
    """Return the part ``inlets`` of a model's card: each domain's bands, and the name its tensors begin with."""
    return [{**domain.model_dump(mode="json"), "tensors": f"inlets.{_key(number, domain.name)}"} for number, domain in enumerate(domains)]


def domains_of(card: Mapping[str, Any]) -> tuple[DomainInput, ...]:
    """Return the domains that a model has inlets of; none with a frozen projection."""
    known = DomainInput.model_fields
    return tuple(DomainInput.parse({key: value for key, value in row.items() if key in known}, "the model's card") for row in card.get("inlets", ()))


def bank_of(card: Mapping[str, Any]) -> InletBank | None:
    """Return the inlets that a card describes, without weights yet; None with a frozen projection."""
    domains = domains_of(card)
    return InletBank(domains, card["channels"]) if domains else None


@torch.compiler.disable  # type: ignore[untyped-decorator]  # views are drawn by NumPy, which a compiled network would otherwise try to follow
def entered(bank: InletBank | None, x: Tensor | Bands, views: Views | None) -> Tensor:
    """Return network input: what is it already, or bands sent through their inlets and ``views``."""
    return views(bank(x)) if isinstance(x, Bands) and bank is not None and views is not None else cast("Tensor", x)


def through(model: Any, windows: Tensor | Bands, views: Views, **options: Any) -> Any:  # noqa: ANN401 - the model, possibly wrapped by Fabric
    """Send a batch through a model: stored scores by ``views``, bands by the model's inlets and then by ``views``."""
    return model(windows, views=views, **options) if isinstance(windows, Bands) else model(views(windows), **options)


def stored_scores(model: nn.Module, windows: Tensor | Bands) -> Tensor:
    """Return a batch's scores (n, w, w, k): as they are stored, or by the model's inlets."""
    return cast("Tensor", cast("InletBank", model.inlets)(windows)) if isinstance(windows, Bands) else windows


def inlet_scores(model: nn.Module, domain: str, bands: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the scores (y, x, k) of a whole cube as `Projection` would store them, some rows at a time; NaN where not measured.

    Parameters
    ----------
    model : module
        With ``inlets``.
    domain : str
        Of the cube.
    bands : float array or memory map (y, x, B)
        The domain's bands, NaN where not measured.

    Raises
    ------
    RunError
        When the model knows no such domain, or the cube has other bands.
    """
    bank = cast("InletBank", model.inlets)
    if domain not in bank.domains:
        raise RunError(unknown_domain(domain, bank.domains))
    inlet = bank.of(domain)
    channels, count = inlet.weight.shape
    if bands.shape[2] != count:
        raise RunError(f"the cube has {bands.shape[2]} bands, but the inlet of domain '{domain}' {count}; use cubes of the camera it was trained on.")
    scores = np.empty((*bands.shape[:2], channels), dtype=np.float32)
    step = max(1, _ROW_BYTES // (8 * bands.shape[1] * count))
    with torch.inference_mode():
        for top in range(0, len(bands), step):
            rows = torch.from_numpy(np.array(bands[top : top + step])).to(inlet.weight.device)
            scores[top : top + step] = inlet(rows).float().cpu().numpy()
    return scores


def unknown_domain(domain: str, known: Sequence[str]) -> str:
    """Return the sentence for a camera that a model has no inlet of."""
    return (
        f"the run has no inlet for domain '{domain}', only for {', '.join(known)}; give that camera one by a run of its own that starts from this one "
        "(pretrain or distil with init and inlet 'learned')."
    )
