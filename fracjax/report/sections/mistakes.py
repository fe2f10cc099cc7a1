"""The worst mistakes, with what the networks looked at, and how often that was the finding."""

from collections.abc import Sequence
from dataclasses import dataclass

from fracjax.report.page import Block, Gallery, Photo, Prose, Section
from fracjax.report.table import Table


@dataclass(frozen=True)
class Mistakes:
    """Some mistakes of one kind.

    Attributes:
      what: which they are, and after a comma in which order.
      legend: how to read the photos.
      photos: radiographs under their maps.
    """

    what: str
    legend: str
    photos: tuple[Photo, ...]


def mistakes_section(
    kinds: Sequence[Mistakes], localisation: Table | None, *, drawn: bool
) -> Section:
    """Pictures of the mistakes that the networks were surest of.

    Args:
      kinds: the pictures.
      localisation: the maps against boxes and outlines, where the dataset has them.
      drawn: the pictures are phantoms.
    """
    blocks: list[Block] = []
    for kind in kinds:
        if kind.photos:
            blocks.append(Prose((f"{kind.what}. {kind.legend}",)))
        blocks.append(Gallery(kind.photos, f"{kind.what.rpartition(',')[0]}: none."))
    if localisation is not None:
        words = (
            "Pointing game: how often the map's maximum lies in the finding. Energy inside: the "
            "share of the map that does. IoU: overlap of the finding with what is at half the "
            "maximum or more. Beside them a map that is always brightest in the middle, and the "
            "share of the picture that the finding takes."
        )
        blocks += [localisation, Prose((words,))]
    notes = [
        "A map shows where the network looked, not why; a bright spot on a fracture proves no "
        "understanding of it."
    ]
    if not drawn:
        notes.insert(0, "These are pictures of patients: treat this file as you treat them.")
    return Section("mistakes", "The worst mistakes", (*blocks, Prose(tuple(notes), "note")))
