"""Fractures in metrics.json: one model's score against what happened to a cohort's patients."""

from __future__ import annotations

from eval.survival.shapes import Curve, FractureMetrics, Horizon, RiskGroup

__all__ = ["Curve", "FractureMetrics", "Horizon", "RiskGroup"]
