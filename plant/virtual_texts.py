"""How people at the virtual plants type: names of machines, abbreviations, capitals, slips, the other language."""

from __future__ import annotations

import re

import numpy as np

from plant.virtual_plant import Unit

SPOKEN = {
    "en": (
        "granulator",
        "dryer",
        "blender",
        "press",
        "coater",
        "blister line",
        "AHU",
        "purified water",
        "compressor",
    ),
    "de": (
        "Granulierer",
        "Trockner",
        "Mischer",
        "Presse",
        "Coater",
        "Blisterlinie",
        "Lüftungsanlage",
        "Reinstwasser",
        "Kompressor",
    ),
}

SHORT: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "pressure": ("press.", "prs"),
        "temperature": ("temp", "tmp."),
        "vibration": ("vib", "vibr."),
        "blocked": ("blkd", "blk'd"),
        "filter": ("fltr", "filt."),
        "bearing": ("brg", "bearg."),
        "motor": ("mtr",),
        "valve": ("vlv",),
        "during batch": ("dur. btch", "in batch"),
        "not": ("n't", "NOT"),
        "stopped": ("stpd", "stop"),
        "replaced": ("repl.",),
        "and": ("&", "+"),
        "with": ("w/",),
    },
    "de": {
        "Druck": ("Dr.", "P"),
        "Temperatur": ("Temp.", "T"),
        "Schwingung": ("Schw.", "Vibr."),
        "verstopft": ("verst.", "zu"),
        "undicht": ("undi.", "leckt"),
        "Ventilator": ("Vent.", "Lüfter"),
        "während Charge": ("währ. Ch.", "in Charge"),
        "ungleichmäßig": ("ungleichm.",),
        "ausgefallen": ("ausgef.", "defekt"),
        "verschmutzt": ("verschm.",),
        "Störung": ("Stör.", "Stg."),
        "bitte": ("b.", "bt."),
        "nicht": ("nt.", "NICHT"),
        "und": ("u.", "&", "+"),
    },
}
"""What is shortened, and how: by whole words, as they are written in the templates."""

UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"})
OTHER = {"en": "de", "de": "en"}
FOREIGN, CAPITALS, SHORTENED, NO_UMLAUTS = 0.04, 0.08, 0.30, 0.20


def spoken(unit: Unit, language: str) -> str:
    """What people call a machine: press 2, Presse 2."""
    return f"{SPOKEN[language][unit.kind]} {unit.equipment_id.rsplit('-', 1)[1]}"


def mistyped(text: str, rng: np.random.Generator) -> str:
    """`text` as it is typed at three in the morning: swapped, lost and doubled letters, lower case."""
    if rng.random() < 0.25:
        text = text.lower()
    for _ in range(int(rng.choice(4, p=[0.55, 0.27, 0.12, 0.06]))):
        if len(text) < 6:
            break
        i, kind = int(rng.integers(1, len(text) - 2)), rng.random()
        if not (text[i].isalpha() and text[i + 1].isalpha()):
            continue
        if kind < 0.4:
            text = text[:i] + text[i + 1] + text[i] + text[i + 2 :]
        elif kind < 0.75:
            text = text[:i] + text[i + 1 :]
        else:
            text = text[:i] + text[i] + text[i:]
    return text


def as_typed(text: str, language: str, rng: np.random.Generator) -> str:
    """`text` with the habits of the one who typed it: abbreviations, all capitals, ae for ä."""
    if rng.random() < SHORTENED:
        for word, forms in SHORT[language].items():
            form = str(rng.choice(forms))  # drawn for each word, so that a word more changes no other
            if rng.random() < 0.7:
                text = re.sub(rf"\b{re.escape(word)}\b", form, text)
    if rng.random() < NO_UMLAUTS:
        text = text.translate(UMLAUTS)
    return text.upper() if rng.random() < CAPITALS else text
