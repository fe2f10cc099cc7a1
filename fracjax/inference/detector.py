"""A detector to ask about pictures from Python: the one that comes with fracjax, or one's own."""

import io
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from PIL import Image

from fracjax.errors import InputError
from fracjax.imaging.decoder_warnings import capture_decoder_warnings
from fracjax.inference import training_images
from fracjax.inference.ensemble_folder import folder_of
from fracjax.inference.input_files import DecodedFile, decode_file, read
from fracjax.inference.mark_files import mark_dicts
from fracjax.inference.packed_run import BUILT_IN
from fracjax.inference.predict_files import StageProgram, ThroughputMeter
from fracjax.inference.stages import DetectorGate, open_detector_gate
from fracjax.inference.training_images import TrainingImages
from fracjax.runtime.sharding import data_mesh
from fracjax.training.ensemble_configs import joined_runs

Picture = Path | str | bytes | np.ndarray
"""A file by its path, the bytes of one, or pixels: uint8 or uint16 [h, w], or uint8 [h, w, 3]."""

_BATCH = 8  # pictures at a time: few are asked about, and `predict_files` is for many


@dataclass(frozen=True, eq=False)
class Detection:
    """What a detector says of one picture."""

    probability: float  # of a fracture, from 0 to 1, at the temperature that validation chose
    # the class it is called: the positive one where the probability reaches the threshold.
    decision: str
    note: str  # what is doubtful about its greys, and how it is unlike the training images; or ""
    # what enters the head, of the picture as it is: of several networks one row for each.
    features: Float32[np.ndarray, "..."]
    # of a detector with a map of findings (`model.localise`) the marks that reach its threshold,
    # the highest first, as `mark_dicts` gives them: number, score, box (ymin, xmin, ymax, xmax),
    # peak (y, x), and outline, (y, x) points, in pixels of the picture as displayed; else None.
    marks: list[dict[str, Any]] | None = None


@dataclass(frozen=True, eq=False)
class Detector:
    """A trained detector at its threshold; `load_detector` opens one."""

    gate: DetectorGate
    training: TrainingImages | None  # what the images of its training look like, where it is known

    @property
    def classes(self) -> tuple[str, str]:
        """Its classes, the negative one first."""
        negative, positive = self.gate.bundle.meta.classes
        return negative, positive

    @property
    def threshold(self) -> float:
        """The probability from which on a picture is called positive."""
        return self.gate.point.threshold

    @property
    def marks_threshold(self) -> float | None:
        """The score from which on a mark is given; None of a detector without a map."""
        return None if self.gate.marker is None else self.gate.marker.threshold

    def predict(self, pictures: Picture | Sequence[Picture]) -> list[Detection]:
        """What it says of one picture or of several, in their order.

        Pictures are paths of JPEG, PNG, TIFF, BMP or DICOM files, the bytes of such files, or
        arrays of pixels: uint8[h, w] and uint16[h, w] (grey; a bone is bright), uint8[h, w, 3]
        (RGB), of any size. They are read as the command `predict` reads files, by the same rules:
        `docs/pictures.md`. An array of 16 bits is read as a file that declares no depth.

        Raises:
          InputError: naming each picture that cannot be read, and why; none is predicted then.
        """
        one = isinstance(pictures, (Path, str, bytes, np.ndarray))
        with capture_decoder_warnings():
            decoded = [self._read(picture) for picture in ([pictures] if one else pictures)]
        wrong = [
            f"picture {i}{f' ({it.path})' if it.path.name else ''}: {it.reason}"
            for i, it in enumerate(decoded)
            if it.reason
        ]
        if wrong:
            raise InputError(f"{len(wrong)} of {len(decoded)} not read: {'; '.join(wrong)}")
        devices = self.gate.bundle.mesh.size
        size = -(-_BATCH // devices) * devices
        chunks = [decoded[at : at + size] for at in range(0, len(decoded), size)]
        with ThreadPoolExecutor(1, "fetch") as fetching:
            how = self.gate.bundle, size, fetching, ThroughputMeter()
            program = StageProgram(*how, keep_features=True)
            return [one for chunk in chunks for one in self._detect(program, chunk)]

    def _read(self, picture: Picture) -> DecodedFile:
        forms = [self.gate.bundle.meta.form]
        if isinstance(picture, (Path, str)):
            return read(Path(picture), forms)
        if isinstance(picture, bytes):
            return decode_file(picture, forms, Path())
        if not isinstance(picture, np.ndarray):
            found = type(picture).__name__
            return DecodedFile(Path(), f"expected a path, bytes or an array, found {found}")
        kinds = {2: (np.uint8, np.uint16), 3: (np.uint8,)}
        fits = picture.dtype in kinds.get(picture.ndim, ()) and picture.shape[2:] in ((), (3,))
        if not (fits and picture.size):
            found = f"{picture.dtype}{list(picture.shape)}"
            reason = f"expected uint8[h, w], uint16[h, w] or uint8[h, w, 3], found {found}"
            return DecodedFile(Path(), reason)
        encoded = io.BytesIO()  # pixels are read by the rules of files, to the bit
        Image.fromarray(picture).save(encoded, "PNG", compress_level=0)
        return decode_file(encoded.getvalue(), forms, Path())

    def _detect(self, program: StageProgram, files: Sequence[DecodedFile]) -> list[Detection]:
        images = [file.images for file in files]
        probabilities, features, maps = program.start(images).result()
        assert features is not None, "they are kept"
        marks, marker = [None] * len(files), self.gate.marker
        if marker is not None and maps is not None:
            each = marker.mark(maps, [file.size for file in files])
            marks = [mark_dicts(one, 0) for one in each]
        scores = probabilities[:, 1]
        return [
            Detection(float(score), self.classes[int(called)], self._note(file), vector, shown)
            for file, score, called, vector, shown in zip(
                files, scores, self.gate.point.calls(scores), features, marks, strict=True
            )
        ]

    def _note(self, file: DecodedFile) -> str:
        unlike = self.training.unlike(file.images[0]) if self.training else ""
        return "; ".join(filter(None, (file.note, unlike)))


def load_detector(run: Path | str = BUILT_IN) -> Detector:
    """Open a detector: the one that comes with fracjax, a packed run, or a workdir.

    That of fracjax is described in `fracjax/pretrained/detector.md`: its data, its figures with
    their intervals, and what it must not be used for. It is research code, not a medical device.

    A warning says so where marks have no threshold that validation chose.

    Raises:
      InputError: no run of a detector there, several, one without a threshold, or a damaged file.
    """
    workdir = folder_of(Path(run))
    if runs := joined_runs(workdir):
        raise InputError(
            f"{workdir} stands for {len(runs)} runs, which predict_files asks; a Detector is one: "
            f"name one of {', '.join(map(str, runs))}"
        )
    gate = open_detector_gate(workdir, data_mesh(own=True))
    if gate.marker is not None and gate.marker.point is None:
        warnings.warn(gate.marker.words(gate.bundle), stacklevel=2)
    return Detector(gate, training_images.read(workdir, gate.bundle.meta.split_hash))
