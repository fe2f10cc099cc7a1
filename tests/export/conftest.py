"""The two untrained stages of tests/predict, exported once."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fracjax.runtime.sharding import data_mesh
from fracjax.workflows.export import export_into
from tests.datasets.trees import encode, picture, write
from tests.inference.conftest import runs, stages  # noqa: F401  fixtures

TURNED = Image.Exif()
TURNED[0x0112] = 6


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> list[Path]:
    """PNG and JPEG: grey, coloured, with alpha, of a palette, turned, large (decoded reduced)."""
    root = tmp_path_factory.mktemp("files")

    def colour(grey: np.ndarray) -> np.ndarray:
        return np.stack([grey, grey, 255 - grey], axis=-1)

    made = [write(root / f"{i}.png", encode(picture(i), "PNG")) for i in range(6)]
    alpha = np.dstack([colour(picture(6)), picture(7)])
    made.append(write(root / "alpha.png", encode(alpha, "PNG")))
    made.append(root / "palette.png")
    Image.fromarray(colour(picture(7))).quantize(16).save(made[-1])
    made.append(write(root / "colour.jpg", encode(colour(picture(8)))))
    made.append(write(root / "turned.jpg", encode(colour(picture(9)), exif=TURNED)))
    made.append(write(root / "large.jpg", encode(picture(10, height=1500, width=1201))))
    return made


@pytest.fixture(scope="session")
def exported(runs, files, tmp_path_factory) -> tuple[Path, str]:  # noqa: F811
    """The folder of an export that was checked on `files`, and what was said."""
    text = io.StringIO()
    folder = tmp_path_factory.mktemp("exported") / "cascade"
    write(folder / "cascade.onnx", b"of an earlier export")
    export_into(
        folder,
        runs[0],
        runs[1],
        data_mesh(),
        Console(file=text, width=80),
        check_on=files[0].parent,
        overwrite=True,
    )
    return folder, text.getvalue()
