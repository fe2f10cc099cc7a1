"""The figures themselves: JAX functions of arrays, for `jit` and `vmap`.

All take labels, scores and how often each study counts (ones, or the weights of a resample), have
shapes that do not hang on values, and give NaN where they are 0/0. They check nothing and compute
in the type that they are given; `fracjax.evaluation` checks, and gives float64.
"""

from fracjax.evaluation.metrics.calibration import (
    Bins,
    brier,
    brier_of_classes,
    calibration_error,
    equal_mass_bins,
    equal_width_bins,
    log_loss,
)
from fracjax.evaluation.metrics.confusion import (
    accuracy,
    balanced_accuracy,
    confusion_at,
    confusion_matrix,
    f1,
    macro,
    mcc,
    negative_likelihood_ratio,
    npv,
    npv_at,
    positive_likelihood_ratio,
    ppv,
    ppv_at,
    precision,
    recall,
    sensitivity,
    specificity,
    specificity_per_class,
    youden_j,
)
from fracjax.evaluation.metrics.decision import net_benefit, net_benefit_of_all
from fracjax.evaluation.metrics.roc_pr import (
    PrPoints,
    RocPoints,
    auc,
    average_precision,
    partial_auc,
    pr_points,
    precision_at,
    roc_points,
    sensitivity_at,
    standardised_partial_auc,
)
from fracjax.evaluation.metrics.thresholds import sensitivity_threshold, youden_threshold

__all__ = [
    "Bins",
    "PrPoints",
    "RocPoints",
    "accuracy",
    "auc",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "brier_of_classes",
    "calibration_error",
    "confusion_at",
    "confusion_matrix",
    "equal_mass_bins",
    "equal_width_bins",
    "f1",
    "log_loss",
    "macro",
    "mcc",
    "negative_likelihood_ratio",
    "net_benefit",
    "net_benefit_of_all",
    "npv",
    "npv_at",
    "partial_auc",
    "positive_likelihood_ratio",
    "ppv",
    "ppv_at",
    "pr_points",
    "precision",
    "precision_at",
    "recall",
    "roc_points",
    "sensitivity",
    "sensitivity_at",
    "sensitivity_threshold",
    "specificity",
    "specificity_per_class",
    "standardised_partial_auc",
    "youden_j",
    "youden_threshold",
]
