"""Semantic development: how deep linear networks learn hierarchies, categories and properties."""

from __future__ import annotations

from meanfree.semantics._category import Category, category, category_coherence
from meanfree.semantics._data import SemanticData, eight_things
from meanfree.semantics._model import Illusion, Peak, SemanticModel
from meanfree.semantics._similarity import representation_similarity
from meanfree.semantics._tree import Tree

__all__ = [
    "Category",
    "Illusion",
    "Peak",
    "SemanticData",
    "SemanticModel",
    "Tree",
    "category",
    "category_coherence",
    "eight_things",
    "representation_similarity",
]
