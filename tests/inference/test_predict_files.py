"""Files to results: what is said, in which order, in how many programs and batches."""

import dataclasses
import threading
from collections.abc import Iterable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.datasets.prepared import open_prepared
from fracjax.errors import InputError
from fracjax.export.program import inputs_of
from fracjax.imaging.resize import ImageFormat, decode
from fracjax.inference import calibration
from fracjax.inference import predict_files as predict_run
from fracjax.inference.predict_files import ThroughputMeter, predict_files
from fracjax.inference.prediction_files import Result
from fracjax.inference.stages import Stages, open_stages
from fracjax.loading.batch import Examples
from fracjax.loading.decoded_cache import open_decoded
from fracjax.runtime.sharding import data_mesh
from tests.datasets.trees import encode, picture, write
from tests.inference.conftest import TYPES, examples_of


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """Twenty-one pictures, coloured and grey, of which half are called fractured."""
    root = tmp_path_factory.mktemp("files")
    made = []
    for seed in range(21):
        grey = picture(seed)
        colour = seed % 3 == 0
        pixels = np.stack([grey, grey, 255 - grey], axis=-1) if colour else grey
        kind = ("PNG", "JPEG")[seed % 2]
        made.append(write(root / f"{seed:02d}.{kind.lower()}", encode(pixels, kind)))
    return made


def _scores(results: Iterable[Result]) -> np.ndarray:
    return np.array([result.probability for result in results], np.float64)


def test_each_file_gets_what_both_stages_predict_for_it(stages, files):
    """Grey of a coloured file for the one, three equal channels of a grey one for the other."""
    results = list(predict_files(stages, files))
    assert [result.path for result in results] == files
    detector, classifier = stages.bundles
    data = [path.read_bytes() for path in files]
    scores = detector.predict(examples_of(data, detector)).fracture_score
    assert_allclose(_scores(results), scores, atol=1e-6, rtol=0)
    called = scores >= stages.detector.point.threshold
    assert 5 < called.sum() < 16
    names = np.where(called, "fracture", "healthy").tolist()
    assert [result.decision for result in results] == names
    typed = classifier.predict(examples_of(data, classifier))
    for result, probabilities, which, fracture in zip(
        results, typed.probabilities, typed.called, called, strict=True
    ):
        assert not result.reason
        if fracture:
            assert result.type == TYPES[which]
            assert_allclose([result.types[name] for name in TYPES], probabilities, atol=1e-6)
        else:
            assert result.type is None
            assert result.types == {}


def test_a_phantom_as_a_file_is_predicted_as_the_study_of_its_dataset(stages, world, tmp_path):
    """What `evaluate` writes into predictions.csv is `ModelBundle.predict` of these examples."""
    prepared = open_prepared("phantom", world.stage1.data.dir)
    detector = stages.detector.bundle
    examples = Examples(
        prepared.study, open_decoded(prepared, ImageFormat(16)), prepared.label, prepared.group
    )
    rows = detector.predict(examples).fracture_score
    files = [
        write(tmp_path / f"{i}.png", prepared.image_bytes(i)) for i in range(len(prepared.study))
    ]
    results = list(predict_files(Stages(stages.detector), files))
    assert_allclose(_scores(results), rows, atol=1e-6, rtol=0)
    assert np.ptp(rows) > 1e-3


def test_each_stage_reads_a_file_that_declares_no_depth_by_the_depth_of_its_run(stages, tmp_path):
    """By its own values, where training had none. What the depth does not hold is noted."""
    deep = {
        "fits": picture(1).astype(np.uint16) * 12,
        "exceeds": picture(2).astype(np.uint16) * 200,
    }
    files = [write(tmp_path / f"{n}.png", encode(values, "PNG")) for n, values in deep.items()]
    detector, classifier = stages.bundles
    metas = tuple(dataclasses.replace(meta, depth=12) for meta in detector.metas)
    gate = dataclasses.replace(stages.detector, bundle=dataclasses.replace(detector, metas=metas))
    both = Stages(gate, classifier)
    results = list(predict_files(both, files, keep_images=True))
    for path, result in zip(files, results, strict=True):
        seen = decode(path.read_bytes(), ImageFormat(16, depth=12))
        assert_array_equal(result.images[0], seen)
    note = "read as 12 bits, as all such files of the dataset, but 99 % of the values need 16"
    assert [note in result.note for result in results] == [False, True]
    assert [result.note for result in predict_files(stages, files)] == ["", ""]
    assert list(inputs_of(both)) == ["detector_pictures", "classifier_pictures"]
    assert calibration.about(gate.bundle)["depth"] == 12


