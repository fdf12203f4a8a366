"""A question's key: what is left of it when wording is taken away, so that near-duplicates have the same one.

Pure, and made for the compaction alone: no other function carries the stemmer.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, cast

MAX_TOKENS = 12
"""Words of a key; a longer text is a story, and stories rarely repeat."""

_SAID = 2_000
"""Characters that are looked at; a question comes to its point before."""

_WORDS_IN_MEMORY = 20_000
_ADDRESS = re.compile(r"https?://|www\.")
_MANY_DIGITS = 4
_LONGEST = 40  # characters of a word that count
_WORD = re.compile(r"[^\W_]+")
_APOSTROPHES: Mapping[int, None] = dict.fromkeys((0x27, 0x60, 0xB4, 0x2018, 0x2019))
_UMLAUT = re.compile(r"(?<![aeiouq])ue|ae|oe")

_STOP_WORDS = """
    a about am an and any are arent as at be been but by bye can cant could couldnt did didnt do does doesnt
    doing dont for from get give go got had has have having he hello help her hey hi him his how hows i id
    if ill im in into is isnt it its ive just know let lets like ll may me might more much must my need no
    not of off ok okay on one or our out please s shall she should so some sorry t tell than thank thanks
    that thats the their them then there theres these they this those to too up us ve very want was wasnt we
    were what whats which will with wont would yes you your youre yours

    ab aber also am an auch auf aus bei bin bis bitte bitten da dabei damit dank danke dann das dass dazu
    dein deine dem den denn der des dich die dir doch du durch ein eine einem einen einer eines er es euch
    euer eure für geht gern gerne gibt gut guten gäbe hab habe haben hallo hat hatte hatten hilfe hätte
    hätten ich ihm ihn ihnen ihr ihre im in ist ja jetzt kann kannst kein keine konnte konnten können könnt
    könnte könnten mal man mehr mein meine meinem meinen meiner mich mir mit moin morgen muss möchte möchten
    müssen nach nein nicht noch nun nur ob oder schon sehr sein sich sie sind so soll sollen sollte tag tschüss um
    und uns unser unsere viel vielen vom von vor war waren was welche welchem welchen welcher welches wenn
    werde werden wie will wir wird wurde wurden wäre wären würde würden zu zum zur über
    """
"""Words that say nothing about the matter: articles, pronouns, auxiliaries, courtesies.

Where, when, why and who stay (wo, wann, warum, wer): they ask for different things.
"""


def key(content: Any) -> str | None:
    """Return the key of what a user said: its significant words, folded, stemmed, each once, in order.

    None when it says nothing about a matter ("ok, thanks"). `content` is a message's: a text, or JSON whose text
    is under `text`, also in a list of parts.
    """
    said = " ".join(part for part in _text(content)[:_SAID].split() if not _unique(part))
    words = [word for word in _WORD.findall(_folded(said)) if word not in _stop_words()]
    stems = sorted({_stem(word[:_LONGEST]) for word in words})
    return " ".join(stems[:MAX_TOKENS]) or None


def _text(content: Any) -> str:
    match content:
        case str():
            return content
        case Mapping():
            return _text(content.get("text", ""))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - JSON
        case list():
            return " ".join(map(_text, content))  # pyright: ignore[reportUnknownArgumentType] - same
        case _:
            return ""


def _unique(part: str) -> bool:
    """Whether it is an address of mail or the web, or a number of four digits: they make no other question."""
    if "@" in part or _ADDRESS.match(part.casefold()):
        return True
    return sum(map(str.isdigit, part)) >= _MANY_DIGITS and not any(map(str.isalpha, part))


def _folded(text: str) -> str:
    """Take away case, accents and apostrophes; umlauts become plain vowels, however they were typed."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES).casefold())
    plain = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return _UMLAUT.sub(lambda found: found[0][0], plain.casefold())


@cache
def _stop_words() -> frozenset[str]:
    return frozenset(map(_folded, _STOP_WORDS.split()))


@lru_cache(_WORDS_IN_MEMORY)
def _stem(word: str) -> str:
    """Take away the endings of both languages: nobody says which one a shopper writes, and some mix them."""
    english, german = _stemmers()
    return german(english(word))


@cache
def _stemmers() -> tuple[Callable[[str], str], Callable[[str], str]]:
    import snowballstemmer  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs] - it has none

    english, german = map(cast("Any", snowballstemmer).stemmer, ("english", "german"))
    return english.stemWord, german.stemWord
