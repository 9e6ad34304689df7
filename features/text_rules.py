"""Rules on the words of a short text: which failure mode, component and action it tells.

A *pattern* is one or more words, and each word a regular expression that has to match a whole word of the normalised
text (`normalised`): `leak\\w*`, `fell off`, `low ... oil` (`...`: up to three words between). A rule hits where its
pattern stands anywhere in the text. The shipped words are in `features.text_words`; a site adds to them, overrides them
and maps their codes to its own in `text_rules.yaml` in its folder (`site_rules`; docs/reference/text-rules-yaml.md).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from features.text_words import SHIPPED
from plant.errors import SiteError, did_you_mean, listing
from plant.site_inheritance import site_folders
from plant.yaml_text import read_yaml

RULES_FILE = "text_rules.yaml"
GAP, GAP_WORDS = "...", 3
LONGEST_TEXT, LONGEST_WORD, LONGEST_PATTERN = 1000, 40, 200
_KEYS, _RULE_KEYS = ("shipped", "separator", "codes", "rules"), ("words", "weight", "replace")
_MOST_PATTERNS = 5000
_QUANTIFIER = re.compile(r"[*+]|\{\d{1,2}(?:,\d{0,2})?\}|\?")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_APOSTROPHES = re.compile(r"['’‘`´]")
_INITIALS = re.compile(r"\b([a-z])(?:\s?/\s?|\.)(?=[a-z]\b)")
_NUMBER, _STRAY = re.compile(r"[0-9]+"), re.compile(r"[^a-z0-9]+")


def normalised(text: str | None) -> str:
    """The form in which texts are read: lower case, ASCII letters, 0 for every number, one space between words.

    ä, ö, ü and ß are ae, oe, ue and ss, other accents are dropped; an apostrophe is dropped (`won't` is `wont`); single
    letters joined by a stroke or a point are one word (`L/H` is `lh`, `u/s` is `us`); everything else parts words. Of a
    text longer than 1,000 characters the beginning is read, of a word longer than 40 too.
    """
    if not text:
        return ""
    plain = unicodedata.normalize("NFC", text[:LONGEST_TEXT]).lower().translate(_UMLAUTS)
    if not plain.isascii():
        plain = "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))
    plain = _INITIALS.sub(r"\1", _APOSTROPHES.sub("", plain))
    return " ".join(w[:LONGEST_WORD] for w in _STRAY.sub(" ", _NUMBER.sub("0", plain)).split())


@dataclass(frozen=True)
class Rule:
    """`pattern` in a text tells `code` of `field`, so strongly as `weight` (above 0) says."""

    field: str
    code: str
    pattern: str
    weight: float = 1.0


@dataclass(frozen=True)
class TextRules:
    """Rules of a site, in an order that does not depend on how they were written.

    separator: for a field whose codes may name several values, what parts them (`Bucket_Engine`: "_").
    """

    rules: tuple[Rule, ...]
    separator: dict[str, str] = field(default_factory=dict)

    @cached_property
    def targets(self) -> tuple[tuple[str, str], ...]:
        """The (field, code) pairs that rules tell of, sorted."""
        return tuple(sorted({(r.field, r.code) for r in self.rules}))

    @cached_property
    def _matcher(self) -> _Matcher:
        return _Matcher(self)

    def hits(self, words: Sequence[str]) -> dict[int, float]:
        """Which targets the words of a normalised text tell: index in `targets` -> weight of the strongest hit."""
        return self._matcher.hits(words)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `rules_of` is the inverse."""
        rules = [[r.field, r.code, r.pattern, r.weight] for r in self.rules]
        return {"rules": rules, "separator": dict(sorted(self.separator.items()))}


def rules_of(given: dict[str, Any]) -> TextRules:
    """The inverse of `TextRules.as_dict`."""
    return text_rules((Rule(f, c, p, float(w)) for f, c, p, w in given["rules"]), given["separator"])


