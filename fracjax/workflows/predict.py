"""Predictions of a user's files: CSV as they come, JSON at the end, overlays, and a summary."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh
from rich.console import Console
from rich.progress import track

import fracjax
from fracjax.config.class_names import print_roles
from fracjax.errors import InputError
from fracjax.imaging.file_tree import NOT_ENTERED
from fracjax.inference import training_images
from fracjax.inference.calibration import about
from fracjax.inference.ensemble_folder import Runs, folder_of
from fracjax.inference.feature_files import FEATURES, ROWS, feature_rows, refuse_several
from fracjax.inference.finding_maps import runs_with_map
from fracjax.inference.input_files import FileList, find_files
from fracjax.inference.mark_files import marks_table, write_coco
from fracjax.inference.predict_files import ThroughputMeter, predict_files
from fracjax.inference.prediction_files import (
    FileShard,
    parts_of,
    results_table,
    write_results,
)
from fracjax.inference.stages import Stages, open_stages
from fracjax.runtime.atomic_files import refuse_existing, to_json
from fracjax.runtime.disk_space import naming_full_disk
from fracjax.runtime.multihost import (
    allgather,
    check_same_on_all_hosts,
    check_shared,
    process_index_count,
    run_on_main,
)
from fracjax.runtime.workdir_lock import only_user
from fracjax.workflows.prediction_overlays import Overlays, Wanted
from fracjax.workflows.prediction_page import PAGE, TAGS, image_tags, write_page

NOTICE = "research code, not a medical device"
CSV, JSON, OVERLAYS = "predictions.csv", "predictions.json", "overlays"
MARKS, COCO = "marks.csv", "marks_coco.json"

_FILES = (CSV, JSON, MARKS, COCO, PAGE, TAGS, FEATURES, *ROWS)


@dataclass
class Summary:
    """What became of the files that were found: the results of those that are done."""

    found: FileList
    results: list[dict[str, Any]] = field(default_factory=list)
    # the time it took; of several processes, the slowest one's.
    meter: ThroughputMeter = field(default_factory=ThroughputMeter)
    features: str = ""  # what is in the file of features; empty if there is none

    @property
    def unreadable(self) -> Counter[str]:
        """Files that were not read, by the kind of reason."""
        reasons = (it["reason"] for it in self.results if it["status"] == "unreadable")
        return Counter(reason.partition(":")[0] for reason in reasons)

    @property
    def read(self) -> int:
        """Files that were read."""
        return self.each("status").count("read")

    @property
    def not_entered(self) -> int:
        """Folders that links lead to again."""
        return self.each("status").count(NOT_ENTERED)

    def each(self, key: str) -> list[str]:
        """What the results say by one key, where they say something."""
        return [result[key] for result in self.results if result[key]]


def predict_into(
    folder: Path,
    stage1: Runs,
    stage2: Runs | None,
    paths: Sequence[Path],
    mesh: Mesh,
    console: Console,
    *,
    overlays: Wanted = "none",
    report: bool = False,
    features: bool = False,
    coco: bool = False,
    batch_size: int | None = None,
    overwrite: bool = False,
) -> Summary:
    """Predict files and folders, and write what was found into a folder.

    Each line of the CSV is there as soon as its file is done, also if the process is killed; the
    JSON at the end, also if it is interrupted. `overlays/ROW_NAME.png` belongs to the file in that
    row of the CSV, counted from 1.

    `report` writes a page of them, too, with overlays of what is called fractured, and `features`
    the file of `FeatureRows`. Images that are unlike those of training, where the run knows these,
    have a note. The marks of a detector with a map, which reach their threshold, are in the JSON,
    in marks.csv, on overlays and page, and, with `coco`, in a COCO dataset.

    Of several processes each predicts a part of the files on devices of its own, beside the CSV in
    one with its number, and the first one puts the results together.

    `stage1` is the workdir of a detector with a threshold, `stage2` that of a classifier of what it
    calls fractured; several workdirs that were evaluated together answer as one, and overlays are
    then of the first of them. Features are of stages that are one run. `batch_size` is by default
    that of training. `KeyboardInterrupt` says what is finished, and where it is.
    """
    stage1, stage2 = folder_of(stage1), None if stage2 is None else folder_of(stage2)
    if features:
        refuse_several(*filter(None, (stage1, stage2)))
    found = find_files(paths, leave_out=folder)
    check_same_on_all_hosts({"files": "\n".join(map(str, found.files))})
    shard = FileShard(*process_index_count(), len(found.files))
    parts = [part.name for name in _FILES for part in parts_of(folder / name)]
    refuse_existing(folder, (*_FILES, OVERLAYS, *parts), overwrite)
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; write 1 or more, or leave it out")
    run_on_main(lambda: folder.mkdir(parents=True, exist_ok=True), "folder")
    if shard.count > 1:
        check_shared(folder)
    holding = only_user(folder, does="predicts into", instead="name another --out")
    with holding, naming_full_disk(folder, "make room there, or name another --out"):
        refuse_existing(folder, (*_FILES, OVERLAYS, *parts), overwrite)  # of who was here before
        stages = open_stages(stage1, stage2, mesh)
        detector, marker = stages.detector.bundle, stages.detector.marker
        if coco and marker is None:
            raise InputError(
                f"{stage1} has no map of findings, and marks are made of one: leave coco out, or "
                "predict with a run of --model.localise"
            )
        stages.warn_if_mismatched(console)
        if marker is not None and marker.point is None:
            console.print(marker.words(detector), markup=False, highlight=False, soft_wrap=True)
        print_roles(console, detector.meta.classes)
        run_on_main(lambda: _clear(folder), "cleared")
        files, summary = shard.of(found.files), Summary(found)
        training = training_images.read(stage1, detector.meta.split_hash)
        keep = report or overlays != "none" or training is not None
        how = {"batch_size": batch_size, "keep_images": keep, "meter": summary.meter}
        how |= {"keep_features": features}
        types = stages.classifier.meta.classes if stages.classifier else ()
        table = shard.path(folder / CSV)
        with (
            closing(predict_files(stages, files, **how)) as results,
            results_table(table, stages.detector.point.threshold, types, marks=bool(marker)) as add,
            marks_table(shard.path(folder / MARKS), "path") if marker else nullcontext() as mark,
            image_tags(shard.path(folder / TAGS), report) as tags,
            feature_rows(folder, shard, stages.bundles, features) as vectors,
        ):
            drawn = Overlays(stages.detector, overlays, folder / OVERLAYS, tags)

            def write_rest() -> None:
                """What is made of all results, once they are there."""
                if report:
                    write_page(folder, stages, training, summary.results, len(found.files))
                if coco:
                    write_coco(folder / COCO, summary.results, detector.meta.classes[1])
                if vectors is not None:
                    summary.features = vectors.write(summary.results)

            try:
                bar = {"total": len(files), "console": console, "transient": True}
                shown = track(results, "Predicting", **bar)
                for row, result in enumerate(shown, shard.first + 1):
                    result.reason = found.refused.get(result.path, result.reason)
                    if training is not None and result.images:
                        unlike = training.unlike(result.images[0])
                        result.note = "; ".join(filter(None, (result.note, unlike)))
                    add(result)
                    summary.results.append(result.to_dict())
                    if vectors is not None:
                        vectors.add(row, result)
                    if mark is not None and result.marks is not None:
                        mark(str(result.path), result.marks, 0)
                    drawn.add(row, result)
                drawn.draw()
            except KeyboardInterrupt as stop:
                kept = f"{len(summary.results)} of {len(found.files)} files are in {table}"
                kept += f" and {shard.path(folder / JSON).name}"
                if shard.count > 1:
                    kept += f"; what other processes finished is in {CSV}, {CSV}.0001, ..."
                raise KeyboardInterrupt(f"interrupted: {kept}") from stop
            finally:
                write_results(shard.path(folder / JSON), _header(stages, summary), summary.results)
                if tags is not None:
                    tags.close()
                if vectors is not None:
                    vectors.close()
                if shard.count == 1:
                    write_rest()
        # This waits for all: what they found is on the disk then.
        slowest = max(allgather([summary.meter.seconds, summary.meter.waited]))
        summary.meter = ThroughputMeter(*slowest)
        if shard.count > 1 and shard.index == 0:
            summary.results += shard.join(folder / CSV, folder / JSON)
            write_results(folder / JSON, _header(stages, summary), summary.results)
            if marker is not None:
                shard.append(folder / MARKS, header=True)
            if report:
                shard.append(folder / TAGS)
            if vectors is not None:
                vectors.append()
            write_rest()
        show_summary(summary, console)
        return summary


def show_summary(summary: Summary, console: Console) -> None:
    """Print what became of the files, and how fast."""
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    found, unreadable, meter = summary.found, summary.unreadable, summary.meter
    files = len(found.files) - summary.not_entered
    say(f"{files} files: {summary.read} read, {unreadable.total()} unreadable")
    for kind, count in unreadable.most_common():
        say(f"  {kind}: {count}")
    beside = Counter(f"skipped as {reason}" for reason in found.skipped.values())
    beside["named again"] = len(found.repeated)
    beside["folders not entered, since they are read already"] = summary.not_entered
    if counts := ", ".join(f"{count} {what}" for what, count in beside.items() if count):
        say(f"  besides: {counts}; {JSON} names them")
    if noted := len(summary.each("note")):
        say(f"  with a note: {noted}; {CSV} has them")
    for what, key in (("called", "decision"), ("of those", "type")):
        if most := Counter(summary.each(key)).most_common():
            say(f"{what}: " + ", ".join(f"{name} {n}" for name, n in most))
    if marked := [it["marks"] for it in summary.results if "marks" in it]:
        say(
            f"marked: {sum(map(bool, marked))} of {len(marked)}, with {sum(map(len, marked))} marks"
        )
    if summary.features:
        say(summary.features)
    if summary.read and meter.seconds:
        say(
            f"{summary.read / meter.seconds:.1f} images/s; the device waited for images "
            f"{meter.waited / meter.seconds:.1%} of the time"
        )
    say(f"{NOTICE[0].upper()}{NOTICE[1:]}.")


def _clear(folder: Path) -> None:
    """Remove the results of an earlier run: what is left of it must not look like this one's."""
    results = [part for name in _FILES for part in (folder / name, *parts_of(folder / name))]
    for path in (*results, *(folder / OVERLAYS).glob("[0-9]*_*.png")):
        path.unlink(missing_ok=True)


