"""NT-Xent with negatives from every device, and the losses of self-distillation.

Letters: n windows of this device, N of all devices, d length of a feature, c classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Direction = Literal["both", "deep", "early", "none"]


def nt_xent(z1: Tensor, z2: Tensor, temperature: float, gather: Callable[[Tensor], Tensor] | None = None, rank: int = 0) -> Tensor:
    """Return the normalised temperature-scaled cross-entropy of two views (Chen et al. 2020, arXiv 2002.05709, eq. 1).

    The loss of an anchor i with its other view j is −log(exp(s_ij/τ) / Σ_{k≠i} exp(s_ik/τ)), s the cosine similarity; the mean
    over both views as anchors is returned.

    Parameters
    ----------
    z1, z2 : Tensor (n, d)
        Row i of both belongs to the same window.
    temperature : float
        τ.
    gather : callable, optional
        Puts the rows of all devices together, (n, 2d) → (N, 2d), with gradients; by default there is one device.
    rank : int
        Which n rows of the N are this device's. The mean of the devices' losses is the loss of the whole batch.
    """
    z1, z2 = functional.normalize(z1, dim=1), functional.normalize(z2, dim=1)
    all1, all2 = (z1, z2) if gather is None else gather(torch.cat((z1, z2), dim=1)).chunk(2, dim=1)
    n, everyone = len(z1), len(all1)
    similarity = torch.cat((z1, z2)) @ torch.cat((all1, all2)).T / temperature  # (2n, 2N)
    mine = torch.arange(n, device=z1.device) + rank * n
    itself = torch.cat((mine, mine + everyone))
    other = torch.cat((mine + everyone, mine))
    similarity = similarity.scatter(1, itself[:, None], -torch.inf)  # an anchor is no negative of its own
    return functional.cross_entropy(similarity, other)


def exits_cross_entropy(logits: Sequence[Tensor], target: Tensor, smoothing: float = 0.0, weight: Tensor | None = None) -> Tensor:
    """Return the mean cross-entropy of all exits (deep supervision, Lee et al. 2015, arXiv 1409.5185).

    Parameters
    ----------
    logits : sequence of Tensor (n, c)
        Shallow to deep.
    target : Tensor (n,)
        Class indices.
    smoothing : float
        Label smoothing (Szegedy et al. 2016, arXiv 1512.00567).
    weight : Tensor (c,), optional
        Of each class. The mean is over windows, not over weights, so that the mean of the devices' losses is that of the whole batch.
    """
    if weight is None:
        return torch.stack([functional.cross_entropy(each, target, label_smoothing=smoothing) for each in logits]).mean()
    terms = torch.stack([functional.cross_entropy(each, target, label_smoothing=smoothing, reduction="none") for each in logits])
    return (terms * weight[target]).mean()


def soft_targets(logits: Sequence[Tensor], temperature: float, direction: Direction) -> Tensor:
    """Return T² · KL(teacher ‖ student) between exits, averaged over the students (Hinton et al. 2015, arXiv 1503.02531).

    Teachers carry no gradient.

    Parameters
    ----------
    logits : sequence of Tensor (n, c)
        Shallow to deep.
    temperature : float
        T.
    direction : {"deep", "early", "both", "none"}
        deep: the deepest exit teaches every earlier one (Zhang et al. 2019, arXiv 1905.08094). early: the mean of the softened
        outputs of all earlier exits teaches each later one. both: the mean of the two.
    """
    terms = []
    if direction in {"deep", "both"}:
        teacher = functional.softmax(logits[-1].detach() / temperature, dim=1)
        terms.append(torch.stack([_divergence(teacher, student, temperature) for student in logits[:-1]]).mean())
    if direction in {"early", "both"}:
        softened = [functional.softmax(each.detach() / temperature, dim=1) for each in logits]
        teachers = [torch.stack(softened[:depth]).mean(0) for depth in range(1, len(logits))]
        terms.append(torch.stack([_divergence(teacher, student, temperature) for teacher, student in zip(teachers, logits[1:], strict=True)]).mean())
    return torch.stack(terms).mean() if terms else logits[0].new_zeros(())


def past_targets(logits: Sequence[Tensor], past: Tensor, temperature: float) -> Tensor:
    """Return T² · KL(past ‖ now), averaged over the exits: what the network itself said of these windows an epoch ago teaches all exits.

    After progressive self-knowledge distillation (Kim et al. 2021, arXiv 2006.12000), whose targets trust the past more and more:
    here the weight of the term rises (`ramp`).

    Parameters
    ----------
    logits : sequence of Tensor (n, c)
        Shallow to deep.
    past : Tensor (n, c)
        Logits of the deepest exit when the window was last seen; NaN for windows that were not, which count with 0.
    temperature : float
        T.
    """
    known = torch.isfinite(past).all(dim=1)
    if not known.any():
        return logits[0].sum() * 0.0  # every device must have a gradient
    teacher = functional.softmax(past[known] / temperature, dim=1)
    terms = torch.stack([_divergence(teacher, each[known], temperature) for each in logits])
    return terms.mean() * known.to(terms.dtype).mean()


def ramp(done: float, length: float) -> float:
    """Return the factor exp(−5 (1 − t)²) of a weight that rises, t the share of the rise that is done (Laine and Aila 2017, arXiv 1610.02242, section 2).

    Parameters
    ----------
    done : float
        Share of the training.
    length : float
        Share of the training that the rise takes; 0 for none.
    """
    return math.exp(-5 * (1 - done / length) ** 2) if done < length else 1.0


def _divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """T² · KL of probabilities (n, c) and logits (n, c), mean over windows."""
    return temperature**2 * functional.kl_div(functional.log_softmax(student / temperature, dim=1), teacher, reduction="batchmean")


def feature_consistency(features: Sequence[Tensor]) -> Tensor:
    """Return the mean squared distance of earlier exits' features to the deepest one's, all of unit length.

    Parameters
    ----------
    features : sequence of Tensor (n, d)
        Shallow to deep; the deepest carries no gradient.
    """
    target = functional.normalize(features[-1].detach(), dim=1)
    return torch.stack([(functional.normalize(each, dim=1) - target).square().sum(1).mean() for each in features[:-1]]).mean()
