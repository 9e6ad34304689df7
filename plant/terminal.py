"""What every command of the front door shares: finding the site and its data, showing progress and answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plant.errors import SteadylineError
from plant.home import state_home, store_root

if TYPE_CHECKING:
    from plant.site import Site


def open_site(folder: str) -> Site:
    """The site of a folder, or of a name below `sites/`. Raises SiteError."""
    from plant.site import load_site  # pandas and pydantic: not for a help text

    return load_site(site_folder(folder))


def site_folder(folder: str) -> Path:
    """A folder as given, or the one of that name below `sites/`."""
    path = Path(folder)
    return path if path.exists() or not (Path("sites") / folder).is_dir() else Path("sites") / folder


def data_folder(site: Site, data: Path | None) -> Path:
    """The folder of the exports: as given, or where `simulate` has put those of a virtual site."""
    simulated = state_home() / "simulated" / site.name / "exports"
    if data is not None:
        return data
    if simulated.is_dir():
        return simulated
    virtual = site.name.startswith("virtual_")
    raise SteadylineError(
        "no_data_folder",
        f"no folder was given that holds the exports of site '{site.name}'",
        "--data DIR",
        f"steadyline simulate {site.folder} makes some"
        if virtual
        else f"see {site.folder}/README.md for how to get them",
    )


def connected_sites() -> list[Path]:
    """Site folders below `sites/` whose data is in the store. Raises SteadylineError when there is none."""
    folders = [p.parent for p in sorted(Path("sites").glob("*/site.yaml"))]
    found = [f for f in folders if (store_root(state_home()) / f.name / "loads").is_dir()]
    if not found:
        raise SteadylineError(
            "nothing_connected",
            "no site below sites/ has data in the store",
            hint="steadyline demo, or steadyline connect SITE --data DIR",
        )
    return found


@contextmanager
def progress(quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Shows what a long job is doing, on standard error so that standard output stays the answer."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("starting") as status:

        def tell(what: str) -> None:
            status.update(what)
            if not quiet and not console.is_terminal:
                console.print(f"  {what}", style="dim", highlight=False, markup=False)

        yield tell


def tell_error(error: SteadylineError) -> None:
    """A refusal on standard error, of something that will be tried again."""
    from rich.console import Console

    Console(stderr=True).print(error.message(), style="red", highlight=False, markup=False)


def show(answer: Any, as_json: bool, render: Callable[[Any], Any], lines: bool = False) -> None:
    """JSON on standard output, or what `render` prints on a console. lines: one line for each of several answers."""
    if as_json:
        print(json.dumps(answer, indent=None if lines else 2, ensure_ascii=False, default=str), flush=True)
        return
    from rich.console import Console

    render(Console())
