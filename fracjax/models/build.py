"""`config.model` → Classifier."""

from flax import nnx

from fracjax.config import Model
from fracjax.errors import UserError
from fracjax.image_spec import ImageSpec
from fracjax.models import basic_cnn, inception_v3
from fracjax.models.basic_cnn import BasicCNN
from fracjax.models.classifier import Classifier
from fracjax.models.inception_v3 import InceptionV3

IMAGES: dict[str, ImageSpec] = {"basic_cnn": basic_cnn.IMAGE, "inception_v3": inception_v3.IMAGE}
"""The pictures that each network takes, by its name in `config.model`."""


def build(model: Model, *, outputs: int, image_size: int, rngs: nnx.Rngs) -> Classifier:
    """Build a network with random weights, in inference mode.

    Args:
      model: the network's name and sizes; its `weights` are not read here.
      outputs: logits per picture; 1 for a detector with a sigmoid, else one per class.
      image_size: side of the square pictures, in pixels.
      rngs: draws the initial parameters.

    Raises:
      UserError: listing what is impossible: an unknown network, a side that leaves no map, no
        outputs, a width where the network has none.
    """
    check(model, outputs=outputs, image_size=image_size)
    if model.name == "inception_v3":
        backbone = InceptionV3(rngs=rngs)
    else:
        backbone = BasicCNN(
            image_size=image_size, width=model.width, dropout=model.dropout, rngs=rngs
        )
    return Classifier(backbone, outputs=outputs, dropout=model.dropout, rngs=rngs)


def check(model: Model, *, outputs: int, image_size: int) -> None:
    """Refuse what `build` would refuse, at no cost.

    Raises:
      UserError: as `build`.
    """
    if model.name not in IMAGES:
        raise UserError(f"no network {model.name!r}; model.name is one of {', '.join(IMAGES)}")
    smallest = IMAGES[model.name].smallest
    problems = []
    if image_size < smallest:
        problems.append(
            f"data.image-size is {image_size}, but {model.name} needs {smallest} pixels or more"
        )
    if outputs < 1:
        problems.append(f"{outputs} outputs; a network needs 1 (sigmoid) or one per class")
    if model.name != "basic_cnn" and model.width != 1.0:
        problems.append(
            f"model.width is {model.width}, but only basic_cnn has one: leave it at 1.0"
        )
    if problems:
        raise UserError("impossible network: " + "; ".join(problems))
