"""Both stages as one pure function of decoded images, weights inside, and as StableHLO.

Dimension names: b batch, k types.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import export, lax
from jaxtyping import Array, Float, UInt8

from fracjax.augment.geometry import arrange
from fracjax.errors import InputError
from fracjax.evaluation import calls
from fracjax.evaluation.temperature import scale_probabilities
from fracjax.imaging.resize import ImageFormat
from fracjax.inference.averaged_maps import map_views, mean_map, mean_of_runs
from fracjax.inference.calibration import evaluate_command
from fracjax.inference.ensemble_bundle import Bundle
from fracjax.inference.model_bundle import ModelBundle
from fracjax.inference.network_programs import program
from fracjax.inference.stages import Stages
from fracjax.ops.backend import tracing_for
from fracjax.training import losses
from fracjax.training.forward import READING

PLATFORMS = ("cpu", "cuda", "tpu")
_LOCATIONS = "jax_traceback_in_locations_limit"
_MOST_BYTES = 2**31 - 2**24  # of weights: jax.export's file has 32-bit offsets

Program = Callable[..., Mapping[str, Any]]
"""Arrays of images to arrays of what is said of them, by the names in the card."""


@dataclass(frozen=True)
class Format:
    """A kind of file that holds the cascade."""

    name: str  # in the card
    file: str  # its name
    write: Callable[[Stages, Path], None]  # the stages, weights inside
    load: Callable[[Path], Program]  # what was written, to be called with images
    provenance: Callable[[Path], dict[str, Any]]  # what the card says of the file besides
    device: str | None = None  # on which the loaded program computes, in words; None for JAX's
    # raises `InputError` for stages that cannot be written, or not be checked.
    refuse_impossible: Callable[[Stages], None] = lambda stages: None


def inputs_of(stages: Stages) -> dict[str, ImageFormat]:
    """Names of the arguments, uint8[b, side, side, channels], and what images are decoded to.

    One, or one for each stage where the stages see images of two forms; a stage of several runs
    that see images of several forms has one for each of these, numbered from 1.
    """
    all_forms = [bundle.forms for bundle in stages.bundles]
    if len({form for forms in all_forms for form in forms}) == 1:
        return {"pictures": all_forms[0][0]}
    names = ("detector_pictures", "classifier_pictures")
    return {
        name + (f"_{number}" if len(forms) > 1 else ""): form
        for name, forms in zip(names, all_forms, strict=False)
        for number, form in enumerate(forms, 1)
    }


def by_stage(stages: Stages, images: Sequence[Any]) -> list[Sequence[Any]]:
    """Of what is given for each of `inputs_of` what each stage takes, in its `forms`."""
    first, last = stages.bundles[0], stages.bundles[-1]
    return [images[: len(first.forms)], images[-len(last.forms) :]][: len(stages.bundles)]


def arguments_of(stages: Stages) -> list[jax.ShapeDtypeStruct]:
    """What the function is traced with, for a batch of any size."""
    (b,) = export.symbolic_shape("b")
    shapes = [(b, form.side, form.side, form.channels) for form in inputs_of(stages).values()]
    return [jax.ShapeDtypeStruct(shape, jnp.uint8) for shape in shapes]


def refuse_impossible(stages: Stages) -> None:
    """Raise `InputError` for views that are drawn at random, and for weights that do not fit."""
    problems = [
        f"{run.workdir} averages over {run.test_views} views of an image that are drawn, and "
        "an export sees it as it is or in fixed views; run "
        f"`{evaluate_command(bundle.workdir, '--views 1')}` first, or with --views flip"
        for bundle in stages.bundles
        for run in bundle.runs
        if isinstance(run.test_views, int) and run.test_views > 1
    ]
    size = sum(leaf.nbytes for it in stages.bundles for leaf in jax.tree.leaves(it.networks))
    if size > _MOST_BYTES:
        problems.append(
            f"the weights of all networks are {size / 2**30:.1f} GiB, and one file holds less than "
            "2 GiB; export the stages one by one, or an ensemble of fewer members"
        )
    if problems:
        raise InputError("; ".join(problems))


def cascade(
    stages: Stages, *, exact: Any = jnp.float64, platform: str | None = None
) -> Callable[..., dict[str, jax.Array]]:
    """What `predict_files` says of images, as a function of `inputs_of(stages)`.

    `probability` (float32[b]) of a fracture and `types` (float32[b, k], only with a classifier),
    both at their stage's temperature, runs, members of ensembles and fixed views averaged; `called`
    (bool[b]) is `probability >= threshold` in float32. The classifier sees every image, called or
    not. `map` (float32[b, g, g]) is there if the detector has one, as of `finding_maps`.

    Probabilities are averaged and scaled in `exact`; float64, as in `ModelBundle`, must be enabled.
    The networks are traced for a `platform`, or for a CPU and for anything else, to be chosen when
    the function is compiled.
    """
    threshold = np.float32(stages.detector.point.threshold)

    def answer(bundle: Bundle, images: Sequence[jax.Array]) -> tuple[jax.Array, jax.Array | None]:
        """As `predict` of either, and `finding_maps`, where it has any."""
        of = dict(zip(bundle.forms, images, strict=True))
        found = [of_run(run, of[run.meta.form]) for run in bundle.runs]
        each, maps = [p for p, _ in found], [own for _, own in found if own is not None]
        mean = jnp.stack(each).mean(axis=0) if len(each) > 1 else each[0]
        scaled = scale_probabilities(mean, bundle.temperature).astype(jnp.float32)
        return scaled, mean_of_runs(maps) if maps else None

    def of_run(bundle: ModelBundle, images: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        views = map_views(bundle.test_views)
        fixed = len(views) > 1
        # All in one batch: the program, and its weights, are no larger for more views.
        seen = jnp.concatenate([arrange(images, one) for one in views]) if fixed else images
        each, maps = [], []
        for variables in bundle.networks:
            logits, cells = _read(bundle, variables, seen, platform)
            p = losses.probabilities(logits).astype(exact)
            if fixed:
                p = p.reshape(len(views), -1, p.shape[1]).mean(axis=0)
            each.append(p / p.sum(axis=1, keepdims=True))
            if cells is not None:
                maps.append(mean_map(cells.reshape(len(views), -1, *cells.shape[1:]), views))
        own = jnp.stack(maps).mean(axis=0) if maps else None
        return jnp.stack(each).mean(axis=0) if len(each) > 1 else each[0], own

    def function(*images: jax.Array) -> dict[str, jax.Array]:
        (detector, own), *classifier = map(answer, stages.bundles, by_stage(stages, images))
        score = detector[:, 1]
        outputs = {"probability": score, "called": calls(score, threshold)}
        if own is not None:
            outputs["map"] = own
        if classifier:
            outputs["types"] = classifier[0][0]
        return outputs

    return function


def _read(
    bundle: ModelBundle, variables: Any, images: UInt8[Array, "b side side c"], platform: str | None
) -> tuple[Float[Array, "b outputs"], Float[Array, "b g g"] | None]:
    """Logits and any map of one network; its layers are those of the platform."""
    forward, localises = bundle.forward, bundle.config.model.localise
    if localises:
        forward = program(bundle.config, bundle.meta.image, bundle.mesh, stop=READING)
    # Traced anew, for another platform than the jitted one, and without its devices.
    forward = inspect.unwrap(forward)

    def traced_for(name: str, weights: Any, images: jax.Array) -> Any:
        with tracing_for(name), jax.enable_x64(False):
            found = forward(weights, images, None)
            return (found.logits, found.cells) if localises else (found, None)

    # Else the compiler would compute with the weights ahead of time: that can take minutes, and
    # rounds otherwise than in the checkpoint's own program, where they are arguments.
    weights = lax.optimization_barrier(jax.device_get(variables))
    if platform is not None:
        return traced_for(platform, weights, images)
    by_platform = {"cpu": partial(traced_for, "cpu"), "default": partial(traced_for, "cuda")}
    return lax.platform_dependent(weights, images, **by_platform)


def lower(stages: Stages) -> export.Exported:
    """The cascade as StableHLO, for any number of images on any of `PLATFORMS`."""
    before = jax.config.values[_LOCATIONS]
    jax.config.update(_LOCATIONS, 0)  # no folders of this machine: the same runs, the same bytes
    try:
        with jax.enable_x64(True):  # float64 comes after the networks: `cascade`
            lowered = export.export(jax.jit(cascade(stages)), platforms=PLATFORMS)
            return lowered(*arguments_of(stages))
    finally:
        jax.config.update(_LOCATIONS, before)


def _write(stages: Stages, path: Path) -> None:
    path.write_bytes(lower(stages).serialize())


def _deserialize(path: Path) -> export.Exported:
    return export.deserialize(bytearray(path.read_bytes()))


def _provenance(path: Path) -> dict[str, Any]:
    exported = _deserialize(path)
    names = ("platforms", "calling_convention_version")
    return {name: getattr(exported, name) for name in names}


def _load(path: Path) -> Program:
    return cast(Program, _deserialize(path).call)


STABLEHLO = Format("jax_export", "cascade.jax", _write, _load, _provenance)
"""One file for every platform and every size of batch."""
