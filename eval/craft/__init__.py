"""CRAFT: what a network sees in pictures of each class, as concepts (Fel et al., CVPR 2023).

explain       all of it                 crops, concepts   activations of crops, and NMF of them
sobol         total indices (Jansen)    importance        of concepts, through the head
nnls          amounts of concepts       implicit          their gradient, and where they are
recursion     parts of a concept        stability         is it there again
divergence    between classes, in bits  page              the section of a report
"""

from eval.craft.divergence import divergences, jensen_shannon
from eval.craft.explain import Found, explain
from eval.craft.shapes import Craft, Settings
from eval.craft.sobol import design, total_indices
from eval.craft.subjects import Subjects

__all__ = [
    "Craft",
    "Found",
    "Settings",
    "Subjects",
    "design",
    "divergences",
    "explain",
    "jensen_shannon",
    "total_indices",
]
