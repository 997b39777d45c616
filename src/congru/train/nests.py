"""Nested tuples, lists and dicts of tensors: what batches and carried states are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def tree_map(function: Any, tree: Any, kind: type = torch.Tensor) -> Any:
    """Apply ``function`` to every tensor (everything of ``kind``) in nested tuples, lists and dicts.

    >>> tree_map(lambda tensor: tensor + 1, {"h": (torch.zeros(2), None)})
    {'h': (tensor([1., 1.]), None)}
    """
    if isinstance(tree, kind):
        return function(tree)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(tree_map(function, item, kind) for item in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(tree_map(function, item, kind) for item in tree)
    if isinstance(tree, dict):
        return {key: tree_map(function, value, kind) for key, value in tree.items()}
    return tree


def to_tensors(tree: Any) -> Any:
    """Every NumPy array in nested tuples, lists and dicts as a tensor over the same memory."""
    return tree_map(torch.from_numpy, tree, np.ndarray)
