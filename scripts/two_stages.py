"""The whole job in one command: detector, threshold, classifier, cascade. On phantoms by default.

python scripts/two_stages.py [--stage1 configs/stage1.py --stage2 configs/stage2_inception.py]
"""

from pathlib import Path

import tyro

from fracjax.cli.errors import door
from fracjax.config.io import load
from fracjax.runtime.multihost import main_console, print_main
from fracjax.runtime.multihost_init import start


def main(
    stage1: Path = Path("configs/phantom_stage1.py"),
    stage2: Path = Path("configs/phantom_stage2.py"),
) -> None:
    """Train and evaluate both stages.

    Args:
      stage1: config of the detector.
      stage2: config of the classifier; it is trained on what the detector lets through.
    """
    first, second = load(stage1), load(stage2)
    start()
    from fracjax.workflows.two_stages import run_two_stages

    folder = run_two_stages(first, second, main_console())
    print_main(f"the figures of the cascade are in {folder}; of each stage in its workdir")


if __name__ == "__main__":
    with door():
        tyro.cli(main)
