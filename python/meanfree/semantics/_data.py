"""The eight living things of Rumelhart and Todd: items, features and which item has which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree._axes import axes
from meanfree._check import choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_ITEMS = ("pine", "oak", "rose", "daisy", "robin", "canary", "sunfish", "salmon")
_PLANTS, _ANIMALS = _ITEMS[:4], _ITEMS[4:]
_TREES, _FLOWERS, _BIRDS, _FISH = _ITEMS[:2], _ITEMS[2:4], _ITEMS[4:6], _ITEMS[6:]

# feature -> the items that have it; the order is that of the rows
_FACTS: dict[str, tuple[str, ...]] = {
    "isa living thing": _ITEMS,
    "isa plant": _PLANTS,
    "isa animal": _ANIMALS,
    "isa tree": _TREES,
    "isa flower": _FLOWERS,
    "isa bird": _BIRDS,
    "isa fish": _FISH,
    **{f"isa {item}": (item,) for item in _ITEMS},
    "is pretty": _FLOWERS,
    "is big": _TREES,
    "is living": _ITEMS,
    "is green": ("pine",),
    "is red": ("rose", "robin", "salmon"),
    "is yellow": ("daisy", "canary", "sunfish"),
    "can grow": _ITEMS,
    "can move": _ANIMALS,
    "can swim": _FISH,
    "can fly": _BIRDS,
    "can sing": ("canary",),
    "has skin": _ANIMALS,
    "has roots": _PLANTS,
    "has leaves": ("oak", *_FLOWERS),
    "has bark": _TREES,
    "has branches": _TREES,
    "has petals": _FLOWERS,
    "has wings": _BIRDS,
    "has feathers": _BIRDS,
    "has gills": _FISH,
    "has scales": _FISH,
}


@dataclass(frozen=True, eq=False)
class SemanticData:
    """Items and their features.

    Attributes
    ----------
    outputs : (n_features, n_items) array
        1 where the item has the feature, else 0.
    items : tuple of str
        Names of the columns.
    features : tuple of str
        Names of the rows, such as "has leaves": "pine" and "has leaves" make a sentence.
    """

    outputs: Array
    items: tuple[str, ...]
    features: tuple[str, ...]

    def item(self, name: str) -> int:
        """Return the column of an item."""
        return self.items.index(choice("name", name, self.items))

    def feature(self, name: str) -> int:
        """Return the row of a feature."""
        return self.features.index(choice("name", name, self.features))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the table, dark where the item has the feature."""
        ax = axes(ax)
        ax.imshow(self.outputs, cmap="Greys", aspect="auto", interpolation="none")
        ax.set_xticks(range(len(self.items)), self.items, rotation=90)
        ax.set_yticks(range(len(self.features)), self.features)
        ax.tick_params(labelsize=7)
        return ax


def eight_things() -> SemanticData:
    """Return the toy world of eight living things and 36 features.

    What a pine, an oak, a rose, a daisy, a robin, a canary, a sunfish and a salmon are (isa, is),
    can and have. The relations of the original task are collapsed, which changes nothing for a
    linear network without units for the relations.

    Returns
    -------
    SemanticData
        outputs (36, 8) of zeros and ones, 93 of them ones; features in the order isa (15), is (6),
        can (5), has (10).

    References
    ----------
    Rumelhart and Todd (1993), "Learning and connectionist representations"; Rogers and McClelland
    (2004), "Semantic Cognition".

    Examples
    --------
    >>> from meanfree.semantics import eight_things
    >>> data = eight_things()
    >>> [name for name, has in zip(data.features, data.outputs[:, data.item("pine")]) if has][-3:]
    ['has roots', 'has bark', 'has branches']
    """
    outputs = np.array([[float(item in having) for item in _ITEMS] for having in _FACTS.values()])
    return SemanticData(outputs=outputs, items=_ITEMS, features=tuple(_FACTS))
