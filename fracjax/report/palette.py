"""Colours of pages and charts, by what they are for; Okabe and Ito's, told apart by everyone.

A chart is drawn in the light ones; `charts.canvas` turns each into the CSS variable of its name,
so that the page can show it in the dark ones. What colour says, a mark or a number says too.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shade:
    """One colour on white paper and its counterpart on a dark screen, as #rrggbb."""

    light: str
    dark: str


PALETTE = {
    "paper": Shade("#ffffff", "#14181d"),
    "panel": Shade("#f4f6f8", "#1d232a"),
    "ink": Shade("#1b1f24", "#e6e9ec"),
    "muted": Shade("#57606a", "#a3adb8"),
    "rule": Shade("#d5dbe1", "#3a434d"),
    "blue": Shade("#0072b2", "#5ab7ec"),
    "orange": Shade("#d55e00", "#ff9350"),
    "green": Shade("#009e73", "#2fc7a0"),
    "purple": Shade("#a8557f", "#d78fb5"),
    # Below dark text on paper and light text on a dark screen, at up to 0.65 of its strength.
    "heat": Shade("#0a72b0", "#1c78b8"),
    "link": Shade("#005a8f", "#7cc4f0"),
    "warning": Shade("#fff4e5", "#33261a"),
}
"""All of them differ in light, for a colour to be known by its name."""

INK, MUTED, RULE, PAPER, PANEL = (
    PALETTE[name].light for name in ("ink", "muted", "rule", "paper", "panel")
)
BLUE, ORANGE, GREEN, PURPLE, HEAT = (
    PALETTE[name].light for name in ("blue", "orange", "green", "purple", "heat")
)
HEAT_MOST = 0.65


def css(mode: str) -> str:
    """Declarations of all variables in one mode, "light" or "dark"."""
    return " ".join(f"--{name}: {getattr(shade, mode)};" for name, shade in PALETTE.items())
