"""How good is it? Pure functions of arrays, exact in float64; they know no model.

Labels come first, scores second; a study is positive when score >= threshold. A metric that is 0/0
is an error or undefined, never 0, and none goes without its n and its 95 % interval. `metrics` has
the metrics themselves, as JAX functions.
"""

from fracjax.evaluation import metrics as metrics
from fracjax.evaluation.binary import AtThreshold as AtThreshold
from fracjax.evaluation.binary import BinaryReport as BinaryReport
from fracjax.evaluation.binary import binary_report as binary_report
from fracjax.evaluation.calibration import Reliability as Reliability
from fracjax.evaluation.calibration import ReliabilityBin as ReliabilityBin
from fracjax.evaluation.calibration import reliability as reliability
from fracjax.evaluation.cascade_outcomes import CascadeOutcome as CascadeOutcome
from fracjax.evaluation.cascade_outcomes import CascadeReport as CascadeReport
from fracjax.evaluation.cascade_outcomes import cascade_report as cascade_report
from fracjax.evaluation.compare import Comparison as Comparison
from fracjax.evaluation.compare import Difference as Difference
from fracjax.evaluation.compare import compare_classifiers as compare_classifiers
from fracjax.evaluation.compare import compare_detectors as compare_detectors
from fracjax.evaluation.confusion import confusion_at as confusion_at
from fracjax.evaluation.confusion import confusion_matrix as confusion_matrix
from fracjax.evaluation.curves import Band as Band
from fracjax.evaluation.curves import DecisionCurve as DecisionCurve
from fracjax.evaluation.curves import decision_curve as decision_curve
from fracjax.evaluation.curves import pr_band as pr_band
from fracjax.evaluation.curves import roc_band as roc_band
from fracjax.evaluation.delong import auc as auc
from fracjax.evaluation.delong import auc_difference as auc_difference
from fracjax.evaluation.delong import auc_estimate as auc_estimate
from fracjax.evaluation.delong import delong_variance as delong_variance
from fracjax.evaluation.delong import newcombe_auc as newcombe_auc
from fracjax.evaluation.estimate import Estimate as Estimate
from fracjax.evaluation.intervals import proportion as proportion
from fracjax.evaluation.intervals import wilson as wilson
from fracjax.evaluation.metrics import calls as calls
from fracjax.evaluation.per_class import ClassFigures as ClassFigures
from fracjax.evaluation.per_class import PerClassReport as PerClassReport
from fracjax.evaluation.per_class import per_class_report as per_class_report
from fracjax.evaluation.predictions import Predictions as Predictions
from fracjax.evaluation.predictive_values import at_prevalence as at_prevalence
from fracjax.evaluation.predictive_values import likelihood_ratios as likelihood_ratios
from fracjax.evaluation.recalibration import Recalibration as Recalibration
from fracjax.evaluation.recalibration import recalibration as recalibration
from fracjax.evaluation.sample import Sample as Sample
from fracjax.evaluation.subgroups import Masks as Masks
from fracjax.evaluation.subgroups import Subgroup as Subgroup
from fracjax.evaluation.subgroups import masks_of as masks_of
from fracjax.evaluation.subgroups import subgroup_report as subgroup_report
from fracjax.evaluation.temperature import Temperature as Temperature
from fracjax.evaluation.temperature import fit_temperature as fit_temperature
from fracjax.evaluation.temperature import scaled as scaled
from fracjax.evaluation.threshold import OperatingPoint as OperatingPoint
from fracjax.evaluation.threshold import choose_threshold as choose_threshold
from fracjax.evaluation.threshold import parse_rule as parse_rule
