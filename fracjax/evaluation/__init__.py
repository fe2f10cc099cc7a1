"""How good is it? Pure functions of arrays, exact in float64; they know no model.

The same arguments mean the same everywhere: `labels` int[n], 0 (normal) or 1 (fracture); `scores`
float[n], finite, or `probabilities`, 0 .. 1; `groups` [n], of any type, the near-duplicate group of
each study, or None if every study stands alone; `seed` and `resamples` of the bootstrap over
groups. A study is positive when score >= threshold. A metric that is 0/0 is an error or undefined,
never 0, and none goes without its n and its 95 % interval. What cannot be used is refused with an
`InputError` that names every problem. `metrics` and `confusion` have the metrics themselves.
"""

from fracjax.evaluation.binary import AtThreshold as AtThreshold
from fracjax.evaluation.binary import BinaryReport as BinaryReport
from fracjax.evaluation.binary import binary_report as binary_report
from fracjax.evaluation.cascade import CascadeOutcome as CascadeOutcome
from fracjax.evaluation.cascade import CascadeReport as CascadeReport
from fracjax.evaluation.cascade import cascade_report as cascade_report
from fracjax.evaluation.compare import Comparison as Comparison
from fracjax.evaluation.compare import compare_classifiers as compare_classifiers
from fracjax.evaluation.compare import compare_detectors as compare_detectors
from fracjax.evaluation.delong import auc as auc
from fracjax.evaluation.intervals import Estimate as Estimate
from fracjax.evaluation.marks import Findings as Findings
from fracjax.evaluation.marks import Marks as Marks
from fracjax.evaluation.marks_report import MarksReport as MarksReport
from fracjax.evaluation.marks_report import marks_report as marks_report
from fracjax.evaluation.marks_threshold import MarksPoint as MarksPoint
from fracjax.evaluation.marks_threshold import choose_marks_threshold as choose_marks_threshold
from fracjax.evaluation.metrics import calls as calls
from fracjax.evaluation.per_class import PerClassReport as PerClassReport
from fracjax.evaluation.per_class import per_class_report as per_class_report
from fracjax.evaluation.predictions import Predictions as Predictions
from fracjax.evaluation.threshold import OperatingPoint as OperatingPoint
from fracjax.evaluation.threshold import choose_threshold as choose_threshold
from fracjax.evaluation.threshold import parse_rule as parse_rule
