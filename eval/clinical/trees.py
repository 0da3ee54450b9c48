"""Trees in XGBoost's JSON, read with care before XGBoost follows them.

XGBoost trusts its own files: a child or a feature number out of range is a segmentation fault, and
a node that is its own child never ends. Here every number that is followed is looked at first.
"""

from __future__ import annotations

import json
from typing import Any

#: Arrays of a tree with one entry a node.
ARRAYS = (
    *("left_children", "right_children", "parents", "split_indices", "split_conditions"),
    *("split_type", "default_left", "base_weights", "loss_changes", "sum_hessian"),
)


def check_trees(text: bytes, features: int) -> None:
    """Stop unless these are whole trees of binary:logistic over so many numeric features.

    Raises:
        ValueError: what is wrong, in one line.
    """
    try:
        learner = json.loads(text)["learner"]
        parameters = {k: str(v) for k, v in learner["learner_model_param"].items()}
        objective, booster = learner["objective"]["name"], learner["gradient_booster"]
        if objective != "binary:logistic" or booster["name"] != "gbtree":
            raise ValueError(f"{objective} by {booster['name']}, where binary:logistic is read")
        width = parameters["num_feature"], parameters["num_class"], parameters["num_target"]
        if width != (str(features), "0", "1"):
            raise ValueError(f"trees over {width[0]} features, where facts.json names {features}")
        model = booster["model"]
        trees = model["trees"]
        if model["tree_info"] != [0] * len(trees):
            raise ValueError("trees of several classes")
        if model["iteration_indptr"] != list(range(len(trees) + 1)):
            raise ValueError("several trees a round")
        for i, tree in enumerate(trees):
            _check(tree, i, features)
    except (KeyError, TypeError, AttributeError, RecursionError) as e:
        raise ValueError(f"not XGBoost's trees in JSON: {type(e).__name__} {e}") from e


def _check(tree: dict[str, Any], number: int, features: int) -> None:
    left, right = tree["left_children"], tree["right_children"]
    n = len(left)
    if n == 0 or any(len(tree[a]) != n for a in ARRAYS):
        raise ValueError(f"tree {number}: its arrays differ in length")
    param = {k: str(v) for k, v in tree["tree_param"].items()}
    if (param["num_nodes"], param["num_feature"], param["size_leaf_vector"]) != (
        str(n),
        str(features),
        "1",
    ):
        raise ValueError(f"tree {number}: its parameters are not those of its arrays")
    whole = [left, right, tree["parents"], tree["split_indices"], tree["split_type"]]
    if not all(type(v) is int for values in whole for v in values):
        raise ValueError(f"tree {number}: a node that is not a whole number")
    if any(tree["split_type"]) or tree["categories"]:
        raise ValueError(f"tree {number}: a split by category")
    reached = {0}
    for node in range(n):
        children = left[node], right[node]
        if children == (-1, -1):
            continue
        # a child comes after its parent and has one: no loops
        if not all(node < c < n and c not in reached for c in children) or len({*children}) < 2:
            raise ValueError(f"tree {number}: node {node} has impossible children {children}")
        if any(tree["parents"][c] != node for c in children):
            raise ValueError(f"tree {number}: node {node} is not the parent of its children")
        if not 0 <= tree["split_indices"][node] < features:
            raise ValueError(f"tree {number}: node {node} splits a feature that is not there")
        reached |= {*children}
    if len(reached) != n:
        raise ValueError(f"tree {number}: nodes that nothing leads to")
