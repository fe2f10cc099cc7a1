"""What is gathered on the devices is what the disk gives, to the bit, on one device and on four."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.loading import resident
from fracjax.loading.batch import Examples, Outlines
from fracjax.loading.resident import batch_at, evaluation_pass, make_resident, place, take
from fracjax.loading.sampling import draw_order
from fracjax.loading.stored_rows import StoredRows, write_rows
from fracjax.loading.streaming import training_batches
from fracjax.runtime.sharding import data_mesh

LABEL = np.repeat([0, 1, 2], [11, 5, 3])


def _examples(dtype=np.uint8, side=3) -> Examples:
    pictures = np.random.default_rng(0).integers(0, 255, (40, side, side, 1)).astype(dtype)
    name = np.array([f"s{i}" for i in range(len(LABEL))])
    rows = np.random.default_rng(1).permutation(40)[: len(LABEL)]
    second = np.stack([LABEL - 1, np.arange(len(LABEL)) % 4], axis=-1).astype(np.int32)
    masks = np.random.default_rng(2).integers(0, 255, (5, side, side)).astype(np.uint8)
    outlines = Outlines(masks, np.arange(len(LABEL), dtype=np.int32) % 6 - 1)
    known = {"second": second, "outlines": outlines}
    return Examples(study=name, image=pictures, label=LABEL, group=name, row=rows, **known)


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("oversample", [False, True])
def test_batches_are_those_of_the_disk(devices, oversample):
    examples, mesh = _examples(), data_mesh(devices)
    weights = np.array([0.5, 1.0, 3.0], np.float32)
    (studies,) = make_resident([examples], mesh, [weights])
    gather = jax.jit(
        lambda order, number: batch_at(studies, order, number, batch_size=8, mesh=mesh)
    )
    for epoch in range(2):
        how = {"seed": 3, "epoch": epoch, "oversample": oversample}
        order = draw_order(LABEL, **how)
        source = training_batches(examples, batch_size=8, class_weights=weights, **how)
        assert len(source) == (5 if oversample else 3)
        for number, expected in enumerate(source):
            jax.tree.map(assert_array_equal, gather(order, number), dict(expected))
            assert "second" in expected
            assert_array_equal(expected["second"][:, 0], expected["label"] - 1)
            assert "outlined" in expected
            assert_array_equal(expected["outlined"], expected["index"] % 6 > 0)


@pytest.mark.parametrize("devices", [1, 4])
def test_batches_with_a_share_of_positives_are_those_of_the_disk(devices):
    examples, mesh = _examples(), data_mesh(devices)
    examples = replace(examples, label=np.minimum(examples.label, 1))
    (studies,) = make_resident([examples], mesh)
    source = training_batches(examples, batch_size=8, positives=3, seed=3, epoch=1)
    gather = jax.jit(
        lambda order, number: batch_at(studies, order, number, batch_size=8, mesh=mesh)
    )
    for number, expected in enumerate(source):
        found = gather(source.order, number)
        jax.tree.map(assert_array_equal, found, dict(expected))
        assert int(found["label"].sum()) == 3
        assert bool(found["valid"].all())


def test_after_the_last_batch_and_for_an_idle_network_no_study_is_valid():
    mesh = data_mesh(1)
    (studies,) = make_resident([_examples()], mesh)
    order = draw_order(LABEL, seed=0, epoch=0)
    valid = [batch_at(studies, order, n, batch_size=8, mesh=mesh)["valid"].sum() for n in range(4)]
    assert [int(n) for n in valid] == [8, 8, 3, 0]
    idle = batch_at(studies, order, 0, batch_size=8, mesh=mesh, active=False)
    assert int(idle["valid"].sum()) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
def test_rows_come_from_whichever_device_has_them(dtype):
    pictures, mesh = _examples(dtype).image, data_mesh(4)
    placed = place(pictures, np.arange(39), mesh)
    assert placed.shape[0] == 40  # one more than asked for, so that four devices have ten each
    assert {shard.data.shape[0] for shard in placed.addressable_shards} == {10}
    rows = np.array([0, 38, 9, 10, 38, 29, 30, 1], np.int32)
    found = jax.jit(lambda image, rows: take(image, rows, mesh))(placed, jnp.asarray(rows))
    assert found.dtype == dtype
    assert_array_equal(found, pictures[rows])


def test_parts_share_their_pictures_and_what_nobody_uses_is_not_placed():
    examples = _examples()
    train, validation = examples.take(np.arange(10)), examples.take(np.arange(8, 19))
    one, two = make_resident([train, validation], data_mesh(1))
    assert one.image is two.image
    assert one.image.shape[0] == 19  # of 40
    for studies, part in ((one, train), (two, validation)):
        assert_array_equal(studies.image[studies.row], part.images())
        assert_array_equal(studies.label, part.label)


def test_two_openings_of_one_file_are_one_set_of_pictures(tmp_path):
    examples = _examples()
    write_rows(tmp_path / "a.npy", examples.image.shape[0], [np.asarray(examples.image)])
    stored = [Examples(examples.study, StoredRows(tmp_path / "a.npy"), LABEL, LABEL)] * 2
    stored = [Examples(e.study, StoredRows(tmp_path / "a.npy"), e.label, e.group) for e in stored]
    one, two = make_resident(stored, data_mesh(1))
    assert one.image is two.image


@pytest.mark.parametrize("chunk", [1, 7, 19, 1000])
@pytest.mark.parametrize("devices", [1, 4])
def test_placing_in_chunks_loses_nothing(chunk, devices, monkeypatch):
    examples = _examples()
    monkeypatch.setattr(resident, "_CHUNK", 9 * chunk)  # bytes; a picture has nine
    placed = np.asarray(place(examples.image, examples.rows, data_mesh(devices)))
    assert_array_equal(placed[: len(LABEL)], examples.images())
    assert not placed[len(LABEL) :].any()


def test_fewer_studies_than_devices():
    examples, mesh = _examples().take(np.arange(2)), data_mesh(4)
    (studies,) = make_resident([examples], mesh)
    order = draw_order(examples.label, seed=0, epoch=0)
    batch = batch_at(studies, order, 0, batch_size=4, mesh=mesh)
    assert_array_equal(batch["image"][:2], examples.images(np.asarray(order)))
    assert_array_equal(batch["valid"], [True, True, False, False])


def test_evaluation_has_every_study_once_in_order():
    examples, mesh = _examples(), data_mesh(4)
    (studies,) = make_resident([examples], mesh)
    seen = np.concatenate(
        [batch["image"] for batch in evaluation_pass(studies, batch_size=8, mesh=mesh)]
    )
    assert_array_equal(seen[: len(LABEL)], examples.images())
    assert_array_equal(seen[len(LABEL) :], examples.images(np.arange(24 - len(LABEL))))
