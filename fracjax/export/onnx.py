"""The cascade as an ONNX model, by jax2onnx (https://github.com/enpasos/jax2onnx)."""

import importlib
import importlib.util
import logging
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from fracjax.errors import InputError
from fracjax.export.program import Format, Program, arguments_of, cascade, inputs_of
from fracjax.inference.calibration import evaluate_command
from fracjax.inference.finding_maps import map_grid
from fracjax.inference.stages import Stages

_PACKAGES = ("jax2onnx", "onnxruntime")
_PROVIDER = "CPUExecutionProvider"


def _refuse_impossible(stages: Stages) -> None:
    problems = []
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        problems.append(
            f"--onnx needs {' and '.join(missing)}; install them with `pip install -e '.[onnx]'`"
        )
    problems += [
        f"{run.workdir} computes in bfloat16, which onnxruntime has no convolutions of on a "
        f"CPU; run `{evaluate_command(bundle.workdir, '--precision float32')}` first, or leave "
        "--onnx out"
        for bundle in stages.bundles
        for run in bundle.runs
        if run.precision == "bfloat16"
    ]
    problems += [
        f"{run.workdir} averages over the fixed views {run.test_views}, which are written "
        f"with JAX only; run `{evaluate_command(bundle.workdir, '--views 1')}` first, or leave "
        "--onnx out"
        for bundle in stages.bundles
        for run in bundle.runs
        if isinstance(run.test_views, str)
    ]
    if problems:
        raise InputError("; ".join(problems))


def _write(stages: Stages, path: Path) -> None:
    """Write the cascade for a batch of any size, weights inside; all of it in float32."""
    names = ["probability", "called"]
    names += ["map"] if map_grid(stages.detector.bundle) else []
    names += [] if stages.classifier is None else ["types"]
    # Grouped convolutions, which ONNX has, in place of the CPU's shifted products.
    function = cascade(stages, exact=jnp.float32, platform="cuda")

    def in_order(*images: Any) -> tuple[jax.Array, ...]:
        outputs = function(*images)
        return tuple(outputs[name] for name in names)

    # It warns of what it lacks for other networks and of what is old in its own code, and promotes.
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"), jax.numpy_rank_promotion("allow"):
            import jax2onnx  # pyright: ignore[reportMissingImports]

            model = jax2onnx.to_onnx(
                in_order,
                arguments_of(stages),
                model_name="cascade",
                input_names=list(inputs_of(stages)),
                output_names=names,
            )
    finally:
        logging.disable(before)
    path.write_bytes(model.SerializeToString())


def _load(path: Path) -> Program:
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: it warns of shapes that jax2onnx annotates wrongly
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=[_PROVIDER])
    inputs = [one.name for one in session.get_inputs()]
    outputs = [one.name for one in session.get_outputs()]

    def program(*images: Any) -> dict[str, Any]:
        answers = session.run(outputs, dict(zip(inputs, images, strict=True)))
        return dict(zip(outputs, answers, strict=True))

    return program


def _provenance(path: Path) -> dict[str, Any]:
    # By name: `import onnx` is this file to a type checker.
    imported = importlib.import_module("onnx").load(path).opset_import
    return {
        "versions": {name: version(name) for name in ("jax2onnx", "onnx", "onnxruntime")},
        "opset": {one.domain or "ai.onnx": one.version for one in imported},
    }


ONNX = Format(
    "onnx",
    "cascade.onnx",
    _write,
    _load,
    _provenance,
    device=f"onnxruntime {_PROVIDER}",
    refuse_impossible=_refuse_impossible,
)
"""The packages of the extra `onnx` are imported when it is used."""
