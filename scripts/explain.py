"""Where did the networks look? Maps over pictures, and their score against boxes and outlines.

python scripts/explain.py --checkpoint DIR [--split test] [--method gradcam] [--studies 12]
"""

from pathlib import Path
from typing import Literal

import tyro

from fracjax.cli.errors import door
from fracjax.runtime.multihost import main_console, print_main
from fracjax.runtime.multihost_init import start


def main(
    checkpoint: Path,
    split: Literal["validation", "test"] = "test",
    method: Literal["gradcam", "gradcam++", "hirescam"] = "gradcam",
    studies: int = 12,
    out: Path | None = None,
    data_dir: Path | None = None,
) -> None:
    """Explain one checkpoint.

    Args:
      checkpoint: workdir of a trained run.
      split: part to explain.
      method: how a map is made; of the basic CNN Grad-CAM may point elsewhere than it looked,
        HiResCAM does not.
      studies: overlays to write, of studies spread evenly over those that are explained.
      out: folder to write to; by default CHECKPOINT/explanation/SPLIT/METHOD.
      data_dir: where the prepared datasets are, if not where they were in training.
    """
    start()
    from fracjax.runtime.sharding import data_mesh
    from fracjax.workflows.explain import explain_run

    folder = out or checkpoint / "explanation" / split / method
    explain_run(
        checkpoint,
        split,
        data_mesh(),
        main_console(),
        folder,
        method=method,
        studies=studies,
        data_dir=data_dir,
    )
    print_main(f"overlays and localisation.json are in {folder}")


if __name__ == "__main__":
    with door():
        tyro.cli(main)
