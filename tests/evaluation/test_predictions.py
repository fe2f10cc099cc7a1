import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.evaluation import Predictions


def _predictions(n=5, k=3, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.random((n, k)) ** 4
    return Predictions(
        study=np.array([f"IMG{i:04d}" for i in range(n)]),
        label=rng.integers(0, k, n),
        probabilities=scores / scores.sum(1, keepdims=True),
        classes=tuple(f"class {i}" for i in range(k)),
        attributes={
            "group": np.array([f"g{i // 2}" for i in range(n)]),
            "hardware": rng.integers(0, 2, n),
            "age": np.where(np.arange(n) == 1, np.nan, rng.random(n) / 3),
            "frontal": np.arange(n) % 2 == 0,
        },
    )


def _assert_same(a, b):
    assert a.classes == b.classes
    assert a.attributes.keys() == b.attributes.keys()
    for x, y in (
        (a.study, b.study),
        (a.label, b.label),
        (a.probabilities, b.probabilities),
        *((a.attributes[name], b.attributes[name]) for name in a.attributes),
    ):
        assert x.dtype == y.dtype
        assert_array_equal(x, y, strict=True)  # to the last bit


@pytest.mark.parametrize("n, k", [(1, 2), (5, 3), (300, 10)])
def test_csv_round_trip_is_exact(tmp_path, n, k):
    predictions = _predictions(n, k)
    predictions.to_csv(tmp_path / "p.csv")
    _assert_same(Predictions.from_csv(tmp_path / "p.csv"), predictions)


def test_csv_round_trip_of_awkward_names(tmp_path):
    predictions = Predictions(
        study=np.array(["a,b", 'say "x"', "two\nlines", "Röntgen"]),
        label=np.array([0, 1, 1, 0], np.int32),
        probabilities=np.array([[1, 0], [1e-30, 1], [0.1, 0.9], [0.25, 0.75]], np.float32),
        classes=("no: break", "str:fracture"),
        attributes={
            "": np.array(["", " ", "1", "nan"]),
            "p:x": np.array([True, False, True, True]),
        },
    )
    predictions.to_csv(tmp_path / "p.csv")
    _assert_same(Predictions.from_csv(tmp_path / "p.csv"), predictions)
    assert predictions.probabilities.dtype == np.float64


def test_csv_is_readable(tmp_path):
    p = Predictions(np.array(["s1"]), np.array([1]), np.array([[0.25, 0.75]]), ("healthy", "break"))
    p.to_csv(tmp_path / "p.csv")
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines == ["study,label,p:healthy,p:break", "s1,break,0.25,0.75"]


def test_fracture_score_is_of_two_classes():
    two = _predictions(k=2)
    assert_array_equal(two.fracture_score, two.probabilities[:, 1])
    with pytest.raises(ValueError, match="these are class 0, class 1, class 2"):
        _ = _predictions(k=3).fracture_score


def test_called_is_the_first_of_the_most_probable():
    p = Predictions(
        np.array(["a", "b"]), np.array([0, 0]), np.array([[0.5, 0.5], [0.2, 0.8]]), ("x", "y")
    )
    assert_array_equal(p.called, [0, 1])
    assert_array_equal(p.groups, ["a", "b"])  # no attribute "group": each study stands alone
    assert_array_equal(_predictions().groups, ["g0", "g0", "g1", "g1", "g2"])


def test_alignment_is_by_study_whatever_the_order():
    first = _predictions(20)
    shuffled = first.take(np.random.default_rng(1).permutation(20))
    _assert_same(shuffled.aligned_to(first), first)
    _assert_same(first.aligned_to(shuffled), shuffled)


def test_alignment_of_other_studies_is_refused():
    first = _predictions(5)
    with pytest.raises(ValueError) as error:
        first.take([0, 1, 2]).aligned_to(first.take([1, 2, 3, 4]))
    assert "must be of the same studies" in str(error.value)
    assert "1 studies only in the first: 'IMG0000'" in str(error.value)
    assert "2 studies only in the second: 'IMG0003', 'IMG0004'" in str(error.value)


def test_alignment_refuses_another_truth_for_the_same_classes():
    first = _predictions(5, k=2)
    label = 1 - first.label
    other = Predictions(first.study, label, first.probabilities, first.classes)
    with pytest.raises(ValueError, match="5 studies have another true class: 'IMG0000'"):
        other.aligned_to(first)
    # Of other classes the labels mean something else: a detector beside a classifier.
    renamed = Predictions(first.study, label, first.probabilities, ("healthy", "fracture"))
    assert renamed.aligned_to(first).n == 5


def test_construction_names_every_problem_at_once():
    with pytest.raises(ValueError) as error:
        Predictions(
            study=np.array(["a", "b", "b", ""]),
            label=np.array([0, 1, 2, -1]),
            probabilities=np.array([[0.5, 0.6], [np.nan, 1], [1.5, -0.5], [0.5, 0.5]]),
            classes=("x", "x"),
            attributes={"group": np.array(["g"])},
        )
    message = str(error.value)
    for problem in (
        "8 problems with predictions",
        "classes are ('x', 'x'); expected two or more different names",
        "1 studies occur more than once: 'b'",
        "a study has an empty id",
        "2 labels are not class indices 0 .. 1: -1, 2",
        "1 studies with probabilities not finite: 'b'",
        "1 studies with probabilities below 0 or above 1: 'b'",
        "1 studies with probabilities not summing to 1: 'a'",
        "attribute 'group' is <U1(1,); expected str, int, float or bool, (4,)",
    ):
        assert problem in message


@pytest.mark.parametrize(
    "change, message",
    [
        ({"study": np.array([1, 2])}, "study is int64(2,); expected strings"),
        ({"study": np.array([], "U1")}, "study is <U1(0,)"),
        ({"label": np.array([0.0, 1.0])}, "label is float64(2,); expected integers, (2,)"),
        ({"label": np.array([0])}, "label is int64(1,)"),
        ({"probabilities": np.ones((2, 3)) / 3}, "float64(2, 3); expected floats, (2, 2)"),
        ({"probabilities": np.array([1, 1])}, "int64(2,); expected floats, (2, 2)"),
        ({"classes": ("only",)}, "expected two or more"),
    ],
)
def test_construction_refuses(change, message):
    good = {
        "study": np.array(["a", "b"]),
        "label": np.array([0, 1]),
        "probabilities": np.array([[0.5, 0.5], [0.1, 0.9]]),
        "classes": ("x", "y"),
    }
    assert Predictions(**good).n == 2
    with pytest.raises(ValueError) as error:
        Predictions(**good | change)
    assert message in str(error.value)


def test_rounding_of_float32_passes_and_of_a_forgotten_softmax_does_not():
    study, label = np.array(["a"]), np.array([0])
    row = np.full((1, 10), 0.1, np.float32)
    assert Predictions(study, label, row, tuple("abcdefghij")).n == 1
    with pytest.raises(ValueError, match="not summing to 1"):
        Predictions(study, label, row * np.float32(1.01), tuple("abcdefghij"))


@pytest.mark.parametrize(
    "text, messages",
    [
        ("", ["columns start with []", "fewer than two columns p:CLASS"]),
        ("study,label,p:x,p:y\n", ["no line of a study below the header"]),
        ("id,label,p:x,p:y\na,x,1,0\n", ["columns start with ['id', 'label']"]),
        ("study,label,p:x,p:y,q:z\na,x,1,0,1\n", ["unknown columns 'q:z'"]),
        ("study,label,p:x,p:x\na,x,1,0\n", ["a column name occurs twice"]),
        (
            "study,label,p:x,p:y\na,x,1\nb,z,0,1\nc,x,one,0\n",
            [
                "3 problems",
                "line 2 has 3 fields; expected 4",
                "line 3: label is 'z'",
                "line 4: p:x is 'one'",
            ],
        ),
        ("study,label,p:x,p:y\na,x,1,1\n", ["not summing to 1: 'a'"]),
        ("study,label,p:x,p:y,bool:b\na,x,1,0,yes\n", ["line 2: bool:b is 'yes'"]),
    ],
)
def test_a_damaged_csv_is_refused(tmp_path, text, messages):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ValueError) as error:
        Predictions.from_csv(tmp_path / "p.csv")
    for message in messages:
        assert message in str(error.value)
