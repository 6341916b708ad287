"""A short training run of several networks on the same batches."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

_BATCH = 64
_RECORD = 10  # steps between two points of the loss
_TEST = 25  # and of the accuracy, which costs as much as two steps


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch use one thread: matrices of width 256 gain nothing from more."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(eq=False)
class Training:
    """Curves of one run: loss on the batches, mean over the steps between points, and accuracy."""

    rate: float
    n_trial: int
    steps: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    test_steps: list[int] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)

    @property
    def n_steps(self) -> int:
        """Steps of SGD that were made."""
        return self.steps[-1]


class _Run:
    """A network in training, which can be continued."""

    def __init__(self, network: torch.nn.Module, rate: float, n_trial: int) -> None:
        import torch

        self.network = copy.deepcopy(network).float()
        self.optimizer = torch.optim.SGD(
            self.network.parameters(), lr=rate, momentum=0.9, foreach=True
        )
        self.curves = Training(rate, n_trial)
        self.done = 0

    def advance(self, data: Any, batches: Any, until: int) -> None:
        """Train up to step `until`; `data` is (inputs, labels, test inputs, test labels)."""
        import torch

        inputs, labels, test_inputs, test_labels = data
        losses = []
        for step in range(self.done, until):
            chosen = batches[step]
            self.optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(self.network(inputs[chosen]), labels[chosen])
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            losses.append(float(loss.detach()))
            last = step + 1 == until
            if (step + 1) % _RECORD == 0 or last:
                self.curves.steps.append(step + 1)
                self.curves.loss.append(float(np.mean(losses)))
                losses = []
            if (step + 1) % _TEST == 0 or last:
                with torch.no_grad():
                    right = self.network(test_inputs).argmax(dim=1) == test_labels
                self.curves.test_steps.append(step + 1)
                self.curves.accuracy.append(float(right.double().mean()))
        self.done = until


def train(
    networks: Sequence[torch.nn.Module],
    rates: Sequence[Sequence[float]],
    inputs: torch.Tensor,
    labels: torch.Tensor,
    *,
    n_test: int,
    steps: tuple[int, int],
    seed: int,
    n_threads: int,
) -> list[list[Training]]:
    """Train every network with every rate of its own list; the best rate goes on to the end.

    Parameters
    ----------
    networks : sequence of torch.nn.Module
        Left as they are.
    rates : sequence of sequences of float
        Learning rates to try, a list for each network.
    inputs, labels : Tensor
        The last `n_test` are the test set.
    n_test : int
    steps : tuple of int
        Steps of the trial of all rates, and of the rate with the lowest training loss in it.
    seed : int
        Of the batches.
    n_threads : int
        Runs at a time, of one torch thread each, so that results do not depend on it.

    Returns
    -------
    list of list of Training
        In the order of `networks` and `rates`.
    """
    import torch

    trial, whole = steps
    n_train = len(labels) - n_test
    random = np.random.default_rng(seed)
    batches = torch.from_numpy(
        np.stack([random.choice(n_train, _BATCH, replace=False) for _ in range(whole)])
    )
    x = inputs.float()
    data = (x[:n_train], labels[:n_train], x[n_train:], labels[n_train:])
    runs = [
        [_Run(network, rate, trial) for rate in list_]
        for network, list_ in zip(networks, rates, strict=True)
    ]
    with one_torch_thread(), ThreadPoolExecutor(n_threads) as pool:
        everyone = [run for several in runs for run in several]
        list(pool.map(lambda run: run.advance(data, batches, trial), everyone))
        best = [min(several, key=lambda run: run.curves.loss[-1]) for several in runs]
        list(pool.map(lambda run: run.advance(data, batches, whole), best))
    return [[run.curves for run in several] for several in runs]
