"""The metrics themselves: JAX functions of arrays, for `jit` and `vmap`.

They take labels, scores and how often each study counts (ones, or the weights of a resample), have
shapes that do not depend on values, and give NaN where they are 0/0. They check nothing and compute
in the type that they are given; `fracjax.evaluation` checks, and computes in float64. Confusion
matrices, and what is read off them, take NumPy arrays too, and then give NumPy arrays.
"""

from fracjax.evaluation.metrics.confusion import accuracy as accuracy
from fracjax.evaluation.metrics.confusion import balanced_accuracy as balanced_accuracy
from fracjax.evaluation.metrics.confusion import confusion_matrix as confusion_matrix
from fracjax.evaluation.metrics.confusion import f1 as f1
from fracjax.evaluation.metrics.confusion import macro as macro
from fracjax.evaluation.metrics.confusion import mcc as mcc
from fracjax.evaluation.metrics.confusion import (
    negative_likelihood_ratio as negative_likelihood_ratio,
)
from fracjax.evaluation.metrics.confusion import one_hot_cells as one_hot_cells
from fracjax.evaluation.metrics.confusion import (
    positive_likelihood_ratio as positive_likelihood_ratio,
)
from fracjax.evaluation.metrics.confusion import precision as precision
from fracjax.evaluation.metrics.confusion import recall as recall
from fracjax.evaluation.metrics.confusion import sensitivity as sensitivity
from fracjax.evaluation.metrics.confusion import specificity as specificity
from fracjax.evaluation.metrics.confusion import youden_j as youden_j
from fracjax.evaluation.metrics.probabilities import brier as brier
from fracjax.evaluation.metrics.probabilities import net_benefit as net_benefit
from fracjax.evaluation.metrics.probabilities import net_benefit_of_all as net_benefit_of_all
from fracjax.evaluation.metrics.roc_pr import auc as auc
from fracjax.evaluation.metrics.roc_pr import average_precision as average_precision
from fracjax.evaluation.metrics.roc_pr import counts_at_recall as counts_at_recall
from fracjax.evaluation.metrics.roc_pr import partial_auc as partial_auc
from fracjax.evaluation.metrics.roc_pr import precision_at as precision_at
from fracjax.evaluation.metrics.roc_pr import roc_points as roc_points
from fracjax.evaluation.metrics.roc_pr import sensitivity_at as sensitivity_at
from fracjax.evaluation.metrics.roc_pr import standardised_partial_auc as standardised_partial_auc
from fracjax.evaluation.metrics.thresholds import calls as calls
from fracjax.evaluation.metrics.thresholds import sensitivity_threshold as sensitivity_threshold
from fracjax.evaluation.metrics.thresholds import youden_threshold as youden_threshold
