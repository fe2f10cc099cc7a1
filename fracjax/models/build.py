"""`config.model` → Classifier."""

from flax import nnx

from fracjax.config import Model
from fracjax.errors import InputError
from fracjax.models import basic_cnn, efficientnet_b0, inception_v3, mobilenet_v2, vit
from fracjax.models.backbone import Backbone
from fracjax.models.basic_cnn import BasicCNN
from fracjax.models.classifier import Classifier
from fracjax.models.efficientnet_b0 import EfficientNetB0
from fracjax.models.image_spec import ImageSpec
from fracjax.models.inception_v3 import InceptionV3
from fracjax.models.mobilenet_v2 import MobileNetV2
from fracjax.models.precision import set_compute_dtype
from fracjax.models.vit import ViT

IMAGES: dict[str, ImageSpec] = {
    "basic_cnn": basic_cnn.IMAGE,
    "inception_v3": inception_v3.IMAGE,
    "efficientnet_b0": efficientnet_b0.IMAGE,
    "mobilenet_v2": mobilenet_v2.IMAGE,
    "vit_ti16": vit.IMAGE,
    "vit_s16": vit.IMAGE,
}
"""The pictures that each network takes, by its name in `config.model`."""


def build(model: Model, *, outputs: int, image_size: int, rngs: nnx.Rngs) -> Classifier:
    """Build a network with random weights, in inference mode.

    Args:
      model: the network's name and sizes; its `weights` are not read here.
      outputs: logits per picture; 1 for a detector with a sigmoid, else one per class.
      image_size: side of the square pictures, in pixels.
      rngs: draws the initial parameters.

    Raises:
      UserError: listing what is impossible: an unknown network, a side that leaves no map or cuts
        a patch, no outputs, a width or dropped paths where the network has none.
    """
    check(model, outputs=outputs, image_size=image_size)
    backbone = _backbone(model, image_size, rngs)
    net = Classifier(backbone, outputs=outputs, dropout=model.dropout, rngs=rngs)
    return set_compute_dtype(net, model.precision)


def _backbone(model: Model, image_size: int, rngs: nnx.Rngs) -> Backbone:
    if model.name == "inception_v3":
        return InceptionV3(rngs=rngs)
    if model.name == "efficientnet_b0":
        return EfficientNetB0(drop_path=model.drop_path, rngs=rngs)
    if model.name == "mobilenet_v2":
        return MobileNetV2(rngs=rngs)
    if model.name == "vit_ti16":
        return ViT(width=192, heads=3, image_size=image_size, rngs=rngs)
    if model.name == "vit_s16":
        return ViT(width=384, heads=6, image_size=image_size, rngs=rngs)
    return BasicCNN(image_size=image_size, width=model.width, dropout=model.dropout, rngs=rngs)


def check(model: Model, *, outputs: int, image_size: int) -> None:
    """Refuse what `build` would refuse, at no cost.

    Raises:
      UserError: as `build`.
    """
    if model.name not in IMAGES:
        raise InputError(f"no network {model.name!r}; model.name is one of {', '.join(IMAGES)}")
    smallest = IMAGES[model.name].smallest
    problems = []
    if image_size < smallest:
        problems.append(
            f"data.image-size is {image_size}, but {model.name} needs {smallest} pixels or more"
        )
    elif model.name.startswith("vit_") and (rest := image_size % vit.PATCH):
        problems.append(
            f"data.image-size is {image_size}, but {model.name} cuts pictures into patches of "
            f"{vit.PATCH}: write {image_size - rest} or {image_size - rest + vit.PATCH}"
        )
    if outputs < 1:
        problems.append(f"{outputs} outputs; a network needs 1 (sigmoid) or one per class")
    if model.name != "basic_cnn" and model.width != 1.0:
        problems.append(
            f"model.width is {model.width}, but only basic_cnn has one: leave it at 1.0"
        )
    if model.name != "efficientnet_b0" and model.drop_path != 0.2:
        problems.append(
            f"model.drop-path is {model.drop_path}, but only efficientnet_b0 drops paths: leave it "
            "at 0.2"
        )
    if not 0 <= model.drop_path < 1:
        problems.append(f"model.drop-path is {model.drop_path}; it is a share, 0 to below 1")
    if problems:
        raise InputError("impossible network: " + "; ".join(problems))
