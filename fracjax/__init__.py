"""fracjax: two-stage bone fracture detection and classification in radiographs, on JAX.

The names below are the front of the package (`docs/api.md`); they are imported when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fracjax.api import evaluate as evaluate
    from fracjax.api import fit as fit
    from fracjax.api import open_run as open_run
    from fracjax.api import predict_files as predict_files
    from fracjax.api import prepare as prepare
    from fracjax.config import Config as Config
    from fracjax.config.io import load as load_config  # noqa: F401
    from fracjax.errors import InputError as InputError
    from fracjax.evaluation import Predictions as Predictions
    from fracjax.inference.detector import Detector as Detector
    from fracjax.inference.detector import load_detector as load_detector
    from fracjax.inference.model_bundle import ModelBundle as ModelBundle

__version__ = "0.1.0"

_FRONT = {
    "Config": "config",
    "Detector": "inference.detector",
    "InputError": "errors",
    "ModelBundle": "inference.model_bundle",
    "Predictions": "evaluation",
    "evaluate": "api",
    "fit": "api",
    "load_config": "config.io:load",
    "load_detector": "inference.detector",
    "open_run": "api",
    "predict_files": "api",
    "prepare": "api",
}
__all__ = [*_FRONT, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a name of the front.

    Source: PEP 562.
    """
    if name not in _FRONT:
        raise AttributeError(f"module 'fracjax' has no attribute {name!r}")
    module, _, other = _FRONT[name].partition(":")
    value = getattr(importlib.import_module(f"fracjax.{module}"), other or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_FRONT})
