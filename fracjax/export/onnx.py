"""The cascade as an ONNX model, by jax2onnx (https://github.com/enpasos/jax2onnx)."""

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from fracjax.errors import InputError
from fracjax.export.program import cascade, inputs_of
from fracjax.export.verify import Program
from fracjax.inference.stages import Stages

_PACKAGES = ("jax2onnx", "onnxruntime")
_PROVIDER = "CPUExecutionProvider"
DEVICE = f"onnxruntime {_PROVIDER}"
"""On which `load` computes, in words."""


def refuse_impossible(stages: Stages) -> None:
    """Refuse what cannot be written, or not be checked.

    Raises:
      UserError: the packages of the extra are not installed; a stage computes in bfloat16.
    """
    problems = []
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        problems.append(
            f"--onnx needs {' and '.join(missing)}; install them with `pip install -e '.[onnx]'`"
        )
    problems += [
        f"{trained.workdir} computes in bfloat16, which onnxruntime has no convolutions of on a "
        f"CPU; run `fracjax evaluate --checkpoint {trained.workdir} --split validation "
        "--precision float32` first, or leave --onnx out"
        for trained in stages.trained
        if trained.precision == "bfloat16"
    ]
    if problems:
        raise InputError("; ".join(problems))


def write(stages: Stages, path: Path) -> None:
    """Write the cascade for a batch of any size, weights inside; all of it in float32."""
    names = list(_outputs(stages))
    # Grouped convolutions, which ONNX has, in place of the CPU's shifted products.
    function = cascade(stages, exact=jnp.float32, platform="cuda")

    def in_order(*pictures: Any) -> tuple[jax.Array, ...]:
        outputs = function(*pictures)
        return tuple(outputs[name] for name in names)

    (batch,) = export.symbolic_shape("b")
    arguments = [jax.ShapeDtypeStruct((batch, *one.shape), jnp.uint8) for one in inputs_of(stages)]
    with _quiet(), jax.numpy_rank_promotion("allow"):  # its functions promote
        import jax2onnx  # pyright: ignore[reportMissingImports]

        model = jax2onnx.to_onnx(
            in_order,
            arguments,
            model_name="cascade",
            input_names=[one.name for one in inputs_of(stages)],
            output_names=names,
        )
    path.write_bytes(model.SerializeToString())


def load(path: Path) -> Program:
    """What `write` wrote, in onnxruntime on the CPU, to be called with pictures."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: it warns of shapes that jax2onnx annotates wrongly
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=[_PROVIDER])
    inputs = [one.name for one in session.get_inputs()]
    outputs = [one.name for one in session.get_outputs()]

    def program(*pictures: Any) -> dict[str, Any]:
        answers = session.run(outputs, dict(zip(inputs, pictures, strict=True)))
        return dict(zip(outputs, answers, strict=True))

    return program


def provenance(path: Path) -> dict[str, Any]:
    """What the card says of the file that `write` wrote: versions, and opset of each domain."""
    import onnx  # pyright: ignore[reportMissingImports]

    imported = onnx.load(path).opset_import
    return {
        "versions": {name: version(name) for name in ("jax2onnx", "onnx", "onnxruntime")},
        "opset": {one.domain or "ai.onnx": one.version for one in imported},
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """jax2onnx warns of what it lacks for other networks, and of what is old in its own code."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _outputs(stages: Stages) -> tuple[str, ...]:
    return ("probability", "called") + (() if stages.classifier is None else ("types",))
