"""`congru data`: the public data sets the tasks are measured on, listed or fetched once into the cache."""

from __future__ import annotations

from cyclopts import App

app = App(name="data", help="List or fetch public data sets.")


@app.command(name="list")
def list_command() -> int:
    """List the known data sets: name, task, licence, title."""
    from congru.data.registry import list_sets

    sets = list_sets()
    width = max(len(entry.name) for entry in sets)
    for entry in sets:
        known = [] if entry.verified else ["sums unverified"]
        notes = "".join(f"; {note}" for note in [*known, entry.note] if note)
        print(f"{entry.name:<{width}}  {entry.task:<10} {entry.licence:<18} {entry.title}{notes}")
    return 0


@app.command(name="get")
def get_command(name: str, /) -> int:
    """Fetch a data set and print where it lies.

    Parameters
    ----------
    name:
        A name from ``congru data list``.
    """
    import sys

    from congru.data.registry import get

    print(get(name, on_download=lambda url: print(f"downloading {url}", file=sys.stderr)))
    return 0
