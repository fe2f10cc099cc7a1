"""Export trained stages as one file that runs without fracjax. Research code, not a medical device.

python scripts/export.py --stage1 DIR [--stage2 DIR] [--out DIR] [--onnx]
"""

from pathlib import Path

import tyro

from fracjax.cli.errors import door


def main(
    stage1: Path,
    stage2: Path | None = None,
    out: Path = Path("exported"),
    onnx: bool = False,
    check: Path | None = None,
    data_dir: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Export trained stages as one file that runs without fracjax.

    What is written is read again, run on pictures, and kept only if it says what the checkpoints
    say.

    Args:
      stage1: workdir of the trained detector; `evaluate.py` must have chosen its threshold.
      stage2: workdir of the trained classifier.
      out: folder for cascade.jax, for card.json, which says how to use it, and for cascade.onnx.
      onnx: write ONNX, too; needs `pip install -e '.[onnx]'`.
      check: folder of pictures to check on; by default the detector's validation studies.
      data_dir: where the prepared datasets are, if not where they were in training.
      overwrite: replace an earlier export in that folder.
    """
    import jax
    from rich.console import Console

    # It is written for every platform, and float32 is checked where it is float32: on a GPU
    # convolutions round their inputs.
    jax.config.update("jax_platforms", "cpu")
    from fracjax.export import export_into
    from fracjax.runtime.sharding import data_mesh

    export_into(
        out,
        stage1,
        stage2,
        data_mesh(),
        Console(),
        onnx=onnx,
        check_on=check,
        data_dir=data_dir,
        overwrite=overwrite,
    )
    print(f"the export and its card.json are in {out}; docs/export.md shows how to use them")


if __name__ == "__main__":
    with door():
        tyro.cli(main, description=__doc__)
