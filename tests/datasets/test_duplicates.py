import numpy as np
import pytest
from PIL import Image
from scipy.sparse.csgraph import connected_components

from fracjax.datasets import duplicates
from fracjax.datasets.duplicates import fingerprint, near_duplicate_groups
from fracjax.datasets.fine_structure import (
    ROUNDING,
    UNDONE_BY,
    FineStructures,
    Views,
    dihedral,
    fine_similarity,
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


def plain_groups(hashes: np.ndarray, thumbnails: np.ndarray, similarity: float) -> list[int]:
    """Each pair by itself."""
    first, second = np.triu_indices(len(hashes), 1)
    bits = np.bitwise_count(hashes[first, :1] ^ hashes[second])
    close = bits.min(axis=1) <= 16
    first, second, turn = first[close], second[close], bits.argmin(axis=1)[close]
    alike = fine_similarity(thumbnails, first, second, turn) >= similarity
    edges = np.zeros((len(hashes),) * 2, bool)
    edges[first[alike], second[alike]] = True
    _, name = connected_components(edges)
    return [int(np.argmax(name == of_this)) for of_this in name]


def hard_cases(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Few pictures, turned, moved, noisy by any degree, copied, blank; hashes near the limit."""
    rng = np.random.default_rng(seed)
    bases = [np.asarray(Image.fromarray(picture(seed + k)).resize((64, 64))) for k in range(6)]
    found: list[Fingerprint] = []
    for _ in range(n):
        kind = rng.choice(["new", "copy", "blank"], p=[0.75, 0.15, 0.1])
        if kind == "copy" and found:
            found.append(found[rng.integers(len(found))])
            continue
        thumbnail = dihedral(bases[rng.integers(6)])[rng.integers(8)]
        thumbnail = np.roll(thumbnail, rng.integers(-5, 6, 2), (0, 1))
        noisy = thumbnail + rng.normal(size=(64, 64)) * rng.uniform(0, 40)
        thumbnail = np.clip(noisy, 0, 255).astype(np.uint8)
        if kind == "blank":
            thumbnail = np.zeros_like(thumbnail)
        hashes, _ = fingerprint(thumbnail)
        for bit in rng.choice(64, rng.integers(0, 12), replace=False):
            hashes[rng.integers(8)] ^= np.uint64(1) << np.uint64(bit)  # of one turn, not of all
        found.append((hashes, thumbnail))
    hashes, thumbnails = map(np.stack, zip(*found, strict=True))
    return hashes, thumbnails


@pytest.mark.parametrize("seed, similarity", [(0, 0.3), (1, 0.5), (2, 0.65), (3, 0.65), (4, 0.9)])
def test_groups_are_those_of_the_plain_search(seed, similarity, monkeypatch):
    for name, size in (("ROWS", 17), ("COLUMNS", 32), ("BATCH", 16)):  # many blocks
        monkeypatch.setattr(duplicates, name, size)
    hashes, thumbnails = hard_cases(100 * seed, 100)
    found = near_duplicate_groups(hashes, thumbnails, similarity=similarity).tolist()
    assert found == plain_groups(hashes, thumbnails, similarity)
    assert 10 < len(set(found)) < 95


def test_no_pair_is_given_up_that_would_be_alike():
    _, thumbnails = hard_cases(7, 60)
    structures, views = FineStructures(thumbnails, ""), Views(thumbnails)
    first, second, turn = np.random.default_rng(0).integers(0, [[60], [60], [8]], (3, 2000))
    exact = fine_similarity(thumbnails, first, second, turn)
    for similarity in (-1.0, 0.3, 0.65, 0.95):
        may, about = structures.may_reach(similarity, views, first, UNDONE_BY[turn], second)
        given_up = np.delete(exact, may)
        assert (given_up < similarity).all()
        np.testing.assert_allclose(about, exact[may], atol=ROUNDING / 2)
        assert (about >= similarity - ROUNDING).all()


def test_of_many_lookalikes_few_pairs_are_laid_over_each_other(monkeypatch):
    """120 pictures twice, each a little different: 28,000 pairs are alike."""
    rng = np.random.default_rng(0)
    base = np.asarray(Image.fromarray(picture(0)).resize((64, 64))).astype(int)
    noisy = [np.clip(base + rng.integers(-2, 3, (64, 64)), 0, 255) for _ in range(120)]
    found = [fingerprint(pixels.astype(np.uint8)) for pixels in noisy] * 2
    compared = []

    def counting(thumbnails, first, second, turn):
        compared.append(len(first))
        return fine_similarity(thumbnails, first, second, turn)

    monkeypatch.setattr(duplicates, "fine_similarity", counting)
    monkeypatch.setattr(duplicates, "BATCH", 16)
    assert groups(found) == [0] * 240
    assert 119 <= sum(compared) < 500


def test_a_copy_behind_an_image_is_compared_with_it_from_the_other_side():
    """A pair's second image is turned, the first is not: that can tell, with hashes as here."""
    (hashes, thumbnail), view = pictures(picture(0))[0], 4
    turned = np.ascontiguousarray(dihedral(thumbnail)[view])
    turned[0, 0] ^= 1
    far = np.full(8, ~hashes[0])
    far[0] = hashes[view]
    one, other = (hashes, thumbnail), (far, turned)
    assert np.bitwise_count(hashes[0] ^ far[0]) > 16
    assert groups([one, other]) == [0, 1]
    assert groups([other, one]) == [0, 0]
    assert groups([one, other, one]) == [0, 0, 0]
