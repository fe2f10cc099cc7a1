import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from fracjax.evaluation import binary_report, choose_threshold, roc_curve
from fracjax.report.plots import confusion_png, curves_png, roc_png


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were written, still as matplotlib's objects."""
    figures = []
    save = Figure.savefig

    def record(self, *args, **kwargs):
        figures.append(self)
        return save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", record)
    return figures


def _texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def _roc(path, rule="fixed:0.15"):
    y = np.array([1, 0, 1, 0, 1])
    s = np.array([0.9, 0.5, 0.5, 0.2, 0.1])
    report = binary_report(y, s, choose_threshold(rule, y, s))
    roc_png(roc_curve(y, s), report, path, title="By hand")
    return report


def test_roc_draws_the_exact_curve_and_both_points(tmp_path, drawn):
    report = _roc(tmp_path / "roc.png")
    (axes,) = drawn[0].axes
    lines = {line.get_label().splitlines()[0]: line for line in axes.lines}
    curve = lines[f"AUC {report.auc.figure}"]
    assert curve.get_drawstyle() == "default"  # a tie is a diagonal, not a stair
    np.testing.assert_allclose(
        curve.get_xydata(), [[0, 0], [0, 1 / 3], [1 / 2, 2 / 3], [1, 2 / 3], [1, 1]], atol=1e-15
    )
    point, half = lines["at 0.15 (fixed:0.15)"], lines["at 0.5"]
    np.testing.assert_allclose(point.get_xydata(), [[1, 2 / 3]], atol=1e-15)
    np.testing.assert_allclose(half.get_xydata(), [[1 / 2, 2 / 3]], atol=1e-15)
    assert "n=5: 3 fractures, 2 normal" in curve.get_label()
    assert f"sensitivity {report.at_half.sensitivity.figure}" in half.get_label()
    np.testing.assert_array_equal(lines["chance"].get_xydata(), [[0, 0], [1, 1]])


def test_confusion_shows_counts_shares_and_sizes(tmp_path, drawn):
    confusion_png(((3, 1), (0, 0)), ("normal", "a$b$ fracture"), tmp_path / "c.png", title="Two")
    (axes,) = drawn[0].axes
    assert _texts(axes) == ["3\n75 %", "1\n25 %", "0\n–", "0\n–"]  # an empty class has no share
    assert [t.get_text() for t in axes.get_xticklabels()] == ["normal", "a$b$ fracture"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["normal\nn=4", "a$b$ fracture\nn=0"]
    assert axes.get_title("left").startswith("Two, n=4")
    assert axes.get_xlabel() == "called"
    assert axes.get_ylabel() == "true class"


@pytest.mark.parametrize("k", [2, 3, 10])
def test_no_two_texts_of_a_confusion_overlap(tmp_path, drawn, k):
    classes = tuple(f"Intra-articular fracture {i}" for i in range(k))
    confusion_png(np.full((k, k), 123), classes, tmp_path / "c.png")
    (axes,) = drawn[0].axes
    cells = [t.get_window_extent() for t in axes.texts]
    rows = [t.get_window_extent() for t in axes.get_yticklabels()]
    for boxes in (cells, rows):
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    inside = drawn[0].bbox
    labels = rows + [t.get_window_extent() for t in axes.get_xticklabels()]
    for box in labels:
        assert inside.x0 <= box.x0 < box.x1 <= inside.x1
        assert inside.y0 <= box.y0 < box.y1 <= inside.y1


def test_curves_draw_each_metric_and_the_best_epoch(tmp_path, drawn):
    history = [
        {"epoch": 1, "train_loss": 0.9, "train_accuracy": 0.6, "validation_loss": 0.8},
        {
            "epoch": 2,
            "train_loss": 0.5,
            "train_accuracy": 0.7,
            "validation_loss": 0.6,
            "validation_auc": 0.9,
            "images_per_second": 11.0,
        },
        {"epoch": 3, "train_loss": 0.3, "train_accuracy": None, "validation_loss": 0.7},
    ]
    curves_png(history, tmp_path / "curves.png")
    assert [axes.get_title("left") for axes in drawn[0].axes] == ["loss", "accuracy", "AUC"]
    train, validation, best = drawn[0].axes[0].lines
    np.testing.assert_array_equal(train.get_xydata(), [[1, 0.9], [2, 0.5], [3, 0.3]])
    np.testing.assert_array_equal(validation.get_ydata(), [0.8, 0.6, 0.7])
    np.testing.assert_array_equal(best.get_xdata(), [2, 2])
    np.testing.assert_array_equal(drawn[0].axes[1].lines[0].get_ydata(), [0.6, 0.7, np.nan])
    (legend,) = drawn[0].legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["training", "validation", "lowest validation loss (epoch 2)"]


def test_one_epoch_is_drawn(tmp_path, drawn):
    curves_png([{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.4}], tmp_path / "c.png")
    legend, inside = drawn[0].legends[0].get_window_extent(), drawn[0].bbox
    assert legend.x1 <= inside.x1
    ticks = drawn[0].axes[0].get_xticks()
    assert all(tick == int(tick) for tick in ticks)


def test_curves_refuse_a_history_without_figures(tmp_path):
    with pytest.raises(ValueError, match=r"history of 0 epochs .* found nothing"):
        curves_png([], tmp_path / "c.png")
    with pytest.raises(
        ValueError, match=r"named train_\.\.\. or validation_\.\.\.; found epoch, los"
    ):
        curves_png([{"epoch": 1, "los": 2.0}], tmp_path / "c.png")


def test_files_are_png_the_same_each_time_and_no_global_state_moves(tmp_path):
    before = dict(mpl.rcParams)
    _roc(tmp_path / "a.png", "youden")
    _roc(tmp_path / "b.png", "youden")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 800
    assert dict(mpl.rcParams) == before
