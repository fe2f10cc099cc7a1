"""Prepare one dataset: audit every picture, write records, a manifest and a split.

python scripts/prepare_data.py phantom
python scripts/prepare_data.py fracatlas --source FracAtlas.zip
python scripts/prepare_data.py folder --source my_xrays --classes healthy fracture
"""

import tyro

from fracjax.datasets.request import Request
from fracjax.door import door


def main() -> None:
    request = tyro.cli(Request, description=__doc__, config=(tyro.conf.PositionalRequiredArgs,))
    # Imported late, so that --help and a misspelt flag are answered at once.
    from fracjax.datasets.prepare import prepare

    print(prepare(request))


if __name__ == "__main__":
    with door():
        main()