def _header(stages: Stages, summary: Summary) -> dict[str, Any]:
    found, device = summary.found, jax.devices()[0]
    classes = stages.detector.bundle.meta.classes
    marker, drawn = stages.detector.marker, stages.detector.bundle.runs[:1]
    about_marks = {}
    if marker is not None:
        about_marks["marks_threshold"] = to_json(marker.threshold)
        about_marks["marks_chosen"] = to_json(marker.point)
        drawn = runs_with_map(stages.detector.bundle)
    return {
        "notice": NOTICE,
        "fracjax": fracjax.__version__,
        "stage1": about(stages.detector.bundle),
        "stage2": None if stages.classifier is None else about(stages.classifier),
        "maps_of": ", ".join(str(run.workdir) for run in drawn),
        "trained_behind_this_detector": stages.matched if stages.classifier else None,
        "classes": dict(zip(("negative", "positive"), classes, strict=True)),
        "operating_point": to_json(stages.detector.point),
        **about_marks,
        "device": f"{device.platform} {device.device_kind}",
        "files": len(found.files),
        "complete": len(summary.results) == len(found.files),
        "read": summary.read,
        "unreadable": dict(summary.unreadable),
        "decisions": dict(Counter(summary.each("decision"))),
        "types": dict(Counter(summary.each("type"))),
        "skipped": {str(path): reason for path, reason in found.skipped.items()},
        "repeated": [str(path) for path in found.repeated],
    }
