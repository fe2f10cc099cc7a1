"""The sheet: what each panel holds, that no label is cut off, and what a bad request is told."""

import typing
from dataclasses import replace

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageDraw

from fracjax.augment.colour import colormap_table
from fracjax.config import Augment, Colour, Config, Data
from fracjax.datasets.prepare import prepare
from fracjax.datasets.request import Request
from fracjax.errors import InputError
from fracjax.workflows.show import Panel, contact_sheet_png, panels, show

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 1), dtype=np.uint8)
POLICY = Augment(rotation=15.0, noise=0.125, colours=("negative", "clahe"))


@pytest.fixture(scope="module")
def shown() -> dict[str, Panel]:
    made = panels(jax.random.key(0), IMAGES, POLICY, "viridis")
    return {panel.label: panel for panel in made}


def test_every_augmentation_has_a_panel_that_says_whether_it_is_on(shown):
    on = {label for label, panel in shown.items() if panel.on}
    assert on == {
        "as decoded",
        "rotation up to 15°",
        "noise, deviation 12.5%",
        "negative",
        "clahe",
        "colour map viridis",
        *(f"all together, as trained on: draw {draw}" for draw in (1, 2, 3)),
    }
    names = [label.split(",")[0].split(" up to")[0] for label in shown]
    changes = {*Augment.__dataclass_fields__} - {"colours", "test_views"}
    assert {*typing.get_args(Colour), *changes} <= {*names}
    assert all(len(panel.images) == 2 for panel in shown.values())


def test_panels_hold_the_studies_after_each_augmentation(shown):
    assert_array_equal(shown["as decoded"].images, IMAGES)
    assert_array_equal(shown["negative"].images, 255.0 - IMAGES)
    mapped = colormap_table("viridis")[IMAGES[..., 0]]
    assert_allclose(shown["colour map viridis"].images, mapped, atol=1e-4)
    assert_array_equal(shown["hue, of which grey has none"].images, IMAGES)
    assert np.abs(shown["noise, deviation 12.5%"].images - IMAGES).max() > 10
    draws = [shown[f"all together, as trained on: draw {draw}"].images for draw in (1, 2)]
    assert draws[0].shape == (2, 16, 16, 3)
    assert np.abs(draws[0] - draws[1]).max() > 10


@pytest.mark.parametrize("studies", [1, 2, 4])
def test_labels_stay_within_their_panels_and_pictures_are_where_they_belong(
    shown, studies, tmp_path, monkeypatch
):
    boxes = {}
    write = ImageDraw.ImageDraw.text

    def record(self, at, text, fill, font):
        boxes[text] = self.textbbox(at, text, font)
        write(self, at, text, fill, font)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", record)
    flat = [
        replace(panel, images=np.full((studies, 8, 8, 1), 9.0 * place))
        for place, panel in enumerate(shown.values())
    ]
    path = tmp_path / "sheet.png"
    contact_sheet_png(flat, path, title="t" * 80, studies="a study (of a class), " * 60)
    pixels = np.asarray(Image.open(path).convert("RGB"))
    title, second, *labels = boxes.values()
    assert second[2] <= pixels.shape[1]
    assert title[3] < second[1] < second[3] < labels[0][1]
    assert len(labels) == len(flat)
    width = max(2, studies) * 128
    for place, (text, box) in enumerate([*boxes.items()][2:]):
        assert box[2] - box[0] <= width, text
        # The image begins under the label's left end.
        top, left = int(box[1]) + 24, int(box[0]) + 1
        assert_array_equal(pixels[top : top + 80, left : left + 100], min(255, 9 * place))


def test_a_sheet_of_a_prepared_dataset_takes_each_class_in_turn(tmp_path, monkeypatch):
    prepare(Request("phantom", data_dir=tmp_path, count=20, side=32))
    config = Config(data=Data(name="fracatlas", classes=("x", "y"), image_size=32))
    drawn = {}

    def keep(shown, path, *, title, studies):
        drawn.update(shown=shown, path=path, title=title, studies=studies)

    monkeypatch.setattr("fracjax.workflows.show.contact_sheet_png", keep)
    monkeypatch.setattr("fracjax.workflows.show.panels", lambda key, images, *_: images)
    show("phantom", config, tmp_path / "s.png", source="c.py", data_dir=tmp_path)
    assert drawn["shown"].shape == (4, 32, 32, 1)
    assert drawn["title"].startswith("phantom, train, as c.py has it")
    assert drawn["studies"].count("(healthy)") == drawn["studies"].count("(fracture)") == 2
    with pytest.raises(InputError, match=r"studies is 99; .* has 14: type a number from 1 to 14"):
        show("phantom", config, tmp_path / "s.png", source="c.py", data_dir=tmp_path, studies=99)
    with pytest.raises(InputError, match=r"'bone_break' is not prepared: .*--data-dir"):
        show("bone_break", config, tmp_path / "s.png", source="c.py", data_dir=tmp_path)
