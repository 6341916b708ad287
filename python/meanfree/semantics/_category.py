"""When a category hidden in noise can be found, and how well: the spiked-matrix theory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._check import Range, real_array, shaped, size, together
from meanfree.linear._checks import POSITIVE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_COHERENCE = Range("finite and >= 0", 0.0)
_SIGNAL = 1e150  # whose square is a float


@dataclass(frozen=True, eq=False)
class Category:
    """What remains of a category in a large noisy matrix; made by `category`.

    Attributes
    ----------
    singular_value : float or array
        The largest singular value of the matrix, which sets the time of learning.
    item_overlap, feature_overlap : float or array
        |cosine|, not squared, between the singular vector and the category's indicator over items
        and over features; 0 up to the threshold.
    """

    singular_value: Any
    item_overlap: Any
    feature_overlap: Any


def category(
    coherence: ArrayLike, n_features: int, n_items: int, *, noise: ArrayLike = 1.0
) -> Category:
    """Return the largest singular value and overlaps of a category of given coherence in noise.

    The matrix ``(n_features, n_items)`` has independent entries of variance ``noise**2`` and, on a
    block of K_f features and K_o items, the mean mu. With ``C = (mu / noise)**2 K_f K_o /
    sqrt(n_features n_items)``, see `category_coherence`, and ``r = sqrt(n_features / n_items)`` a
    large matrix has, where C > 1,

        singular value**2  = noise**2 n_items (1 + C r) (r**2 + C r) / (C r)
        item overlap**2    = r (C**2 - 1) / (C (1 + C r))
        feature overlap**2 = (C**2 - 1) / (C (C + r))

    and for C <= 1 the category cannot be seen: the overlaps vanish and the singular value is that
    of noise, ``noise (sqrt(n_features) + sqrt(n_items))``.

    Parameters
    ----------
    coherence : array_like
        C, >= 0, any shape.
    n_features, n_items : int
        Rows and columns of the matrix, both large.
    noise : array_like
        Standard deviation of an entry, > 0; broadcasts with the coherence.

    Returns
    -------
    Category

    Raises
    ------
    ValueError
        If a value is out of its range or the shapes do not broadcast.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    A mean of the whole matrix is a strong mode of its own and has to be removed first. Singular
    values grow with C, so that coherent categories are learned sooner: the time is about
    ``log(s / a0) / (2 s)``, see `meanfree.linear.learning_time`.

    References
    ----------
    Benaych-Georges and Nadakuditi (2012), "The singular values and vectors of low rank
    perturbations of large rectangular random matrices"; Saxe, McClelland and Ganguli (2019), "A
    mathematical theory of semantic development in deep neural networks", on category coherence.

    Examples
    --------
    >>> from meanfree.semantics import category
    >>> blue_things, dogs = category(0.9, 400, 600), category(6.0, 400, 600)
    >>> print(f"{blue_things.item_overlap:.3f} {dogs.item_overlap:.3f}")
    0.000 0.899
    """
    (c, sigma), shape = together(
        coherence=real_array("coherence", coherence, _COHERENCE),
        noise=real_array("noise", noise, POSITIVE),
    )
    rows, columns = float(size("n_features", n_features)), float(size("n_items", n_items))
    ratio = np.sqrt(rows / columns)
    seen = c > 1.0
    c = np.where(seen, c, 1.0)  # at the threshold the formulas give the limits
    inverse = 1.0 / c
    # every factor divided by C, so that no product overflows
    value = np.sqrt(columns) * np.sqrt(1.0 + c * ratio) * np.sqrt(1.0 + ratio * inverse)
    gap = (1.0 - inverse) * (1.0 + inverse)
    item = np.sqrt(gap * ratio / (inverse + ratio))
    feature = np.sqrt(gap / (1.0 + ratio * inverse))
    return Category(
        singular_value=shaped(sigma * value, shape),
        item_overlap=shaped(item, shape),
        feature_overlap=shaped(feature, shape),
    )


def category_coherence(
    strength: ArrayLike,
    category_features: int,
    category_items: int,
    n_features: int,
    n_items: int,
    *,
    noise: ArrayLike = 1.0,
) -> Any:
    """Return the coherence ``C = (strength / noise)**2 K_f K_o / sqrt(n_features n_items)``.

    Above 1 a category can be told from noise, see `category`. "All blue things" has many items K_o
    but hardly a feature K_f in common, and so is not a category.

    Parameters
    ----------
    strength : array_like
        Mean mu of an entry inside the category; only its square enters. At most 1e150 times the
        noise.
    category_features, category_items : int
        K_f and K_o, at most n_features and n_items.
    n_features, n_items : int
        Rows and columns of the whole matrix.
    noise : array_like
        Standard deviation of an entry, > 0.

    Returns
    -------
    float or array
        Of the shape to which strength and noise broadcast.

    Raises
    ------
    ValueError, TypeError
        As `category`, and if the category is larger than the matrix.

    Examples
    --------
    >>> from meanfree.semantics import category_coherence
    >>> print(f"{category_coherence(1.0, 30, 40, 400, 600):.4f}")
    2.4495
    """
    rows, columns = size("n_features", n_features), size("n_items", n_items)
    block = (size("category_features", category_features), size("category_items", category_items))
    for name, part, whole in (
        ("category_features", block[0], rows),
        ("category_items", block[1], columns),
    ):
        if part > whole:
            msg = f"{name} must be an integer in [1, {whole}], got {part}"
            raise ValueError(msg)
    (mu, sigma), shape = together(
        strength=real_array("strength", strength), noise=real_array("noise", noise, POSITIVE)
    )
    with np.errstate(over="ignore", under="ignore"):
        signal = np.abs(mu / sigma)
    if np.any(signal > _SIGNAL):
        k = int(np.argmax(signal > _SIGNAL))
        msg = f"strength / noise must be at most {_SIGNAL:g} in size, got {mu[k]:g} / {sigma[k]:g}"
        raise ValueError(msg)
    ratio = (block[0] / np.sqrt(rows)) * (block[1] / np.sqrt(columns))
    return shaped(np.square(signal) * ratio, shape)
