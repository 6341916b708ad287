"""How alike the hidden representations of two networks are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._check import real_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def representation_similarity(gram: ArrayLike, other: ArrayLike) -> Any:
    """Return how alike two sets of representations of the same items are, whatever their bases.

    With both matrices of inner products centred over items (rows and columns of mean 0) it is their
    cosine as vectors: 1 for representations that differ by a rotation, a scale and a shift.
    Networks that learn the same items from small balanced weights come near 1; large or unbalanced
    weights keep what they started with.

    Parameters
    ----------
    gram, other : (..., n_items, n_items) array_like
        Inner products ``h_i . h_j`` in the one and in the other network, such as
        `SemanticModel.hidden_gram`, or ``h.T @ h`` for h of shape (n_hidden, n_items).

    Returns
    -------
    float or array
        Of the shape of the leading axes; in [0, 1] for Gram matrices.

    Raises
    ------
    ValueError
        If the shapes do not fit or all items are represented alike, so that nothing is compared.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    Kornblith, Norouzi, Lee and Hinton (2019), "Similarity of neural network representations
    revisited", linear centred kernel alignment.

    Examples
    --------
    >>> from meanfree.semantics import SemanticModel, eight_things, representation_similarity
    >>> model = SemanticModel(eight_things().outputs, a0=1e-3)
    >>> early, late = model.hidden_gram([1.0, 10.0])
    >>> print(f"{representation_similarity(early, late):.3f}")
    0.766
    """
    grams = []
    for name, value in (("gram", gram), ("other", other)):
        matrix = real_array(name, value)
        if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2] or matrix.shape[-1] < 2:
            msg = f"{name} must have shape (..., n, n) with n >= 2, got {matrix.shape}"
            raise ValueError(msg)
        centred = matrix - matrix.mean(axis=-1, keepdims=True)
        centred -= centred.mean(axis=-2, keepdims=True)
        norms = np.sqrt(np.sum(np.square(centred), axis=(-1, -2), keepdims=True))
        sizes = np.sqrt(np.sum(np.square(matrix), axis=(-1, -2), keepdims=True))
        if np.any(norms <= 1e-14 * sizes):
            msg = f"{name} must tell items apart, got one that is constant"
            raise ValueError(msg)
        grams.append(centred / norms)
    one, two = grams
    fits = one.shape[-1] == two.shape[-1]
    try:
        np.broadcast_shapes(one.shape, two.shape)
    except ValueError:
        fits = False
    if not fits:
        msg = f"gram and other must be of the same items, got shapes {one.shape} and {two.shape}"
        raise ValueError(msg)
    result = np.sum(one * two, axis=(-1, -2))
    return result if np.ndim(result) else float(result)
