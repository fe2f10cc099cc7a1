"""How good is it? Pure functions of arrays, exact in float64; they know no model and no device.

Labels come first, scores second; a study is positive when score >= threshold. A figure that is 0/0
is an error or undefined, never 0, and none goes without its n and its 95 % interval.
"""

from fracjax.evaluation.binary import AtThreshold, BinaryReport, binary_report
from fracjax.evaluation.calibration import Reliability, ReliabilityBin, reliability
from fracjax.evaluation.cascade_outcomes import CascadeOutcome, CascadeReport, cascade_report
from fracjax.evaluation.compare import (
    Comparison,
    Difference,
    compare_classifiers,
    compare_detectors,
)
from fracjax.evaluation.confusion import (
    accuracy,
    balanced_accuracy,
    confusion_at,
    confusion_matrix,
    f1,
    macro,
    mcc,
    negative_likelihood_ratio,
    positive_likelihood_ratio,
    precision,
    recall,
    sensitivity,
    specificity,
    specificity_per_class,
    youden_j,
)
from fracjax.evaluation.curves import Band, DecisionCurve, decision_curve, pr_band, roc_band
from fracjax.evaluation.estimate import Estimate
from fracjax.evaluation.intervals import (
    auc_estimate,
    delong_variance,
    newcombe_auc,
    proportion,
    wilson,
)
from fracjax.evaluation.likelihood_ratios import likelihood_ratios
from fracjax.evaluation.metrics.thresholds import calls
from fracjax.evaluation.per_class import ClassFigures, PerClassReport, per_class_report
from fracjax.evaluation.predictions import Predictions
from fracjax.evaluation.predictive_values import at_prevalence
from fracjax.evaluation.recalibration import Recalibration, recalibration
from fracjax.evaluation.roc import RocCurve, auc, average_precision, partial_auc, roc_curve
from fracjax.evaluation.subgroups import Masks, Subgroup, masks_of, subgroup_report
from fracjax.evaluation.temperature import Temperature, fit_temperature, scaled
from fracjax.evaluation.threshold import (
    OperatingPoint,
    choose_threshold,
    parse_rule,
    sensitivity_threshold,
    youden_threshold,
)

__all__ = [
    "AtThreshold",
    "Band",
    "BinaryReport",
    "CascadeOutcome",
    "CascadeReport",
    "ClassFigures",
    "Comparison",
    "DecisionCurve",
    "Difference",
    "Estimate",
    "Masks",
    "OperatingPoint",
    "PerClassReport",
    "Predictions",
    "Recalibration",
    "Reliability",
    "ReliabilityBin",
    "RocCurve",
    "Subgroup",
    "Temperature",
    "accuracy",
    "at_prevalence",
    "auc",
    "auc_estimate",
    "average_precision",
    "balanced_accuracy",
    "binary_report",
    "calls",
    "cascade_report",
    "choose_threshold",
    "compare_classifiers",
    "compare_detectors",
    "confusion_at",
    "confusion_matrix",
    "decision_curve",
    "delong_variance",
    "f1",
    "fit_temperature",
    "likelihood_ratios",
    "macro",
    "masks_of",
    "mcc",
    "negative_likelihood_ratio",
    "newcombe_auc",
    "parse_rule",
    "partial_auc",
    "per_class_report",
    "positive_likelihood_ratio",
    "pr_band",
    "precision",
    "proportion",
    "recalibration",
    "recall",
    "reliability",
    "roc_band",
    "roc_curve",
    "scaled",
    "sensitivity",
    "sensitivity_threshold",
    "specificity",
    "specificity_per_class",
    "subgroup_report",
    "wilson",
    "youden_j",
    "youden_threshold",
]