def text_rules(rules: Iterable[Rule], separator: dict[str, str] | None = None) -> TextRules:
    """Sorted and without doublets; of the same pattern for the same code the heaviest counts.

    Raises SiteError (bad_text_rules) where a pattern is not allowed (`pattern_problem`).
    """
    best: dict[tuple[str, str, str], float] = {}
    wrong = []
    for r in rules:
        if problem := pattern_problem(r.pattern):
            wrong.append(f"{r.field}.{r.code}: '{r.pattern}': {problem}")
        key = (r.field, r.code, " ".join(r.pattern.lower().translate(_UMLAUTS).split()))
        best[key] = max(best.get(key, 0.0), r.weight)
    if wrong:
        raise SiteError("bad_text_rules", "rules that cannot be used", "patterns of plain words", details=wrong)
    return TextRules(tuple(Rule(*key, float(w)) for key, w in sorted(best.items())), dict(separator or {}))


@lru_cache(maxsize=1)
def shipped_rules() -> TextRules:
    """The base set, in English and German."""
    return text_rules(
        Rule(name, code, p.strip(), weight)
        for name, words in SHIPPED.items()
        for code, weight, patterns in words
        for p in patterns.split(";")
        if p.strip()
    )


def pattern_problem(pattern: str) -> str:
    """Why a pattern is refused, or nothing. What could take exponential or long time is never run."""
    words = pattern.lower().translate(_UMLAUTS).split()
    if not words or len(pattern) > LONGEST_PATTERN:
        return f"{len(pattern)} characters; allowed: 1 to {LONGEST_PATTERN}"
    if words[0] == GAP or words[-1] == GAP or (GAP, GAP) in pairwise(words):
        return "found ... at an end or twice; allowed: between two words"
    return next((p for w in words if w != GAP and (p := _word_problem(w))), "")


def _word_problem(word: str) -> str:
    """One regular expression: letters, \\w, [..], (..|..), and ? * + {m,n} on what is no group with more than ?."""
    at, depth, repeats, options = 0, 0, 0, 0
    while at < len(word):
        c, step = word[at], 1
        if c == "\\":
            if word[at : at + 2] != "\\w":
                return f"found '{word[at : at + 2]}'; allowed: \\w (a letter, or 0 for a number)"
            step = 2
        elif c == "[":
            end = word.find("]", at)
            inside = word[at + 1 : end] if end > 0 else ""
            if not re.fullmatch(r"\^?[a-z0-]+", inside):
                return f"found '{word[at:]}'; allowed in [ ]: letters and -"
            step = end - at + 1
        elif c in "()":
            depth += 1 if c == "(" else -1
            if depth < 0:
                return "found ) without ("
            if word[at : at + 2] == "(?" and word[at : at + 3] != "(?:":
                return f"found '{word[at : at + 3]}'; allowed: plain groups ( )"
            step = 3 if word[at : at + 3] == "(?:" else 1
        elif c.isdigit() and c != "0":
            return f"found '{c}'; allowed: 0, which stands for every number"
        elif found := _QUANTIFIER.match(word, at):
            step = len(found[0])
            if found[0] == "?":
                options += 1
            else:
                repeats += 1
                if at and word[at - 1] == ")":
                    return f"found a repeated group '){found[0]}', which can take for ever; allowed: ? after a group"
        elif not (c.isascii() and c.isalpha()) and c not in "0|.":
            return f"found '{c}'; allowed: letters, 0, \\w . [ ] ( ) | ? * + {{m,n}}"
        at += step
    if repeats > 2 or options > 6:
        return f"found {repeats} repeats and {options} ?, which can take long; allowed in a word: 2 and 6"
    try:
        compiled = re.compile(word)
    except (re.error, OverflowError) as e:
        return f"no regular expression: {e}"
    return "matches an empty word; allowed: at least one letter" if compiled.fullmatch("") else ""


