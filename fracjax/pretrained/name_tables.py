"""The networks whose Keras weights convert, each with its table of names."""

from fracjax.pretrained import efficientnet_b0, inception_v3, mobilenet_v2

TABLES = {
    "inception_v3": inception_v3,
    "efficientnet_b0": efficientnet_b0,
    "mobilenet_v2": mobilenet_v2,
}
"""By the network's name in `config.model`."""


def way_to_get(model: str, out: str) -> str:
    """What to type for weights of `model` in the file `out`, the end of a sentence."""
    random = "start from random weights with --model.weights none"
    if model not in TABLES:
        return f"no weights of {model} are published that convert, so {random}"
    published = TABLES[model].PUBLISHED[0]
    md5 = f" (md5 {published.md5})" if published.md5 else ""
    return (
        f"download {published.url}{md5}, convert it with `fracjax convert "
        f"{published.file} --model {model} --out {out}`, or {random}"
    )
