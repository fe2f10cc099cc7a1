"""Names of classes: when two spellings are one, and what a name says of its role.

Of two classes the first is the negative one. Nobody's figures may turn on the alphabet, so the role
is always named by the user; here is what shows that he named it the wrong way round.
"""

import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

_HIDDEN = "\0"  # which no word of a command line has
Role = Literal["negative", "positive", ""]
"""What a name says; empty if nothing."""

# Stems in small letters without accents, in English, German, French, Spanish, Portuguese, Italian,
# Dutch, Polish, Czech, Russian, Scandinavian and Finnish, Hungarian, Turkish, Arabic, Chinese,
# Japanese and Korean. No kinds of fracture: `hairline` beside `spiral` would be its opposite.
_FINDING = re.compile(
    r"fractu|fraktur|frattur|fratur|fx\b|fract?\b|broke|break|bruch|gebroch|breuk|\bcasse|\bbrise|"
    r"\brott[oa]\b|\brot[oa]s?\b|rotura|quebrad|перелом|сломан|трещин|perelom|zlaman|zlomen|"
    r"brudd?\b|brott\b|murtum|\btores\b|\btorott|\bkirik|كسر|مكسور|骨折|골절|"
    r"abnorm|anorm|anomal|異常|异常|비정상|injur|trauma|lesion|\blesao\b|damag|beschadig|verletz|ladiert|"
    r"patholog|patolog|патолог|disease|disorder|malign|\bsick\b|\bill\b|\bkrank|malad|enferm|doente|"
    r"finding|befund|affected|remarkable|auffallig|"
    r"dislocat|luxat|crack|fissur|defect|tumou?r|cancer|arthr"
)
_NORMAL = re.compile(
    r"norma|health|gesund|gezond|\bsaine?s?\b|\bsan[oa]s?\b|saudav|zdrow|zdrav|prawidlow|sagli?[ak]|"
    r"здоров|норма|سليم|طبيعي|正常|健康|정상|intact|intakt|\bindemne|\bill?es[oa]s?\b|\bheil\b|\bfrisk|"
    r"\bterve|benign|gutartig|\bcontrols?\b|\bclear\b|\bwnl\b|\bnad\b"
)
_POSITIVE = re.compile(r"\bpos\b|positi[vf]|положит|dodatn|阳性|陽性|양성")
_NEGATIVE = re.compile(r"\bneg\b|negati[vf]|отрицат|ujemn|阴性|陰性|음성")
_NOT = re.compile(
    r"no|not|non|none|never|nil|neither|nor|without|absence|lacks?|kein(e[nrs]?)?|ohne|nicht|"
    r"abwesenheit|fehlende[nrs]?|ausschluss|sans|pas|aucune?|sin|ningun[oa]?|ausencia|falta|sem|nao|"
    r"nenhuma?|senza|nessun[oa]?|assenza|mancanza|geen|niet|zonder|afwezigheid|bez|nie|brak|ne|"
    r"utan|uten|uden|ingen|inget|ei|ikke|без|не|нет|отсутствие|لا|بدون|غير"
)
# Fused with the word: unfractured.
_NOT_BEFORE = re.compile(r"un|non|not|no|nie|ne|on|не|.*[无無非未没沒不].*")
_NOT_FUSED = re.compile(r"(free|frei|los|less|ausschluss|siz|なし|無し|없음|없는)$")
_NOT_AFTER = re.compile(
    r"free|frei|los|absente?|excluded|lacking|ausgeschlossen|fehlt|ausente|assente|afwezig|"
    r"отсутствует|なし|無し|없음|없는|yok"
)
_SEEN = re.compile(  # as in fracture not seen
    r"seen|present|detected|found|visible|evident|identified|vorhanden|sichtbar|nachweisbar|erkennbar|"
    r"presente?|visibile|visivel|detectad[oa]|zichtbaar|aanwezig"
)
_IN_WORDS = {r"w/o": "without", r"ruled?[\s_-]+out": "excluded", r"o\. ?b\.?": "normal",
             r"non[\s_-]+union": "nonunion"}  # fmt: skip
# As in fracture_no, or alone.
_ANSWER_NO = re.compile(r"no|none|nein|non|nao|нет|nil|absence|lack|false|0")