def _counted(stages: Stages) -> tuple[Stages, list[list[int]]]:
    """The stages, and the number of pictures in each batch that each of them was given."""
    seen = [[], []]

    def counting(which, trained):
        def forward(variables, images, drawn_by):
            seen[which].append(len(images))
            return trained.forward(variables, images, drawn_by)

        return dataclasses.replace(trained, forward=forward)

    detector, classifier = (counting(i, t) for i, t in enumerate(stages.bundles))
    return Stages(dataclasses.replace(stages.detector, bundle=detector), classifier), seen


def test_every_batch_has_one_shape_however_many_files_there_are(stages, files):
    """So there is one program, and nothing is compiled anew."""
    stages, seen = _counted(stages)
    for count in (len(files), 1, 7, 8, 9):
        assert len(list(predict_files(stages, files[:count]))) == count
    assert [len(set(sizes)) for sizes in seen] == [1, 1]


def test_the_classifier_runs_only_on_what_passes_in_full_batches(stages, files):
    counted, seen = _counted(stages)
    results = list(predict_files(counted, 3 * files))
    called = sum(result.decision == "fracture" for result in results)
    # Each begins with its warm-up; the detector has two networks.
    assert seen == [[8] * 2 * (1 + 8), [4] * (1 + -(-called // 4))]


def test_a_rare_fracture_waits_for_others_no_longer_than_patience(stages, files, monkeypatch):
    """Of each twenty-one files one passes, and the classifier takes four at a time."""
    most = max(result.probability or 0.0 for result in predict_files(stages, files))
    point = dataclasses.replace(stages.detector.point, threshold=most)
    rare = Stages(dataclasses.replace(stages.detector, point=point), stages.classifier)
    answers = {}
    for patience, batches in ((8, 1), (2, 3)):  # in batches of the detector, of eight files
        monkeypatch.setattr(predict_run, "_PATIENCE", patience)
        counted, seen = _counted(rare)
        results = list(predict_files(counted, 3 * files))
        answers[patience] = [(result.path, result.type) for result in results]
        assert sum(result.type is not None for result in results) == 3
        assert seen[1] == [4] * (1 + batches)
    assert answers[8] == answers[2]


def test_nothing_passes_and_nothing_is_read(stages, files, tmp_path):
    none = dataclasses.replace(stages.detector.point, threshold=np.inf)
    closed = Stages(dataclasses.replace(stages.detector, point=none), stages.classifier)
    assert {result.decision for result in predict_files(closed, files)} == {"healthy"}
    broken = [write(tmp_path / f"{i}.png", b"\x89PNG") for i in range(3)]
    results = list(predict_files(stages, broken))
    assert [result.probability for result in results] == [None] * 3
    assert list(predict_files(stages, [])) == []


def test_unreadable_files_keep_their_place(stages, files, tmp_path):
    mixed = list(files[:12])
    for place in (0, 5, 13):
        mixed.insert(place, write(tmp_path / f"{place}.jpg", b"not a picture"))
    results = list(predict_files(stages, mixed))
    assert [result.path for result in results] == mixed
    assert [i for i, result in enumerate(results) if result.reason] == [0, 5, 13]


def test_results_come_while_files_are_read_and_few_are_read_ahead(stages, files, monkeypatch):
    asked = []
    original = predict_run.read_ahead

    def watched(paths, *args, **named):
        return original((asked.append(path) or path for path in paths), *args, **named)

    monkeypatch.setattr(predict_run, "read_ahead", watched)
    many = files * 20
    results = predict_files(Stages(stages.detector), many)
    next(results)
    # Those in the devices' hands and those in memory: (2 + 1) batches of eight each, and the batch
    # whose turn it was.
    assert len(asked) <= 7 * 8 < len(many)
    results.close()


def test_threads_end_with_the_iterator(stages, files):
    before = threading.active_count()
    results = predict_files(stages, files * 5)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_pictures_are_kept_on_request_only(stages, files):
    assert not any(result.images for result in predict_files(stages, files[:3]))
    kept = [result.images[0] for result in predict_files(stages, files[:3], keep_images=True)]
    assert [k.shape for k in kept if k is not None] == [(16, 16, 1)] * 3


def test_views_of_a_file_do_not_hang_on_its_neighbours(stages, files):
    """A view is drawn by the place of its study: here its logit is that place, of the first 0."""

    def forward(variables, images, drawn_by):
        index = jnp.zeros(len(images)) if drawn_by is None else jnp.asarray(drawn_by[1])
        return jnp.expand_dims(index, 1) + 1.0

    detector = dataclasses.replace(stages.detector.bundle, forward=forward, test_views=2)
    front = Stages(dataclasses.replace(stages.detector, bundle=detector))
    scores = _scores(predict_files(front, files))
    assert np.ptp(scores) == 0
    first = detector.predict(examples_of([path.read_bytes() for path in files], detector))
    assert scores[0] == pytest.approx(first.fracture_score[0], abs=1e-6)
    assert np.ptp(first.fracture_score) > 0.1


@pytest.mark.parametrize("keep_features", [False, True])
def test_fixed_views_of_a_file_are_those_of_an_evaluation(stages, files, keep_features):
    detector = dataclasses.replace(stages.detector.bundle, test_views="flip")
    front = Stages(dataclasses.replace(stages.detector, bundle=detector))
    results = list(predict_files(front, files, keep_features=keep_features))
    data = examples_of([path.read_bytes() for path in files], detector)
    expected = detector.predict(data).fracture_score
    assert_allclose(_scores(results), expected, atol=1e-6)
    one = dataclasses.replace(detector, test_views=1).predict(data).fracture_score
    assert np.abs(one - expected).max() > 1e-3
    if keep_features:  # of the image as it is
        alone = predict_files(Stages(stages.detector), files, keep_features=True)
        pairs = zip(results, alone, strict=True)
        assert all(np.array_equal(one.features, other.features) for one, other in pairs)


def test_a_network_that_answers_no_number_is_refused(stages, files):
    def forward(variables, images, drawn_by):
        return jnp.full((len(images), 1), jnp.nan)

    detector = dataclasses.replace(stages.detector.bundle, forward=forward)
    broken = Stages(dataclasses.replace(stages.detector, bundle=detector))
    with pytest.raises(
        InputError, match="answers with numbers that are not finite: its network is damaged"
    ):
        list(predict_files(broken, files[:1]))


def test_stages_in_the_wrong_order_are_refused(runs):
    first, second = runs
    with pytest.raises(InputError, match=r"found in .* a classifier of 3"):
        open_stages(second, first, data_mesh())
    with pytest.raises(InputError, match="name a run of stage 2"):
        open_stages(first, first, data_mesh())


def test_the_classifier_knows_its_detector(stages):
    assert stages.matched
    point = dataclasses.replace(stages.detector.point, threshold=0.1)
    other = dataclasses.replace(stages.detector, point=point)
    assert not dataclasses.replace(stages, detector=other).matched
    assert not Stages(stages.detector).matched


def test_the_meter_counts_waiting_for_input_and_nothing_else(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("fracjax.inference.predict_files.perf_counter", lambda: clock[0])
    meter = ThroughputMeter()

    def at(seconds: float) -> None:
        clock[0] = seconds

    at(10.0)
    meter.begin()
    # Two seconds without work.
    at(15.0)
    meter.finished(started=12.0)
    at(16.0)
    meter.finished(started=13.0)  # given while the first was at work
    assert meter.waited == 2
    at(20.0)
    meter.resumed(paused=17.0)  # the user has looked at a result for three seconds
    at(24.0)
    meter.finished(started=21.0)
    meter.end()
    assert meter.waited == 3
    assert meter.seconds == 24 - 10 - 3
