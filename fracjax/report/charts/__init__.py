"""One figure a file: numbers in, a `Chart` out, with its words and its table."""

from fracjax.report.charts.cascade_flow import cascade_flow_chart
from fracjax.report.charts.confusion import confusion_chart
from fracjax.report.charts.data_flow import data_flow_chart
from fracjax.report.charts.decision import decision_chart
from fracjax.report.charts.forest import forest_chart
from fracjax.report.charts.pr import pr_chart
from fracjax.report.charts.reliability import reliability_chart
from fracjax.report.charts.roc import roc_chart
from fracjax.report.charts.sweep import sweep_chart
from fracjax.report.charts.training import training_chart

__all__ = [
    "cascade_flow_chart",
    "confusion_chart",
    "data_flow_chart",
    "decision_chart",
    "forest_chart",
    "pr_chart",
    "reliability_chart",
    "roc_chart",
    "sweep_chart",
    "training_chart",
]
