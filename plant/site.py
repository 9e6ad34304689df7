"""A site as configuration: `site.yaml` read, expanded and checked, every problem reported at once.

`load_site(folder) -> Site`. Nothing of the data is touched here; what can only be checked against the
files (do the columns exist?) is checked by `plant.connect` before the first row is mapped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import field_validator

from plant.crosswalks import SiteFiles, read_crosswalks
from plant.errors import SiteError, did_you_mean, listing
from plant.forms import Item
from plant.site_checks import RECORDED_AT as RECORDED_AT
from plant.site_checks import Checks
from plant.site_inheritance import SECTIONS, SITE_FILE, Merged, Place, is_folder, model_files, read_layers, word
from plant.site_problems import Problems
from plant.sources import Part, Source, leaves_folder, time_zone

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Site:
    """A checked site.

    crosswalks: by name, a frame of text indexed by the source code. crosswalk_reviews: by name, for the files that
    carry a review, a frame of text indexed by the code: review (reviewed, draft, rejected), reviewed_by, reviewed_on,
    note. folders: the site's own folder, then those it extends. files: those that the mapping is made of, with their
    SHA-256; digest: over all of them.
    """

    name: str
    folder: Path
    title: str
    simulated: bool
    time_zone: str
    currency: str
    assumptions: tuple[str, ...]
    sources: dict[str, Source]
    crosswalks: dict[str, pd.DataFrame]
    crosswalk_reviews: dict[str, pd.DataFrame]
    tables: dict[str, tuple[Item, ...]]
    folders: tuple[Path, ...]
    digest: str
    files: dict[Path, str]

    @property
    def model_files(self) -> list[Path]:
        """`models/*.yaml`, in order of name; a file of the site's own takes the place of an inherited one."""
        return model_files(self.folders)


class Head(Part):
    """What a `site.yaml` says of the site as a whole."""

    site: str
    title: str
    simulated: bool = False
    time_zone: str = "UTC"
    currency: str = "EUR"
    assumptions: tuple[str, ...] = ()

    @field_validator("site")
    @classmethod
    def _name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError(f"found '{value}'; allowed: letters, digits, - and _, such as dublin_2")
        return value

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        return time_zone(value) or "UTC"


def load_site(folder: str | Path) -> Site:
    """The site in `folder`. Raises SiteError naming the file, the key, what was found and what is allowed."""
    folder = Path(folder)
    if not is_folder(folder):
        raise _unknown(folder)
    layers = read_layers(folder)
    merged = Merged(layers)
    problems = Problems(merged.problems)
    files = SiteFiles(problems)
    for layer in layers:
        files.add(layer.folder / SITE_FILE, layer.content)
    root, place = merged.root, Place(merged.root)
    raw = {k: v.plain() for k, v in root.keys.items() if k not in SECTIONS}
    head = problems.parse(Head, raw, place, ["extends", *SECTIONS])
    for section in SECTIONS:
        found = root.child(section)
        if found is not None and not isinstance(found.value, dict | None):
            what = f"found {type(found.value).__name__}; allowed: a mapping of names"
            problems.add(place / section, what)
        if section != "crosswalks" and (found is None or not found.value):
            problems.add(place / section, "is missing or empty")
    given = root.child("sources")
    sources = {
        word(name): problems.parse(Source, one.plain(), place / "sources" / name)
        for name, one in (given.keys.items() if given is not None else ())
    }
    for name, one in given.keys.items() if given is not None else ():
        path = one.child("path")
        if path is not None and isinstance(path.value, str) and leaves_folder(path.value):
            what = f"found '{path.value}', which leaves the data folder; allowed: a path below it"
            problems.add(place / "sources" / name / "path", f"{what} such as cmms/orders_*.csv")
    walks, reviews = read_crosswalks(merged, problems, files)
    tables = Checks(merged, problems, files, walks).tables()
    for table, item in ((t, i) for t, items in tables.items() for i in items):
        since = getattr(sources.get(item.source), "since", None)
        if since is not None and item.needs_all_rows:
            what = f"reads '{item.source}' from its high-water mark on (since), and keep, intervals and @content need"
            problems.add(place / "tables" / table, f"{what} every row; allowed: a source without since")
    if problems.lines or head is None:
        bases = " and what it extends have" if len(layers) > 1 else " has"
        raise SiteError(
            "bad_site",
            f"{folder / SITE_FILE}{bases} {len(problems.lines)} problem(s)",
            hint="mend them in the file; docs/reference/site-yaml.md explains each key",
            details=problems.lines,
        )
    return Site(
        head.site,
        folder,
        head.title,
        head.simulated,
        head.time_zone,
        head.currency,
        head.assumptions,
        {name: source for name, source in sources.items() if source is not None},
        walks,
        reviews,
        tables,
        tuple(layer.folder for layer in layers),
        files.digest,
        files.hashes,
    )


def _unknown(folder: Path) -> SiteError:
    there = folder.parent.glob("*/site.yaml") if folder.parent.is_dir() else ()
    siblings = sorted(p.parent.name for p in there if not p.parent.name.startswith("_"))
    allowed = "a folder with a site.yaml" + (f"; beside it are: {listing(siblings)}" if siblings else "")
    return SiteError("unknown_site", f"no site folder {folder}{did_you_mean(folder.name, siblings)}", allowed)
