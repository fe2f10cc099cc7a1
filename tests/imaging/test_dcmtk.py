"""Greys beside those of dcmtk's `dcmj2pnm`, over pydicom's sample files and drawn ones."""

import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from fracjax.imaging.grey_levels import Unreadable
from fracjax.imaging.read import open_image
from tests.datasets.dicoms import dataset, dicom, encoded, lut
from tests.datasets.trees import picture, write

pytestmark = pytest.mark.skipif(
    shutil.which("dcmj2pnm") is None, reason="dcmtk's dcmj2pnm is not installed"
)
SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
LIMB = picture(0).astype(np.uint16) * 12


def theirs(path: Path, out: Path, *options: str) -> np.ndarray | None:
    """What dcmj2pnm writes, without overlays; None where it does not read a file."""
    done = subprocess.run(
        ["dcmj2pnm", "-O", "+on", *options, path, out], capture_output=True, check=False
    )
    return None if done.returncode else np.asarray(Image.open(out).convert("L")).astype(int)


def ours(data: bytes) -> np.ndarray:
    return np.asarray(open_image(data).upright().convert("L")).astype(int)


def test_sample_files_of_pydicom(tmp_path):
    """With a window, or in colour; a grey without one is scaled by a convention, theirs or ours."""
    compared = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in sorted(SAMPLES.glob("*.dcm")):
            try:
                found = ours(path.read_bytes())
            except Unreadable:
                continue
            file = pydicom.dcmread(path, force=True)
            if "WindowWidth" in file:
                options = ["+Wi", "1"]
            elif file.SamplesPerPixel == 3 or file.BitsAllocated == 8:
                options = []
            else:
                continue
            if (expected := theirs(path, tmp_path / "a.png", *options)) is not None:
                assert np.abs(found - expected).max() <= 1, path.name
                compared += 1
    assert compared >= 20


TWELVE = {"BitsStored": 12}
NEGATIVE = TWELVE | {"RescaleIntercept": -2048, "RescaleSlope": 1}
WINDOW = {"WindowCenter": 1200, "WindowWidth": 1700}
SAME = list(range(4096))
DRAWN = {
    "window": (TWELVE | WINDOW, ["+Wi", "1"]),
    "turned": (TWELVE | WINDOW | {"PhotometricInterpretation": "MONOCHROME1"}, ["+Wi", "1"]),
    "sigmoid": (TWELVE | WINDOW | {"VOILUTFunction": "SIGMOID"}, ["+Wi", "1", "+Wfs"]),
    "rescale": (NEGATIVE | {"WindowCenter": -800, "WindowWidth": 1500}, ["+Wi", "1"]),
    "table": (TWELVE | {"VOILUTSequence": [lut(SAME[::-1], 0, 12)]}, ["+Wl", "1"]),
    "negative table": (NEGATIVE | {"VOILUTSequence": [lut(SAME, -2048, 12)]}, ["+Wl", "1"]),
    "declared": (TWELVE, []),
}


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_files(tmp_path, name):
    elements, options = DRAWN[name]
    data = dicom(LIMB, **elements)
    expected = theirs(write(tmp_path / "a.dcm", data), tmp_path / "a.png", *options)
    assert expected is not None
    assert expected.std() > 20
    assert np.abs(ours(data) - expected).max() <= 1


def test_high_bit(tmp_path):
    file = dataset(LIMB << 4, **TWELVE | WINDOW)
    file.HighBit = 15
    data = encoded(file)
    expected = theirs(write(tmp_path / "a.dcm", data), tmp_path / "a.png", "+Wi", "1")
    assert expected is not None
    assert np.abs(ours(data) - expected).max() <= 1
