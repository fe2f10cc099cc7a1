"""The export says what the checkpoints say: in this process, and in one without fracjax."""

import ast
import dataclasses
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from numpy.testing import assert_allclose

from fracjax.export.program import STABLEHLO, cascade, inputs_of, lower, refuse_impossible
from fracjax.export.verify import compare, images_of
from fracjax.imaging.resize import ImageFormat, decode, reduced_side
from fracjax.inference.predict_files import predict_files
from fracjax.inference.stages import Stages
from fracjax.ops.backend import platform
from tests.datasets.trees import encode, picture, write
from tests.inference.conftest import TYPES
from tests.paths import ROOT

DATA = os.environ.get("FRACJAX_DATA")
(EXAMPLE,) = re.findall(
    r"<!-- run.py -->\n```python\n(.*?)```", (ROOT / "docs" / "export.md").read_text(), re.DOTALL
)
WITHOUT_FRACJAX = 'import sys\nsys.modules["fracjax"] = None\n'


def _of(files: list[Path], form: ImageFormat) -> np.ndarray:
    return np.stack([decode(path.read_bytes(), form) for path in files])


def _card(folder: Path) -> dict:
    return json.loads((folder / "card.json").read_text())


def test_one_file_takes_batches_of_any_size_and_says_what_the_checkpoints_say(
    stages, files, exported
):
    program = STABLEHLO.load(exported[0] / "cascade.jax")
    detector, classifier = stages.bundles
    arrays = [_of(files, trained.meta.form) for trained in stages.bundles]
    scores = detector.probabilities(arrays[0])[:, 1]
    types = classifier.probabilities(arrays[1])
    called = scores >= stages.detector.point.threshold
    assert 0 < called.sum() < len(files)
    for size in (1, 3, 7):
        found = program(*(array[:size] for array in arrays))
        assert [(v.shape, v.dtype) for v in found.values()] == [
            ((size,), bool), ((size,), np.float32), ((size, 3), np.float32)
        ]  # fmt: skip
        assert_allclose(found["probability"], scores[:size], atol=1e-6, rtol=0)
        assert_allclose(found["types"], types[:size], atol=1e-6, rtol=0)
        assert np.array_equal(found["called"], called[:size])


def test_fixed_views_are_in_the_export(stages, files):
    """The mean of probabilities, as in the checkpoints; another answer than for one view."""
    one = stages.detector.bundle
    eight = dataclasses.replace(one, test_views="dihedral")
    front = Stages(dataclasses.replace(stages.detector, bundle=eight))
    refuse_impossible(front)
    images = _of(files[:3], one.meta.form)
    found = lower(front).call(images)["probability"]
    expected = eight.probabilities(images)[:, 1]
    assert_allclose(found, expected, atol=1e-6, rtol=0)
    assert np.abs(one.probabilities(images)[:, 1] - expected).max() > 1e-3


