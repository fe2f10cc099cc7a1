"""Prepare one dataset: audit every picture, write records, a manifest and a split.

python scripts/prepare_data.py phantom
python scripts/prepare_data.py fracatlas --source FracAtlas.zip
python scripts/prepare_data.py folder --source my_xrays --classes healthy fracture
"""

import sys

import tyro

from fracjax.datasets.prepare import Request, prepare
from fracjax.errors import UserError


def main() -> None:
    request = tyro.cli(Request, description=__doc__, config=(tyro.conf.PositionalRequiredArgs,))
    try:
        print(prepare(request))
    except UserError as error:
        sys.exit(_refuse(error))


def _refuse(error: UserError) -> int:
    print(f"prepare_data: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
