"""The audit compares files and pictures, and takes nobody's word for what is a copy of what."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from fracjax.datasets import leakage
from fracjax.datasets.fine_structure import fine_similarity
from fracjax.datasets.leakage import Studies, audit_leakage
from fracjax.datasets.prepared import Prepared
from fracjax.errors import InputError
from tests.datasets.trees import encode, picture


class _InMemory(Prepared):
    """A dataset whose pictures are not on the disk; its fingerprints are."""

    def image_bytes(self, index):
        return self.__dict__["files"][index]


def _dataset(folder: Path, pictures, *, name="mine", group=None) -> Prepared:
    files = [encode(pixels, "PNG") for pixels in pictures]
    made = _InMemory(
        name=name,
        directory=folder / name,
        classes=("normal", "fracture"),
        study=np.array([f"{name}{i}" for i in range(len(files))]),
        label=np.zeros(len(files), np.int32),
        group=np.array(group or [f"g{i}" for i in range(len(files))]),
        sha256=np.array([hashlib.sha256(data).hexdigest() for data in files]),
        colour=np.zeros(len(files), bool),
        attributes={},
        boxes=[],
        masks=[],
    )
    made.__dict__["files"] = files
    (folder / name).mkdir()
    return made


def _halves(dataset: Prepared) -> tuple[Studies, Studies]:
    half = len(dataset) // 2
    return (
        Studies(f"train of {dataset.name}", dataset, np.arange(half)),
        Studies(f"test of {dataset.name}", dataset, np.arange(half, len(dataset))),
    )


def test_different_pictures_pass_and_the_report_says_what_was_compared(tmp_path):
    clean = audit_leakage(*_halves(_dataset(tmp_path, [picture(i) for i in range(8)])))
    assert (clean.n_seen, clean.n_evaluated, clean.similarity) == (4, 4, 0.65)
    assert clean.nearest is None or clean.nearest < 0.65
    assert str(clean) == (
        "4 studies of test of mine: no file, no near duplicate and no group in common with "
        "4 of train of mine"
    )


def test_every_kind_of_copy_is_named(tmp_path):
    """One flipped and lighter, one byte for byte, one that only the group tells."""
    first = [picture(i) for i in range(4)]
    lighter = np.clip(np.fliplr(first[1]).astype(int) + 12, 0, 255).astype(np.uint8)
    pictures = [*first, lighter, first[2], picture(9), picture(10)]
    groups = ["g0", "g1", "g2", "g3", "g4", "g5", "g3", "g7"]
    with pytest.raises(InputError) as raised:
        audit_leakage(*_halves(_dataset(tmp_path, pictures, group=groups)))
    message = str(raised.value)
    assert "no figure was made" in message
    lines = [line for line in message.splitlines() if line.startswith("- ")]
    assert "- mine6 and mine3: of one group" in lines
    assert "- mine5 and mine2: identical files" in lines
    near = [line for line in lines if "near duplicates" in line]
    assert len(lines) == 4
    assert [line.partition(": ")[0] for line in sorted(near)] == [
        "- mine4 and mine1",
        "- mine5 and mine2",
    ]


def test_across_datasets_pictures_are_compared_and_groups_are_not(tmp_path):
    ours = _dataset(tmp_path, [picture(i) for i in range(4)])
    theirs = _dataset(tmp_path, [picture(i) for i in range(4, 8)], name="bone_break")
    seen, evaluated = (Studies(it.name, it, np.arange(4)) for it in (ours, theirs))
    assert audit_leakage(seen, evaluated).similarity == 0.65  # not bone_break's 0.35
    copied = _dataset(tmp_path, [picture(2), picture(11)], name="other")
    with pytest.raises(InputError, match=r"(?s)2 pair\(s\).*other0 and mine2: identical files"):
        audit_leakage(seen, Studies("other", copied, np.arange(2)))


def test_of_drawn_limbs_only_files_are_compared(tmp_path):
    """Two phantoms that look alike are two; and nothing is computed for them."""
    dataset = _dataset(tmp_path, [picture(i) for i in range(4)], name="phantom")
    report = audit_leakage(*_halves(dataset))
    assert (report.similarity, report.compared, report.nearest) == (None, 0, None)
    assert not list((tmp_path / "phantom").iterdir())
    twice = _dataset(tmp_path, [picture(0)] * 2, name="phantom_types")
    with pytest.raises(InputError, match="phantom_types1 and phantom_types0: identical files"):
        audit_leakage(*_halves(twice))


def test_a_lookalike_from_one_side_only_is_no_leak(tmp_path, monkeypatch):
    """The preparation may have looked from the other side, and rightly let it pass."""
    dataset = _dataset(tmp_path, [picture(i) for i in range(4)])
    monkeypatch.setattr(leakage, "HASH_DISTANCE", -1)  # of the way back
    monkeypatch.setattr("fracjax.datasets.duplicates.HASH_DISTANCE", 64)  # of the way there
    assert audit_leakage(*_halves(dataset)).compared == 0


def test_fingerprints_are_kept_and_a_damaged_file_is_refused_by_name(tmp_path):
    dataset = _dataset(tmp_path, [picture(i) for i in range(4)])
    audit_leakage(*_halves(dataset))
    dataset.__dict__["files"] = []  # nothing is read again
    audit_leakage(*_halves(dataset))
    kept = tmp_path / "mine" / "decoded" / "fingerprints.npz"
    kept.write_bytes(kept.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"fingerprints.npz is damaged .*delete it"):
        audit_leakage(*_halves(dataset))


def test_many_pairs_are_counted_and_the_first_are_named(tmp_path):
    dataset = _dataset(tmp_path, [picture(i % 25) for i in range(50)], name="phantom")
    with pytest.raises(InputError, match=r"(?s)25 pair\(s\).*phantom44 and phantom19.*and 5 more$"):
        audit_leakage(*_halves(dataset))


def test_what_is_compared_and_the_nearest_are_those_of_a_plain_search(tmp_path, monkeypatch):
    """Lookalikes from next to the same picture to another one, of which none is refused."""
    rng = np.random.default_rng(3)
    pictures = [
        np.clip(picture(i % 5) + rng.normal(size=(96, 80)) * 12 * (i // 5), 0, 255).astype(np.uint8)
        for i in range(40)
    ]
    seen, evaluated = _halves(_dataset(tmp_path, pictures))
    monkeypatch.setattr(leakage, "similarity_of", lambda _: 1.01)
    monkeypatch.setattr(leakage, "BATCH", 4)
    report = audit_leakage(seen, evaluated)
    hashes, thumbnails = leakage.fingerprints(seen.prepared)
    i, j = np.meshgrid(seen.index, evaluated.index, indexing="ij")
    there = np.bitwise_count(hashes[i, :1] ^ hashes[j])
    back = np.bitwise_count(hashes[j, :1] ^ hashes[i])
    close = np.maximum(there.min(axis=-1), back.min(axis=-1)) <= 16
    i, j, turn, undone = i[close], j[close], there.argmin(-1)[close], back.argmin(-1)[close]
    alike = np.minimum(
        fine_similarity(thumbnails, i, j, turn), fine_similarity(thumbnails, j, i, undone)
    )
    assert report.compared == len(alike) > 20
    assert report.nearest == alike.max()
