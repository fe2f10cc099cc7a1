"""The same detector on parts of its studies: does it fail on hips, or where there is hardware?"""

from dataclasses import dataclass

from fracjax.evaluation.estimate import Estimate


@dataclass(frozen=True)
class Subgroup:
    """A detector's figures on the studies that share one attribute.

    Attributes:
      attribute: what they share, such as `region`.
      value: which value of it, such as `hip`.
      n: studies.
      n_positive: fractures among them.
      prevalence: share of fractures.
      auc, sensitivity, specificity: undefined, and the note says why, where there are too few
        fractures or too few normal studies for a figure that means something.
    """

    attribute: str
    value: str
    n: int
    n_positive: int
    prevalence: Estimate
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