def test_the_example_of_the_docs_runs_without_fracjax(stages, files, exported):
    words = map(str, (exported[0], *files))
    command = [sys.executable, "-I", "-c", WITHOUT_FRACJAX + EXAMPLE, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not a medical device" in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line, result in zip(lines, predict_files(stages, files), strict=True):
        assert line["file"] == str(result.path)
        assert line["decision"] == result.decision
        assert line["probability"] == pytest.approx(result.probability, abs=1e-6)
        assert line.get("types", {}) == pytest.approx(result.types, abs=1e-6)


def test_the_example_refuses_a_file_that_is_not_the_cards(exported, tmp_path, monkeypatch):
    (tmp_path / "card.json").write_bytes((exported[0] / "card.json").read_bytes())
    data = bytearray((exported[0] / "cascade.jax").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "cascade.jax").write_bytes(data)
    monkeypatch.setattr(sys, "argv", ["run.py", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"cascade.jax is not the file that card.json describes"):
        exec(compile(EXAMPLE, "run.py", "exec"), {})


def _deep_colour_png() -> bytes:
    """2 x 2 pixels of 16-bit colour, which Pillow reads as RGB and does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    rows = b"".join(b"\0" + b"\x12\x34" * 6 for _ in range(2))
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    )


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("a.png", encode(picture(0).astype(np.uint16) * 200, "PNG"), "PNG of 16 bits"),
        ("b.png", _deep_colour_png(), "PNG of 16 bits"),
        ("c.tif", encode(picture(0), "TIFF"), "TIFF"),
    ],
    ids=["grey", "colour", "tiff"],
)
def test_the_example_refuses_what_it_would_decode_wrongly(tmp_path, name, data, found):
    """Pillow clips 16-bit grey to white and halves 16-bit colour, without a word."""
    path = write(tmp_path / name, data)
    with pytest.raises(SystemExit, match=f"{name} is a {found}, expected JPEG or PNG of 8 bits"):
        _decode_of_the_example()(path, **vars(ImageFormat(16)), reduced_side=reduced_side(16))


@pytest.mark.parametrize(
    "form", [ImageFormat(16), ImageFormat(50, "pad", 3), ImageFormat(300, "pad", 1)]
)
def test_the_example_decodes_to_the_bit(files, form):
    """Those it cannot are refused or decoded by its user: the docs say which."""
    _decodes_to_the_bit(files, form)


def _decode_of_the_example() -> Callable[..., np.ndarray]:
    tree = ast.parse(EXAMPLE)
    wanted = ast.Import | ast.ImportFrom | ast.FunctionDef
    kept = [node for node in tree.body if isinstance(node, wanted)]
    names = {}
    exec(compile(ast.Module(kept, []), "run.py", "exec"), names)
    return names["decode"]


def _decodes_to_the_bit(files: list[Path], form: ImageFormat) -> None:
    for path in files:
        found = _decode_of_the_example()(path, **vars(form), reduced_side=reduced_side(form.side))
        assert np.array_equal(found, decode(path.read_bytes(), form)), path.name


@pytest.mark.skipif(not DATA, reason="FRACJAX_DATA names no folder of real radiographs")
def test_real_radiographs(stages, exported):
    folder = Path(DATA or "") / "fracatlas" / "images" / "Fractured"
    pictures = images_of(stages, folder, None)
    checked = compare(stages, STABLEHLO.load(exported[0] / "cascade.jax"), pictures)
    assert len(pictures) == 12
    assert max(checked.differences.values()) < 1e-6
    _decodes_to_the_bit(sorted(folder.iterdir())[:3], ImageFormat(224))


def test_the_card_says_what_the_file_is(stages, runs, exported):
    folder, said = exported
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "cascade.jax"]
    card = _card(folder)
    data = (folder / "cascade.jax").read_bytes()
    about = card["files"]["jax_export"]
    assert about["sha256"] == hashlib.sha256(data).hexdigest()
    assert about["bytes"] == len(data)
    assert about["platforms"] == ["cpu", "cuda", "tpu"]
    assert about["checked"]["pictures"] == 11
    assert max(about["checked"]["differences"].values()) < 1e-6
    assert [one["shape"] for one in card["inputs"]] == [["b", 16, 16, 1], ["b", 24, 24, 3]]
    assert [one["fit"] for one in card["inputs"]] == ["stretch", "pad"]
    assert card["threshold"] == stages.detector.point.threshold
    assert card["types"] == list(TYPES)
    assert card["stage1"]["checkpoint"] == str(runs[0])
    assert card["stage1"]["temperature"] == 1.7
    assert card["stage2"]["precision"] == "float32"
    assert card["versions"]["jax"] == jax.__version__
    assert "not a medical device" in card["intended_use"]
    assert "negative: healthy, positive: fracture\n" in said
    assert "checked on 11 images" in said


def test_the_file_is_for_every_platform_and_names_no_folder_of_this_machine(exported):
    data = (exported[0] / "cascade.jax").read_bytes()
    assert export.deserialize(bytearray(data)).platforms == ("cpu", "cuda", "tpu")
    assert b".py" not in data
    assert str(ROOT).encode() not in data


def _plain(stages: Stages, forward, **changes) -> Stages:
    """The detector alone, its two networks being these functions."""
    detector = dataclasses.replace(stages.detector.bundle, forward=jax.jit(forward), **changes)
    networks = tuple({"params": {"b": jnp.float32(b)}, "batch_stats": {}} for b in (0.0, 0.5))
    detector = dataclasses.replace(detector, networks=networks)
    return Stages(dataclasses.replace(stages.detector, bundle=detector))


def _logits(variables, images, drawn_by):
    """Numbers that float32 holds exactly, whatever the order of computing."""
    return (images[:, 0, 0, :].astype(jnp.float32) - 128) / 32 + variables["params"]["b"]


@pytest.mark.parametrize(("temperature", "which"), [(1.0, 26), (1.7, 40)])
def test_a_probability_that_is_the_threshold_is_called(stages, temperature, which):
    plain = _plain(stages, _logits, temperature=temperature)
    grey = np.arange(0, 256, 5, dtype=np.uint8)
    pictures = np.broadcast_to(grey[:, None, None, None], (52, 16, 16, 1))
    scores = plain.detector.bundle.probabilities(pictures)[:, 1]

    def called(threshold: float) -> np.ndarray:
        point = dataclasses.replace(plain.detector.point, threshold=threshold)
        front = dataclasses.replace(plain.detector, point=point)
        with jax.enable_x64(True):
            return np.asarray(jax.jit(cascade(Stages(front)))(pictures)["called"])

    chosen = float(scores[which])
    assert np.array_equal(called(chosen), scores >= chosen)
    just_above = float(np.nextafter(np.float32(chosen), np.float32(2)))
    assert np.array_equal(called(just_above), scores > chosen)


def test_each_platform_gets_the_layers_that_it_has(stages):
    def forward(variables, images, drawn_by):
        return _logits(variables, images, drawn_by) + (platform() == "cpu")

    plain = _plain(stages, forward, temperature=1.0)
    pictures = np.full((2, 16, 16, 1), 128, np.uint8)

    def probability(program) -> float:
        with jax.enable_x64(True):
            return float(program(pictures)["probability"][0])

    def sigmoid(x: float) -> float:
        return 1 / (1 + np.exp(-x))

    on_cpu, elsewhere = (sigmoid(1) + sigmoid(1.5)) / 2, (sigmoid(0) + sigmoid(0.5)) / 2
    lowered = lower(plain)
    assert probability(lowered.call) == pytest.approx(on_cpu, abs=1e-7)
    assert "stablehlo.case" in lowered.mlir_module()
    assert probability(jax.jit(cascade(plain, platform="cuda"))) == pytest.approx(
        elsewhere, abs=1e-7
    )
    assert lower(plain).serialize() == lowered.serialize()


def test_layers_compute_in_the_precision_of_the_threshold(stages, files, exported):
    detector = stages.detector.bundle.in_precision("bfloat16")
    lowered = lower(Stages(dataclasses.replace(stages.detector, bundle=detector)))
    assert "bf16" in lowered.mlir_module()
    in_float32 = export.deserialize(bytearray((exported[0] / "cascade.jax").read_bytes()))
    assert "bf16" not in in_float32.mlir_module()
    pictures = _of(files[:8], detector.meta.form)
    scores = detector.probabilities(pictures)[:, 1]
    assert_allclose(lowered.call(pictures)["probability"], scores, atol=0.01, rtol=0)


def test_stages_that_see_the_same_pictures_take_them_once(stages):
    form = stages.detector.bundle.meta.form
    same = dataclasses.replace(stages.classifier, metas=stages.detector.bundle.metas)
    assert inputs_of(Stages(stages.detector, same)) == {"pictures": form}
    assert list(inputs_of(stages)) == ["detector_pictures", "classifier_pictures"]
