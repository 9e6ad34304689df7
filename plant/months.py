"""Names of months, full and abbreviated, by language tag: those of the Unicode CLDR, and what exports make of them."""

from __future__ import annotations

import functools
import unicodedata

# Languages of Europe's plants, for telling a month from other words where no language is named.
LANGUAGES = (
    "cs", "da", "de", "en", "es", "fi", "fr", "hr", "hu", "it", "nb", "nl", "pl", "pt", "ro", "sk", "sl", "sv",
)  # fmt: skip
# What exports hold besides: older spellings, abbreviations of machines, the genitive of a date.
_ALSO = {
    "de": {"mrz": 3},
    "es": {"setiembre": 9, "set": 9},
    "sl": {
        "januarja": 1, "februarja": 2, "marca": 3, "aprila": 4, "maja": 5, "junija": 6, "julija": 7, "avgusta": 8,
        "septembra": 9, "oktobra": 10, "novembra": 11, "decembra": 12,
    },
}  # fmt: skip
_SHORTEST = 3  # letters of an abbreviation


@functools.cache
def month_names(tag: str) -> dict[str, int]:
    """Lower-case names -> 1 to 12 of a language such as `sl`, `de` or `de-AT`, without a dot at their end.

    Besides the names of the CLDR: the same without accents (also ae for ä), and beginnings of three letters or more
    which only one month has. Raises ValueError for a tag that is no language.
    """
    from babel import Locale, UnknownLocaleError  # only for sites that name a language

    try:
        locale = Locale.parse(tag.replace("-", "_"))
    except (UnknownLocaleError, ValueError) as e:
        allowed = ", ".join(LANGUAGES)
        raise ValueError(f"'{tag}' is no known language; allowed: {allowed} and others, or name: number pairs") from e
    months, told = locale.months, dict(_ALSO.get(locale.language, {}))
    for context in ("format", "stand-alone"):
        for width in ("wide", "abbreviated"):
            for number, name in months[context][width].items():
                for spelling in _spellings(name.lower().rstrip(".")):
                    if any(c.isalpha() for c in spelling):
                        told.setdefault(spelling, number)
    starts: dict[str, set[int]] = {}
    for name, number in told.items():
        for length in range(_SHORTEST, len(name)):
            starts.setdefault(name[:length], set()).add(number)
    return {start: min(numbers) for start, numbers in starts.items() if len(numbers) == 1} | told


def _spellings(name: str) -> set[str]:
    """A name as it is, without accents, and with ae, oe, ue for ä, ö, ü."""
    plain = "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c))
    return {name, plain, name.replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")}


@functools.cache
def all_names() -> frozenset[str]:
    """Every name of a month in those languages, lower case."""
    return frozenset(name for tag in LANGUAGES for name in month_names(tag))