class _Matcher:
    """Which words of the rules a word is (kept for each distinct word), and where these words follow each other."""

    def __init__(self, rules: TextRules) -> None:
        self._plain: dict[str, list[int]] = {}
        self._by_letter: dict[str, list[tuple[re.Pattern[str], int]]] = {}
        self._anywhere: list[tuple[re.Pattern[str], int]] = []
        self._seen: dict[str, frozenset[int]] = {}
        numbers: dict[str, int] = {}
        target = {t: n for n, t in enumerate(rules.targets)}
        self._single: dict[int, list[tuple[int, float]]] = {}
        self._phrases: dict[int, list[tuple[tuple[int, ...], int, float]]] = {}
        for r in rules.rules:
            parts = tuple(-1 if w == GAP else self._number(w, numbers) for w in r.pattern.split())
            told = (target[r.field, r.code], r.weight)
            if len(parts) == 1:
                self._single.setdefault(parts[0], []).append(told)
            else:
                self._phrases.setdefault(parts[0], []).append((parts, *told))

    def _number(self, word: str, numbers: dict[str, int]) -> int:
        if word not in numbers:
            number = numbers[word] = len(numbers)
            if word.isalnum():
                self._plain.setdefault(word, []).append(number)
            elif len(word) > 1 and word[0].isalnum() and word[1] not in "?*{" and "|" not in word.split("(")[0]:
                top = _top_level_bar(word)
                where = self._anywhere if top else self._by_letter.setdefault(word[0], [])
                where.append((re.compile(word), number))
            else:
                self._anywhere.append((re.compile(word), number))
        return numbers[word]

    def _of(self, word: str) -> frozenset[int]:
        found = self._seen.get(word)
        if found is None:
            some = [*self._by_letter.get(word[0], ()), *self._anywhere]
            found = frozenset([*self._plain.get(word, ()), *(n for p, n in some if p.fullmatch(word))])
            if len(self._seen) > 100_000:  # a word list of a hostile sender must not fill the memory
                self._seen.clear()
            self._seen[word] = found
        return found

    def hits(self, words: Sequence[str]) -> dict[int, float]:
        are = [self._of(w) for w in words]
        out: dict[int, float] = {}
        for at, numbers in enumerate(are):
            for n in numbers:
                for target, weight in self._single.get(n, ()):
                    out[target] = max(out.get(target, 0.0), weight)
                for parts, target, weight in self._phrases.get(n, ()):
                    if out.get(target, 0.0) < weight and _follow(parts, 1, are, at + 1):
                        out[target] = weight
        return out


def _top_level_bar(word: str) -> bool:
    depth = 0
    for c in word:
        depth += (c == "(") - (c == ")")
        if c == "|" and not depth:
            return True
    return False


def _follow(parts: tuple[int, ...], n: int, are: list[frozenset[int]], at: int) -> bool:
    """Whether parts[n:] stand at `at`; a gap takes up to three words."""
    if n == len(parts):
        return True
    if parts[n] == -1:
        return any(_follow(parts, n + 1, are, at + skip) for skip in range(GAP_WORDS + 1))
    return at < len(are) and parts[n] in are[at] and _follow(parts, n + 1, are, at + 1)


def site_rules(folder: Path) -> TextRules:
    """The rules of a site: the shipped ones, then what `text_rules.yaml` of the sites it extends and of its own says.

    Raises SiteError (bad_text_rules) with every problem of every file: file: key: found; allowed; nearest.
    """
    rules: dict[tuple[str, str], list[Rule]] = {}
    for r in shipped_rules().rules:
        rules.setdefault((r.field, r.code), []).append(r)
    separator: dict[str, str] = {}
    problems: list[str] = []
    folders = site_folders(folder)
    for one in reversed(folders):
        if (one / RULES_FILE).is_file():
            label = RULES_FILE if one == folder else f"{one.name}/{RULES_FILE}"
            _laid_over(read_yaml(one / RULES_FILE), label, rules, separator, problems)
    if problems:
        raise SiteError(
            "bad_text_rules", f"{folder / RULES_FILE} has {len(problems)} problem(s)",
            hint="mend them; see docs/reference/text-rules-yaml.md", details=problems,
        )
    return text_rules((r for some in rules.values() for r in some), separator)


