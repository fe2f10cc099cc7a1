"""The phantom: the same bytes everywhere, a twin without the break, a true box, no easy leak."""

import functools
import hashlib

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fracjax.datasets.phantom.drawing import FRACTURE_TYPES, draw
from fracjax.datasets.phantom.random_stream import Stream
from fracjax.errors import InputError

# Mean grey value of each cell of a 4x4 grid over `draw(seed, fracture, side=64)`, and the first
# 16 hexadecimal digits of its bytes' SHA-256. Drawn on x86-64 with numpy 2.4 and scipy 1.17.
# fmt: off
GOLDEN = {
    (0, None): ([
        45.18, 123.98, 98.64, 17.2, 25.94, 110.77, 111.09, 17.56,
        11.79, 100.71, 142.82, 19.89, 11.47, 74.7, 121.0, 27.3,
    ], "a1feb59cc928ed87"),
    (1, "Oblique fracture"): ([
        44.54, 132.61, 120.02, 48.38, 38.67, 127.43, 124.0, 45.86,
        35.28, 140.84, 148.67, 47.61, 28.67, 116.31, 126.88, 46.0,
    ], "f19d97d345c40485"),
    (2, "Comminuted fracture"): ([
        9.18, 64.69, 108.48, 32.27, 18.86, 105.87, 116.0, 28.3,
        27.46, 130.58, 101.53, 17.97, 28.34, 118.58, 57.65, 8.25,
    ], "d312ac0fe40af2ef"),
    (3, "Fracture Dislocation"): ([
        40.5, 103.71, 34.02, 6.61, 29.28, 124.11, 76.2, 7.77,
        18.48, 107.62, 130.58, 17.7, 9.11, 67.18, 111.86, 31.23,
    ], "b5775f33f9b0e5b4"),
}
# fmt: on


def grid_means(image):
    side = image.shape[0] // 4
    return image.astype(float).reshape(4, side, 4, side).mean(axis=(1, 3)).ravel()


def digest(image):
    return hashlib.sha256(image.tobytes()).hexdigest()[:16]


def test_the_ten_types_are_those_of_the_published_folders():
    assert FRACTURE_TYPES == (
        "Avulsion fracture",
        "Comminuted fracture",
        "Fracture Dislocation",
        "Greenstick fracture",
        "Hairline Fracture",
        "Impacted fracture",
        "Longitudinal fracture",
        "Oblique fracture",
        "Pathological fracture",
        "Spiral Fracture",
    )


def test_stream_is_made_of_the_raw_words_that_numpy_keeps_stable():
    words = np.random.PCG64(np.random.SeedSequence((7, 3))).random_raw(2)
    stream = Stream(7, 3)
    assert stream.uniform() == (int(words[0]) >> 11) / 2**53
    assert stream.uniform(0.0, 2.0, 1)[0] == (int(words[1]) >> 11) / 2**52


def test_white_noise_has_mean_0_and_variance_1():
    noise = Stream(0).white_noise(200)
    # Five standard errors of 40,000 draws.
    assert abs(noise.mean()) < 0.025
    assert abs(noise.var() - 1.0) < 0.035


@pytest.mark.parametrize("seed, fracture", GOLDEN)
def test_golden(seed, fracture):
    means, sha256 = GOLDEN[seed, fracture]
    image = draw(seed, fracture, side=64).image
    np.testing.assert_allclose(grid_means(image), means, atol=0.01)  # says where it went wrong
    assert digest(image) == sha256


def test_one_seed_draws_the_same_bytes_and_another_seed_another_limb():
    for fracture in (None, *FRACTURE_TYPES):
        first, second = draw(11, fracture, 96), draw(11, fracture, 96)
        np.testing.assert_array_equal(first.image, second.image)
        assert first.box == second.box
        assert (draw(12, fracture, 96).image != first.image).mean() > 0.5


def test_another_machines_last_bits_do_not_change_a_byte(monkeypatch):
    cases = [(seed, FRACTURE_TYPES[seed]) for seed in range(10)]
    before = [draw(seed, fracture, 128).image for seed, fracture in cases]
    for name in ("exp", "log", "sin", "cos"):
        exact = getattr(np, name)
        monkeypatch.setattr(np, name, lambda x, exact=exact: np.nextafter(exact(x), np.inf))
    for image, (seed, fracture) in zip(before, cases, strict=True):
        np.testing.assert_array_equal(draw(seed, fracture, 128).image, image)


def test_image_is_a_grey_square_and_a_healthy_limb_has_no_box():
    for side in (32, 97, 128):
        phantom = draw(5, None, side)
        assert phantom.image.shape == (side, side)
        assert phantom.image.dtype == np.uint8
        assert phantom.box is None
        assert phantom.bones in (1, 2)
        assert phantom.image.std() > 15  # neither blank nor burnt out


def test_limbs_have_one_or_two_long_bones_whether_broken_or_not():
    bones = [draw(seed, None, 32).bones for seed in range(24)]
    assert set(bones) == {1, 2}
    assert [draw(seed, "Oblique fracture", 32).bones for seed in range(24)] == bones


healthy_limb = functools.cache(functools.partial(draw, fracture=None))


@pytest.mark.parametrize("fracture", FRACTURE_TYPES)
def test_the_break_changes_the_picture_in_its_box_and_nowhere_else(fracture):
    side = 128
    for seed in range(8):
        broken, healthy = draw(seed, fracture, side), healthy_limb(seed, side=side)
        assert broken.box is not None
        y0, x0, y1, x1 = broken.box
        assert 0 <= y0 < y1 <= side
        assert 0 <= x0 < x1 <= side
        assert (y1 - y0) * (x1 - x0) < 0.3 * side**2  # a box around everything would tell nothing
        change = (broken.image.astype(float) - healthy.image) ** 2
        inside = change[int(y0) : int(y1), int(x0) : int(x1)]
        assert change.max() > 15**2  # grey levels: the break is to be seen
        assert inside.sum() > 0.85 * change.sum()
        assert (change == 0).mean() > 0.5  # same limb, exposure, noise, borders and marker


def test_the_box_scales_with_the_side():
    for fracture in FRACTURE_TYPES:
        small, large = draw(3, fracture, 128).box, draw(3, fracture, 256).box
        assert small is not None
        assert large is not None
        np.testing.assert_allclose(np.array(large) / 2, small, atol=4.0)  # pixels of the small one


def test_grey_values_alone_and_a_linear_model_do_not_tell_broken_from_healthy():
    label = np.arange(600) % 2
    images = np.stack(
        [
            draw(1000 + i, FRACTURE_TYPES[i // 2 % 10] if broken else None, 32).image
            for i, broken in enumerate(label)
        ]
    )
    pixels = images.reshape(600, -1).astype(float)
    histogram = np.stack([np.histogram(image, 64, (0, 256))[0] for image in images])
    for features, c in ((pixels, 1e-4), (histogram, 1e-2)):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=500))
        model.fit(features[:400], label[:400])
        auc = roc_auc_score(label[400:], model.decision_function(features[400:]))
        assert auc < 0.7  # with 200 test studies the standard error of 0.5 is 0.041


def test_bad_input_is_refused_with_all_its_faults_and_the_way_out():
    with pytest.raises(InputError) as error:
        draw(-1, "spiral", 8)
    message = str(error.value)
    assert "seed is -1" in message
    assert "side is 8 pixels; it must be 32 or more" in message
    assert "unknown fracture type 'spiral'" in message
    assert all(name in message for name in FRACTURE_TYPES)
