import numpy as np
import pytest
from PIL import Image

from fracjax.datasets.duplicates import (
    dihedral,
    fine_similarity,
    fingerprint,
    near_duplicate_groups,
)
from fracjax.imaging.read import open_image
from tests.datasets.trees import encode, picture

Fingerprint = tuple[np.ndarray, np.ndarray]


def pictures(*pixels: np.ndarray, quality: int = 92) -> list[Fingerprint]:
    files = [open_image(encode(p, quality=quality)) for p in pixels]
    return [fingerprint(np.asarray(file.upright())) for file in files]


def groups(found: list[Fingerprint], similarity: float = 0.75, **links) -> list[int]:
    hashes, thumbnails = map(np.stack, zip(*found, strict=True))
    return near_duplicate_groups(hashes, thumbnails, similarity=similarity, **links).tolist()


@pytest.mark.parametrize("turn", range(8))
def test_a_flipped_or_rotated_re_export_joins_its_original(turn):
    original = picture(0, 300, 240)
    copy = Image.fromarray(np.ascontiguousarray(dihedral(original)[turn]))
    copy = np.asarray(copy.resize((copy.width * 2 // 3, copy.height * 2 // 3)))
    copy = np.clip(copy * 0.8 + 12.0, 0, 255).astype(np.uint8)  # another exposure
    noisy = pictures(copy, quality=50)
    assert groups(pictures(original, picture(1, 300, 240)) + noisy) == [0, 1, 0]


def test_a_slight_crop_joins_its_original():
    original = picture(0, 300, 240)
    assert groups(pictures(original, original[4:-3, 3:-3])) == [0, 0]


def test_unrelated_pictures_stay_apart():
    found = pictures(*(picture(seed) for seed in range(60)))
    assert groups(found, similarity=0.35) == list(range(60))


def test_lookalikes_are_proposed_by_the_hash_but_not_joined():
    # One coarse shape, two fine structures: two hands on the same detector.
    coarse = picture(0, 300, 240).astype(float)
    rng = np.random.default_rng(1)
    hands = [np.clip(coarse + rng.normal(size=(1, 1)) + 60 * (fine - 0.5), 0, 255).astype(np.uint8)
             for fine in (rng.random((300, 240)), rng.random((300, 240)))]  # fmt: skip
    blurred = [np.asarray(Image.fromarray(h).resize((60, 75)).resize((240, 300))) for h in hands]
    found = pictures(*blurred)
    assert np.bitwise_count(found[0][0][0] ^ found[1][0][0]) <= 12
    assert groups(found, similarity=0.999) == [0, 1]


def test_joining_is_transitive_and_names_the_first():
    original = picture(0, 300, 240)
    found = pictures(picture(5), original, picture(6), np.fliplr(original).copy(), picture(7))
    assert groups(found, links=[["fig1"], [], [], ["fig1"], []]) == [0, 0, 2, 0, 4]


def test_links_join_what_looks_different():
    found = pictures(*(picture(seed) for seed in range(4)))
    assert groups(found, links=[["a"], ["a", "b"], ["b"], []]) == [0, 0, 0, 3]


def test_similarity_by_hand():
    one = np.asarray(Image.fromarray(picture(0)).resize((64, 64)))
    blank = np.full((64, 64), 90, np.uint8)
    stack = np.stack([one, np.rot90(one), 255 - one, blank])
    pairs = np.array([[0, 1, 1], [0, 0, 0], [0, 3, 0], [3, 3, 0], [0, 2, 0]])
    found = fine_similarity(stack, *pairs.T)
    # rot90(one, 3 more turns) is one again: view 3 of the second picture
    back = fine_similarity(stack, np.array([0]), np.array([1]), np.array([3]))
    np.testing.assert_allclose(back, 1, atol=1e-4)
    np.testing.assert_allclose(found[1], 1, atol=1e-4)
    assert found[0] < 0.4
    # a blank picture resembles nothing, itself included
    np.testing.assert_array_equal(found[2:4], 0)
    assert found[4] < 0.4  # the negative correlates with -1


def test_groups_do_not_depend_on_the_order():
    original = picture(0, 300, 240)
    found = pictures(original, picture(1), original.T.copy(), picture(2), original[::-1].copy())
    order = [3, 4, 0, 1, 2]
    partition = {
        frozenset(np.flatnonzero(np.array(groups(found)) == g)) for g in set(groups(found))
    }
    shuffled = groups([found[i] for i in order])
    again = {
        frozenset(order[i] for i in np.flatnonzero(np.array(shuffled) == g)) for g in set(shuffled)
    }
    assert partition == again == {frozenset({0, 2, 4}), frozenset({1}), frozenset({3})}
