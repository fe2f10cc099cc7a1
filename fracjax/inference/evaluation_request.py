"""What a run is to be evaluated on, and how; checked before minutes are spent on predictions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fracjax.config import Precision, Views
from fracjax.errors import InputError
from fracjax.evaluation import parse_rule
from fracjax.evaluation.marks_threshold import RULE, parse_marks_rule
from fracjax.evaluation.pool_by import Pool
from fracjax.inference import calibration
from fracjax.inference.calibration import Calibration, evaluate_command
from fracjax.inference.external import EXTERNAL_PARTS
from fracjax.inference.model_bundle import refuse_folds
from fracjax.loading.dataset_view import SEEN_BEFORE
from fracjax.training.checkpoint import CheckpointMetadata


@dataclass(frozen=True)
class EvaluationRequest:
    """What to evaluate, and how."""

    workdir: Path  # the run, or the folder that stands for several (`ensemble_folder`)
    part: str  # validation or test; with `on` also all
    # fit the temperature and choose a detector's threshold, and store both; else they are read. On
    # validation only.
    calibrate: bool = False
    # how to choose the threshold on validation; the config's `threshold` by default.
    rule: str | None = None
    # how to choose the threshold of marks on validation, of networks that make them; `RULE` of
    # `marks_threshold` by default.
    marks: str | None = None
    # views of each study whose probabilities are averaged; by default the config's
    # `augment.test_views`, and on test what validation was evaluated with.
    views: Views | None = None
    # what the networks compute in; by default the config's `model.precision`, likewise.
    precision: Precision | None = None
    # where the prepared datasets are now; the config's `data.dir` by default.
    data_dir: Path | None = None
    # where threshold and temperature are stored, and read from if they are there; else the run.
    out: Path | None = None
    # column, such as patient, of whose values the predictions are pooled as well, and how. Of a
    # detector they have a threshold of their own, chosen on validation.
    per: str | None = None
    pool: Pool = "mean"
    # another dataset to evaluate on, as of `open_external`: its name, its path, or a labelled
    # folder; the names there of the run's classes, if they differ; and whether to leave out the
    # studies that the run has seen.
    on: Path | None = None
    classes: tuple[str, ...] = ()
    leave_out_seen: bool = False


def checked_rule(request: EvaluationRequest, metas: Sequence[CheckpointMetadata]) -> str | None:
    """By which a threshold is to be chosen; None of a classifier, which has none."""
    detector, rules = len(metas[0].classes) == 2, {meta.config.threshold for meta in metas}
    parts = tuple(SEEN_BEFORE) if request.on is None else EXTERNAL_PARTS
    needs = [
        flag
        for flag, given in (
            ("--classes", request.classes),
            ("--leave-out-seen", request.leave_out_seen),
        )
        if given and request.on is None
    ]
    problems = {
        f"the part is {request.part!r}, expected {' or '.join(parts)}": request.part not in parts,
        f"{' and '.join(needs)} without --on: only another dataset has other names, and studies to "
        "leave out": bool(needs),
        "found calibration on another dataset: a threshold and a temperature are chosen on the "
        "run's own validation studies only": request.calibrate and request.on is not None,
        f"found calibration on {request.part}, expected on validation: a threshold and a "
        "temperature are chosen there only": request.calibrate and request.part != "validation",
        f"threshold is {request.rule}: a rule chooses a detector's threshold, on validation only; "
        "leave it out": request.rule is not None and not (detector and request.calibrate),
        f"marks is {request.marks}: a rule chooses the threshold of marks, of a run with "
        "--model.localise, on validation only; leave it out": request.marks is not None
        and not (request.calibrate and any(meta.config.model.localise for meta in metas)),
        f"views is {request.views}; write 1, the study as it is, or more, flip or dihedral": (
            isinstance(request.views, int) and request.views < 1
        ),
        f"the configs of the runs choose the threshold by {' and by '.join(sorted(rules))}: write "
        "--threshold with one rule for their mean": (
            detector and request.calibrate and request.rule is None and len(rules) > 1
        ),
    }
    _refuse(problem for problem, broken in problems.items() if broken)
    parse_rule(rule := request.rule or metas[0].config.threshold)
    parse_marks_rule(request.marks or RULE)
    return rule if detector else None


def stored_for(
    request: EvaluationRequest, metas: Sequence[CheckpointMetadata]
) -> Calibration | None:
    """What validation chose, if it fits the request; None of a classifier without it."""
    if len(metas[0].classes) == 2:
        refuse_folds(request.workdir, metas)
        stored = calibration.read(request.workdir, metas, request.out)
    elif (stored := calibration.read_if_stored(request.workdir, metas, request.out)) is None:
        return None
    views = f"{stored.test_views} view(s)"
    if isinstance(stored.test_views, str):
        views = f"the fixed views {stored.test_views}"
    elif isinstance(stored.test_views, tuple):
        views = f"views that differ by run ({', '.join(map(str, stored.test_views))})"
    # A threshold holds for scores that come about as those it was chosen on.
    what = "temperature was fitted" if stored.point is None else "threshold was chosen"
    _refuse(
        f"{name} is {asked}, but the {what} on {scores}; run "
        f"`{evaluate_command(request.workdir, f'--{name} {asked}')}` first, or leave {name} out"
        for name, asked, own, scores in (
            ("views", request.views, stored.test_views, f"the mean of {views}"),
            ("precision", request.precision, stored.precision, f"scores in {stored.precision}"),
        )
        if asked not in (None, own)
    )
    per, pooled = request.per, stored.pooled
    there = None if pooled is None else (pooled.column, pooled.pool)
    if per and stored.point and there != (per, request.pool):
        command = evaluate_command(request.workdir, f"--per {per} --pool {request.pool}")
        _refuse([f"no threshold per {per} ({request.pool}) was chosen; run `{command}` first"])
    return stored


def _refuse(problems: Iterable[str]) -> None:
    if text := "; ".join(problems):
        raise InputError(text)
