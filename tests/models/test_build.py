import pytest
from flax import nnx

from fracjax.config import Model
from fracjax.errors import InputError
from fracjax.models.build import build


def refusal(model: Model, outputs: int = 1, image_size: int = 224) -> str:
    with pytest.raises(InputError) as error:
        build(model, outputs=outputs, image_size=image_size, rngs=nnx.Rngs(0))
    return str(error.value)


def test_the_smallest_side_is_taken_and_one_less_is_not():
    model = Model(name="basic_cnn", width=0.1)
    net = nnx.eval_shape(lambda: build(model, outputs=1, image_size=8, rngs=nnx.Rngs(0)))
    assert net.image.smallest == 8
    assert "data.image_size is 7, but basic_cnn needs 8 pixels or more" in refusal(model, 1, 7)
    assert "image_size is 74, but inception_v3 needs 75" in refusal(
        Model(name="inception_v3"), image_size=74
    )


def test_every_problem_is_listed():
    message = refusal(
        Model(name="inception_v3", width=0.5, drop_path=0.1), outputs=0, image_size=32
    )
    assert "needs 75" in message
    assert "0 outputs" in message
    assert "model.width is 0.5, but only basic_cnn has one" in message
    assert "model.drop_path is 0.1, but only efficientnet_b0 has one" in message


def test_the_fraction_of_dropped_paths_reaches_the_network():
    model = Model(name="efficientnet_b0", drop_path=0.32)
    net = nnx.eval_shape(lambda: build(model, outputs=3, image_size=32, rngs=nnx.Rngs(0)))
    rates = {name: getattr(net.backbone, name).drop.rate for name in ("block2b", "block6d")}
    assert rates == {"block2b": pytest.approx(0.04), "block6d": pytest.approx(0.28)}
    assert not hasattr(net.backbone.blocks("block1a")[0], "drop")


def test_an_unknown_network_is_refused_with_the_known_ones():
    model = Model()
    object.__setattr__(model, "name", "resnet")  # as from a file; the constructor is type-checked
    message = refusal(model)
    assert message.startswith(
        "no backbone 'resnet'; model.name is one of basic_cnn, inception_v3, "
    )
