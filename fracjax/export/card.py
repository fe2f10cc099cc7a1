"""What must be known of an exported cascade to use it rightly, beside it as JSON."""

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fracjax
from fracjax.export.program import Format, inputs_of
from fracjax.export.verify import Checked
from fracjax.imaging.resize import reduced_side
from fracjax.inference.calibration import about
from fracjax.inference.finding_maps import map_grid
from fracjax.inference.stages import Stages
from fracjax.runtime.atomic_files import to_json

INTENDED_USE = (
    "Research code, not a medical device: for research on radiographs like those it was trained "
    "on, not for diagnosis or treatment, and not without a person who reads the picture."
)
_DECODING = (
    "Upright (EXIF orientation applied); grey pictures by the luma of a JPEG or Pillow's mode L, "
    "colour by mode RGB; grey of more than 8 bits scaled from the depth that the file declares, or "
    "else from the input's `depth`, or, where that is null, from the smallest of 8, 12, 14 and 16 "
    "bits that holds 99 % of its values; DICOM as a viewer first shows it (docs/pictures.md). A "
    "JPEG may be decoded at 1/2, 1/4 or 1/8 while both sides keep `reduced_side` pixels. Resized "
    "by Pillow's BILINEAR, which averages when it shrinks: `stretch` to the square, `pad` to its "
    "longer side, centred on black."
)
_OUTPUTS = {
    "probability": ("float32", ["b"], "of the positive class, at the detector's temperature"),
    "called": ("bool", ["b"], "probability >= threshold, both in float32"),
    "map": (
        "float32",
        ["b", "g", "g"],
        "where the finding is: cells of `map_grid`, the first at the upper left; no frequencies, "
        "but the higher the likelier",
    ),
    "types": (
        "float32",
        ["b", "k"],
        "of each type, at the classifier's temperature; of every picture: use them where `called`",
    ),
}


def card(stages: Stages, files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The card of an export; `files` are the `file_entry` of each, by its format."""
    detector, classifier = stages.detector, stages.classifier
    grid = map_grid(detector.bundle)
    return {
        "intended_use": INTENDED_USE,
        "files": files,
        "inputs": [
            {
                "name": name,
                "dtype": "uint8",
                "shape": ["b", form.side, form.side, form.channels],
                **vars(form),
                "reduced_side": reduced_side(form.side),
            }
            for name, form in inputs_of(stages).items()
        ],
        "decoding": _DECODING,
        "outputs": {
            name: {"dtype": dtype, "shape": shape, "what": what}
            for name, (dtype, shape, what) in _OUTPUTS.items()
            if (classifier is not None or name != "types") and (grid or name != "map")
        },
        "map_grid": grid and {"pixels_of_a_cell": grid.stride, "of_pictures": vars(grid.form)},
        "classes": list(detector.bundle.meta.classes),
        "types": [] if classifier is None else list(classifier.meta.classes),
        "threshold": to_json(detector.point.threshold),
        "operating_point": to_json(detector.point),
        "stage1": about(detector.bundle),
        "stage2": None if classifier is None else about(classifier),
        "trained_behind_this_detector": stages.matched if classifier else None,
        "versions": {
            "fracjax": fracjax.__version__,
            **{name: version(name) for name in ("jax", "jaxlib", "flax", "numpy", "pillow")},
        },
    }


def file_entry(path: Path, made_by: Format, checked: Checked) -> dict[str, Any]:
    """What the card says of one file: its bytes, what made it, how it compares to checkpoints."""
    data = path.read_bytes()
    return {
        "name": path.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "checked": to_json(checked),
        **made_by.provenance(path),
    }
