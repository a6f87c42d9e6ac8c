"""Numbering: from a library's nodes, leaves among them, to a bundle's, where each kind counts from 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class TreeNumbering:
    """One tree renumbered: children come after their parent, a leaf's number n stands as -1 - n.

    Attributes
    ----------
    nodes : ndarray of intp, shape (nodes,)
        The library's number of each inner node.
    leaves : ndarray of intp, shape (nodes + 1,)
        The library's number of each leaf.
    left, right : ndarray of int32, shape (nodes,)
    """

    nodes: npt.NDArray[np.intp]
    leaves: npt.NDArray[np.intp]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]


def number_tree(children_left: npt.ArrayLike, children_right: npt.ArrayLike) -> TreeNumbering:
    """Number what is reachable from the root, node 0, level by level; -1 marks that there is no child.

    Level by level, since a library may reuse the place of a node that it pruned for a later one.
    """
    left, right = np.asarray(children_left, np.intp), np.asarray(children_right, np.intp)
    level = np.zeros(1, np.intp)
    levels = []
    while level.size:
        levels.append(level)
        inner = level[left[level] >= 0]
        level = np.column_stack((left[inner], right[inner])).reshape(-1)
    reached = np.concatenate(levels)
    is_leaf = left[reached] < 0
    nodes, leaves = reached[~is_leaf], reached[is_leaf]
    number = np.zeros(left.size, np.int32)
    number[nodes] = np.arange(nodes.size)
    number[leaves] = -1 - np.arange(leaves.size)
    return TreeNumbering(nodes, leaves, number[left[nodes]], number[right[nodes]])