def class_key(name: str) -> str:
    """The same for spellings that differ in Unicode form or in case only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def as_known(asked: Sequence[str], known: Iterable[str]) -> tuple[str | None, ...]:
    """Of each name that is asked for the one it means, as it is spelt there, or None."""
    names = {class_key(name): name for name in known}
    return tuple(names.get(class_key(name)) for name in asked)


def roles(classes: Sequence[str]) -> str:
    """`negative: normal, positive: fracture` of two classes; of more, which have no roles, ""."""
    return f"negative: {classes[0]}, positive: {classes[1]}" if len(classes) == 2 else ""


def print_roles(console: "Console", classes: Sequence[str]) -> None:
    """Print the `roles` of two classes, as every command does that reads or makes a dataset."""
    if line := roles(classes):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def hide_dashes(words: Sequence[str], *flags: str) -> list[str]:
    """A command line whose names after these flags may begin with a dash: `--classes -ve +ve`.

    To the parser such a name is a flag; `show_dashes` of what it makes of these words undoes it.
    """
    hidden, naming = [], False
    for word in words:
        if word.startswith("--") or word == "-h":
            naming = word in flags
        hidden.append(_HIDDEN + word if naming and re.match(r"-(?!-)", word) else word)
    return hidden


def show_dashes(names: Iterable[str]) -> tuple[str, ...]:
    """The names of a parsed command line, as they were typed."""
    return tuple(name.removeprefix(_HIDDEN) for name in names)


def flag_words(names: Iterable[str]) -> str:
    """Names as a shell takes them: `normal 'a fracture'`."""
    return shlex.join(names)


def says_the_opposite(classes: Sequence[str]) -> bool:
    """Whether two names, the negative one first, say that the first is the positive one."""
    if len(classes) != 2:
        return False
    first, second = map(role_of, classes)
    return "positive" == first != second or "negative" == second != first


def role_of(name: str) -> Role:
    """What a name says of its class: negative as `not fractured`, positive as `+ve`, or nothing."""
    # No negation reaches a word before it, unless it ends the name: `fracture, not displaced`.
    votes: dict[str, list[int]] = {"role": [], "sign": []}
    words = re.findall(r"[^\W_]+", _plain(name))
    negated = used = False
    last: list[int] = []
    for place, word in enumerate(words, 1):
        kind, vote = _vote(word)
        unanswered = negated and not used
        if _NOT.fullmatch(word):
            negated, used = True, False
        elif _NOT_AFTER.fullmatch(word):
            if unanswered:  # not free of
                negated = False
            elif last:
                last[-1] *= -1
            else:
                negated = True
        elif _SEEN.fullmatch(word) and place == len(words):
            if unanswered and last:
                last[-1] *= -1
        elif vote:
            flip = negated and (vote > 0 or not used)  # no fracture or lesion; no fracture, healthy
            votes[kind].append(-vote if flip else vote)
            last, used = votes[kind], True
            negated = negated and vote > 0
    found = set(votes["sign"] or votes["role"])
    if words and _ANSWER_NO.fullmatch(words[-1]):
        found = {-1} if -1 not in found else set()
    elif negated and not found:
        found = {-1}  # no implant
    if found == {1}:
        return "positive"
    return "negative" if found == {-1} else ""


def _plain(name: str) -> str:
    """Small letters without accents, signs as words, and words apart that a capital parts."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.strip())
    bare = "".join(c for c in unicodedata.normalize("NFKD", apart) if not unicodedata.combining(c))
    text = unicodedata.normalize("NFKC", bare).casefold().translate(str.maketrans("łıø", "lio"))
    for pattern, word in _IN_WORDS.items():
        text = re.sub(rf"(?<![^\W_]){pattern}(?![^\W_])", f" {word} ", text)
    text = re.sub(r"\+\s*ve\b|^\+|\+$", " positive ", text)
    return re.sub(r"[-−–]\s*ve\b|^[-−–]|[-−–]$", " negative ", text)


def _vote(word: str) -> tuple[str, int]:
    """Of a word whether it is a `sign` or names a `role`, and 1 (positive), -1 or, of none, 0."""
    known = ((_POSITIVE, "sign", 1), (_NEGATIVE, "sign", -1), (_FINDING, "role", 1))
    for stem, kind, vote in (*known, (_NORMAL, "role", -1)):
        if found := stem.search(word):
            before, after = word[: found.start()], word[found.end() :]
            negated = _NOT_BEFORE.fullmatch(before) or _NOT_FUSED.search(after)
            return kind, -vote if negated else vote
    return "", 0