def _laid_over(
    raw: dict[str, Any], label: str, rules: dict[tuple[str, str], list[Rule]], separator: dict[str, str],
    problems: list[str],
) -> None:
    """One file over what stands before it, in the order shipped, codes, rules, separator."""

    def wrong(key: str, what: str) -> None:
        problems.append(f"{label}: {key}: {what}")

    for key in raw:
        if key not in _KEYS:
            wrong(str(key), f"unknown key; allowed: {listing(_KEYS)}{did_you_mean(str(key), _KEYS)}")
    if raw.get("shipped", True) is not True:
        if raw["shipped"] is False:
            rules.clear()
        else:
            wrong("shipped", f"found {raw['shipped']!r}; allowed: true, false")
    for name, codes in _mapping(raw, "codes", wrong).items():
        _renamed(name, codes, rules, wrong)
    for name, codes in _mapping(raw, "rules", wrong).items():
        if _bad_word(name) or not isinstance(codes, dict):
            wrong(f"rules.{name}", f"found {codes!r}; allowed: code: patterns")
            continue
        for code, given in codes.items():
            _add(str(name), str(code), given, rules, wrong)
    for name, mark in _mapping(raw, "separator", wrong).items():
        if isinstance(mark, str) and 1 <= len(mark) <= 3:
            separator[str(name)] = mark
        else:
            wrong(f"separator.{name}", f"found {mark!r}; allowed: one to three characters")


def _mapping(raw: dict[str, Any], key: str, wrong: Any) -> dict[Any, Any]:
    value = raw.get(key)
    if value is None or isinstance(value, dict):
        return value or {}
    wrong(key, f"found {value!r}; allowed: a mapping of fields")
    return {}


def _bad_word(value: object) -> bool:
    return not isinstance(value, str) or not value.strip() or len(value) > 100


def _renamed(name: object, codes: object, rules: dict[tuple[str, str], list[Rule]], wrong: Any) -> None:
    """`codes.failure_mode: {breakage: structural_integrity, noise: null}`: the site's own code, or none."""
    if not isinstance(codes, dict):
        wrong(f"codes.{name}", f"found {codes!r}; allowed: shipped code: the site's own code")
        return
    there = sorted(c for f, c in rules if f == name)
    taken = {old: rules.pop((str(name), str(old)), None) for old in codes}
    for old, new in codes.items():
        spot, found = f"codes.{name}.{old}", taken[old]
        if found is None:
            wrong(spot, f"no such code; allowed: {listing(there, 40) or 'none'}{did_you_mean(str(old), there)}")
        elif new is not None and _bad_word(new):
            wrong(spot, f"found {new!r}; allowed: a code, or null for none")
        elif new is not None:
            some = rules.setdefault((str(name), new), [])
            some += [Rule(r.field, new, r.pattern, r.weight) for r in found]


def _add(name: str, code: str, given: Any, rules: dict[tuple[str, str], list[Rule]], wrong: Any) -> None:
    """Patterns (a list, or text parted by ;), {words, weight, replace}, a list of such, or null (no such rule)."""
    spot = f"rules.{name}.{code}"
    if given is None:
        if rules.pop((name, code), None) is None:
            there = sorted(c for f, c in rules if f == name)
            wrong(spot, f"null removes nothing; allowed: {listing(there, 40) or 'none'}{did_you_mean(code, there)}")
        return
    blocks = given if isinstance(given, list) and any(isinstance(g, dict) for g in given) else [given]
    for number, block in enumerate(blocks):
        where = f"{spot}[{number}]" if len(blocks) > 1 else spot
        if isinstance(block, dict):
            for key in (k for k in block if k not in _RULE_KEYS):
                near = did_you_mean(str(key), _RULE_KEYS)
                wrong(f"{where}.{key}", f"unknown key; allowed: {listing(_RULE_KEYS)}{near}")
            words, weight, replace = block.get("words"), block.get("weight", 2), block.get("replace", False)
        else:
            words, weight, replace = block, 2, False
        if isinstance(words, str):
            words = [w.strip() for w in words.split(";") if w.strip()]
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 100:
            wrong(f"{where}.weight", f"found {weight!r}; allowed: a number above 0, at most 100")
            weight = 1
        if not isinstance(replace, bool):
            wrong(f"{where}.replace", f"found {replace!r}; allowed: true, false")
        if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
            wrong(where, f"found {words!r}; allowed: patterns such as leak\\w*; fell off")
            continue
        if len(words) > _MOST_PATTERNS:
            wrong(where, f"{len(words)} patterns; allowed: {_MOST_PATTERNS}")
            continue
        for w in words:
            if problem := pattern_problem(w):
                wrong(where, f"'{w[:60]}': {problem}")
        some = rules.setdefault((name, code), [])
        if replace is True:
            some.clear()
        some += [Rule(name, code, w, float(weight)) for w in words if not pattern_problem(w)]
