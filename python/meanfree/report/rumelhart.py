"""The network of Rumelhart and Todd: items and relations in, attributes out, sigmoids between.

An item, of eight, is mapped to 8 units of its representation; these and one of four relations (isa,
is, can, has) to 15 hidden units, and these to 36 attributes. Every unit is a sigmoid. The biases of
the outputs are -2 and stay so; other units have none. Weights start uniformly in (-0.5, 0.5) and
follow the gradient of the summed squared error over all 32 pairs of item and relation, with the
rate 0.1. Many networks are trained as one batch.

Source: Rumelhart and Todd (1993); Rogers and McClelland (2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree.report.training import one_torch_thread
from meanfree.semantics import SemanticData, eight_things

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

RELATIONS = ("isa", "is", "can", "has")

LEVELS: tuple[tuple[str, tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]], ...] = (
    ("plants | animals", (((0, 1, 2, 3), (4, 5, 6, 7)),)),
    ("trees | flowers, birds | fish", (((0, 1), (2, 3)), ((4, 5), (6, 7)))),
    ("single items", (((0,), (1,)), ((2,), (3,)), ((4,), (5,)), ((6,), (7,)))),
)
"""Distinctions among the items of `eight_things`, broad ones first: pairs of groups."""

_REPRESENTATION, _HIDDEN = 8, 15
_RATE, _BIAS = 0.1, -2.0


@dataclass(frozen=True, eq=False)
class Course:
    """What networks represent and answer over the epochs.

    Attributes
    ----------
    epochs : (n_times,) array
    representation : (n_times, n_networks, 8, 8) array
        Units of the representation, last axis, of each item.
    answer : (n_times, n_networks, 36, 8) array
        Attributes of each item, each asked for with the relation that it belongs to.
    loss : (n_times, n_networks) array
        Summed squared error.
    """

    epochs: NDArray[np.int64]
    representation: Array
    answer: Array
    loss: Array


def patterns(data: SemanticData) -> tuple[Array, NDArray[np.int64]]:
    """Return the targets (item, relation, attribute) and the relation of each attribute.

    An attribute is asked for with its own relation only: 32 pairs of item and relation, in which
    the ones are those of the table.
    """
    relation = np.array([RELATIONS.index(name.split()[0]) for name in data.features])
    asked = relation == np.arange(len(RELATIONS))[:, None]
    return data.outputs.T[:, None, :] * asked, relation


def train(seed: int, n_networks: int, n_epochs: int, every: int = 10) -> Course:
    """Train networks on `eight_things` and record them every so many epochs."""
    import torch

    table, relation = patterns(eight_things())
    targets = torch.from_numpy(table).float().reshape(-1, table.shape[2])
    generator = torch.Generator().manual_seed(seed)
    sizes = (
        (table.shape[0], _REPRESENTATION),
        (_REPRESENTATION, _HIDDEN),
        (len(RELATIONS), _HIDDEN),
        (_HIDDEN, table.shape[2]),
    )
    weights = [torch.rand((n_networks, *size), generator=generator) - 0.5 for size in sizes]
    records: list[tuple[int, Array, Array, Array]] = []
    own = torch.from_numpy(relation)
    attributes = torch.arange(len(relation))
    with one_torch_thread(), torch.no_grad():
        for epoch in range(n_epochs + 1):
            representation, answer, loss, gradients = sweep(weights, targets)
            if epoch % every == 0:
                asked = answer.reshape(n_networks, *table.shape)[:, :, own, attributes]
                records.append(
                    (
                        epoch,
                        representation.double().numpy(),
                        asked.transpose(1, 2).double().numpy(),
                        loss.double().numpy(),
                    )
                )
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.sub_(gradient, alpha=_RATE)
    epochs, representations, answers, losses = zip(*records, strict=True)
    return Course(np.array(epochs), np.stack(representations), np.stack(answers), np.stack(losses))


def sweep(
    weights: list[torch.Tensor], targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """Return representation, outputs, losses and gradients of a batch of networks.

    Written out, since automatic differentiation of so small products takes five times as long.
    """
    import torch

    items, mixing, relations, readout = weights
    n, n_items, n_relations = items.shape[0], items.shape[1], relations.shape[1]
    representation = torch.sigmoid(items)
    hidden = torch.sigmoid((representation @ mixing)[:, :, None] + relations[:, None])
    flat = hidden.reshape(n, n_items * n_relations, -1)
    answer = torch.sigmoid(flat @ readout + _BIAS)
    error = answer - targets
    delta = 2.0 * error * answer * (1.0 - answer)
    back = ((delta @ readout.mT) * flat * (1.0 - flat)).reshape(hidden.shape)
    of_items = back.sum(dim=2)
    gradients = [
        (of_items @ mixing.mT) * representation * (1.0 - representation),
        representation.mT @ of_items,
        back.sum(dim=1),
        flat.mT @ delta,
    ]
    return representation, answer, error.square().sum(dim=(1, 2)), gradients


def group_distances(points: Array) -> Array:
    """Return the distance of the groups' centroids at each of the `LEVELS`, (levels, ...).

    `points` (..., 8, n): items, and their coordinates. Averaged over the pairs of a level.
    """
    return np.stack(
        [
            np.mean(
                [
                    np.linalg.norm(
                        points[..., list(one), :].mean(axis=-2)
                        - points[..., list(other), :].mean(axis=-2),
                        axis=-1,
                    )
                    for one, other in pairs
                ],
                axis=0,
            )
            for _, pairs in LEVELS
        ]
    )


def half_rise(times: Array, distances: Array) -> Array:
    """Return when each course (..., n_times, n) is first half-way from its start to its end."""
    middle = 0.5 * (distances[..., :1, :] + distances[..., -1:, :])
    after = np.argmax(distances >= middle, axis=-2)[..., None, :]
    high = np.take_along_axis(distances, after, axis=-2)
    low = np.take_along_axis(distances, after - 1, axis=-2)
    share = (middle - low) / (high - low)
    return np.asarray(times[after - 1] + share * (times[after] - times[after - 1]))[..., 0, :]


def aligned(frames: Array) -> Array:
    """Return plane pictures of frames (n_times, n_items, n), each turned onto the next.

    Classical multidimensional scaling gives every frame axes of its own; from the last one back
    each frame is turned and mirrored so as to lie as near as possible to the one after it
    (Procrustes).
    """
    centred = frames - frames.mean(axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    flat = u[..., :2] * s[:, None, :2]
    for k in reversed(range(len(flat) - 1)):
        left, _, right = np.linalg.svd(flat[k].T @ flat[k + 1])
        flat[k] = flat[k] @ (left @ right)
    return np.asarray(flat)
