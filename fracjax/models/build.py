"""`config.model` → Classifier."""

from collections.abc import Callable
from functools import partial
from typing import Any

from flax import nnx

from fracjax.config import Model
from fracjax.errors import InputError
from fracjax.models.backbone import ImageSpec
from fracjax.models.basic_cnn import BasicCNN
from fracjax.models.classifier import Classifier
from fracjax.models.efficientnet_b0 import EfficientNetB0
from fracjax.models.inception_v3 import InceptionV3
from fracjax.models.mobilenet_v2 import MobileNetV2
from fracjax.models.own_backbone import arguments, check_built, own_backbone
from fracjax.models.precision import set_compute_dtype
from fracjax.models.vit import PATCH, ViT

# Of each backbone its class, and its arguments by the config's model and the images' side.
_BACKBONES: dict[str, tuple[type[Any], Callable[[Model, int], dict[str, Any]]]] = {
    "basic_cnn": (
        BasicCNN,
        lambda model, side: dict(image_size=side, width=model.width, dropout=model.dropout),
    ),
    "inception_v3": (InceptionV3, lambda *_: {}),
    "efficientnet_b0": (EfficientNetB0, lambda model, _: dict(drop_path=model.drop_path)),
    "mobilenet_v2": (MobileNetV2, lambda *_: {}),
    "vit_ti16": (ViT, lambda _, side: dict(width=192, heads=3, image_size=side)),
    "vit_s16": (ViT, lambda _, side: dict(width=384, heads=6, image_size=side)),
}
IMAGES: dict[str, ImageSpec] = {name: backbone.IMAGE for name, (backbone, _) in _BACKBONES.items()}
"""The images that each backbone takes, by its name in `config.model`."""


def build(model: Model, *, outputs: int, image_size: int, rngs: nnx.Rngs) -> Classifier:
    """Build a model with random weights, in inference mode; `model.weights` are not read here.

    Its `outputs` are logits per image, 1 for a detector with a sigmoid, else one per class; images
    are squares of `image_size` pixels a side.

    Raises:
      InputError: listing what is impossible: an unknown backbone, a side that leaves no map or cuts
        a patch, no outputs, a width or dropped paths where the backbone has none.
    """
    check(model, outputs=outputs, image_size=image_size)
    kind, options = _backbone(model.name)
    backbone = kind(**options(model, image_size), rngs=rngs)
    net = Classifier(
        backbone,
        outputs=outputs,
        dropout=model.dropout,
        rngs=rngs,
        image_size=image_size if model.localise else None,
    )
    return set_compute_dtype(net, model.precision)


def images_of(name: str) -> ImageSpec:
    """The images that a backbone takes, one of the package or a user's own."""
    return _backbone(name)[0].IMAGE


def _backbone(name: str) -> tuple[type[Any], Callable[[Model, int], dict[str, Any]]]:
    if ":" not in name:
        return _BACKBONES[name]
    kind = own_backbone(name)
    return kind, partial(arguments, kind)


def check(model: Model, *, outputs: int, image_size: int) -> None:
    """Refuse what `build` would refuse, at no cost."""
    own = ":" in model.name
    if not own and model.name not in IMAGES:
        raise InputError(f"no backbone {model.name!r}; model.name is one of {', '.join(IMAGES)}")
    kind, options = _backbone(model.name)
    takes = options(model, image_size) if own else {}
    smallest, problems = kind.IMAGE.smallest, []
    asked = f"data.image_size is {image_size}, but {model.name}"
    if image_size < smallest:
        problems.append(f"{asked} needs {smallest} pixels or more")
    elif model.name.startswith("vit_") and (rest := image_size % PATCH):
        lower = image_size - rest
        problems.append(
            f"{asked} cuts images into patches of {PATCH}: write {lower} or {lower + PATCH}"
        )
    if outputs < 1:
        problems.append(f"{outputs} outputs; a model needs 1 (sigmoid) or one per class")
    for field, only in (("width", "basic_cnn"), ("drop_path", "efficientnet_b0")):
        value, standard = getattr(model, field), getattr(Model, field)
        if value != standard and model.name != only and field not in takes:
            problems.append(
                f"model.{field} is {value}, but only {only} has one: leave it at {standard}"
            )
    if problems:
        raise InputError("impossible model: " + "; ".join(problems))
    if own:
        check_built(kind, model, image_size)
