"""The report's figures as inline SVG. They compute nothing: numbers come in, ink goes out."""

from eval.plots.calibration import reliability
from eval.plots.contributions import Push, contributions
from eval.plots.decision import decision_curves
from eval.plots.fractures import fracture_free
from eval.plots.ranking import precision_recall, roc
from eval.plots.severity import severity
from eval.plots.strip import Scale, axis, key, scale_of, strip
from eval.plots.style import Pen, pen
from eval.plots.tenths import tenths
from eval.plots.training import training_curves

__all__ = [
    "Pen",
    "Push",
    "Scale",
    "axis",
    "contributions",
    "decision_curves",
    "fracture_free",
    "key",
    "pen",
    "precision_recall",
    "reliability",
    "roc",
    "scale_of",
    "severity",
    "strip",
    "tenths",
    "training_curves",
]
