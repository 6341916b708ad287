"""Semantic development: how deep linear networks learn hierarchies, categories and properties.

Each part stands in a module of its own and is exported here.
"""

from __future__ import annotations

from meanfree._semantics_category import Category, category, category_coherence
from meanfree._semantics_data import SemanticData, eight_things
from meanfree._semantics_model import Illusion, Peak, SemanticModel
from meanfree._semantics_similarity import representation_similarity
from meanfree._semantics_tree import Tree

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
