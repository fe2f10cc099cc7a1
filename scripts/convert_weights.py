"""Convert a Keras file of ImageNet weights, once, into the file that training reads.

python scripts/convert_weights.py FILE.h5 [--model efficientnet_b0] [--out PATH]
"""

from pathlib import Path

import tyro

from fracjax.cli.errors import door
from fracjax.pretrained.convert import convert, network_of


def main(file: tyro.conf.Positional[Path], model: str | None = None, out: Path | None = None):
    """Convert a Keras file of ImageNet weights into the file that training reads.

    Args:
      file: the .h5, .weights.h5 or .keras file that Keras wrote, with or without the top.
      model: the network it is of; by default it is told by the names in the file.
      out: the file to write; by default weights/MODEL.npz.
    """
    model = model or network_of(file)
    out = out or Path("weights") / f"{model}.npz"
    provenance = convert(file, model=model, out=out)
    left_out = ", ".join(provenance.left_out) or "nothing"
    print(f"read  {file}: {model}  (sha256 {provenance.sha256}; left out: {left_out})")
    print(f"      {provenance.published}")
    print(f"wrote {out}  (use it with --model.name {model} --model.weights {out})")


if __name__ == "__main__":
    with door():
        tyro.cli(main, description=__doc__)
