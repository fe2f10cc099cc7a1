"""What others report of the same tasks, each figure once, with its source."""

from dataclasses import dataclass

from fracjax.evaluation import Estimate
from fracjax.evaluation.intervals import wilson


@dataclass(frozen=True)
class Published:
    """A row of somebody else's figures, on other studies than ours."""

    name: str
    source: str
    figures: dict[str, float]  # by the column of our tables
    n: int | None = None  # studies; None where they are not stated

    def cell(self, column: str) -> str | Estimate:
        """A figure as it is printed; of an accuracy of so many studies with Wilson's interval."""
        value = self.figures.get(column)
        if value is None:
            return "–"
        if column == "accuracy" and self.n:
            return Estimate(value, *wilson(value * self.n, self.n), self.n, "Wilson")
        return f"{value:g}"


_PAPER = "the paper"
_GIVEN = "given to this project, on studies that no run of it has seen"

PUBLISHED: dict[tuple[str, int], tuple[Published, ...]] = {
    ("fracatlas", 2): (
        Published(
            f"{_PAPER}, InceptionV3",
            "its section 8 and Table 5, at Youden's threshold; neither interval nor number of "
            "studies is given. Its accuracy is of the threshold 0.5, and left out",
            {"sensitivity": 0.678, "specificity": 0.884},
        ),
        Published(
            "logistic regression on frozen features",
            f"of InceptionV3's mixed8; {_GIVEN} (n=605)",
            {"AUC": 0.88, "average precision": 0.67},
            605,
        ),
        Published(
            "best published known to us",
            "ConvNeXt-T at 384 pixels, honest split",
            {
                "AUC": 0.937,
                "average precision": 0.853,
                "sensitivity": 0.922,
                "specificity": 0.708,
            },
        ),
    ),
    ("bone_break", 3): (
        Published(f"{_PAPER}, InceptionV3", "its Table 5", {"accuracy": 0.6739}, 46),
        Published(f"{_PAPER}, basic CNN", "its Table 5", {"accuracy": 0.5217}, 46),
        Published(f"{_PAPER}, EfficientNet-B0", "its Table 5", {"accuracy": 0.2609}, 46),
        Published(
            "logistic regression on frozen features",
            f"of MobileNetV2; {_GIVEN}",
            {"accuracy": 0.61},
            66,
        ),
    ),
    ("bone_break", 10): (
        Published(
            f"{_PAPER}, ViT",
            "its section 6; the peak on validation, of a number of studies that is not given",
            {"accuracy": 0.14},
        ),
        Published(
            "logistic regression on frozen features",
            f"of MobileNetV2; {_GIVEN}",
            {"accuracy": 0.37, "macro F1": 0.32},
            174,
        ),
        Published(
            "best published known to us",
            "ConvNeXt-T, views averaged at test time; near duplicates not removed, n about 113",
            {"accuracy": 0.513},
            113,
        ),
    ),
}
"""By dataset and number of classes."""
