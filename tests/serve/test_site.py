"""A page without a server: what is written where, what travels in it, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from congru.errors import SettingsError
from congru.serve.library import Library, Shelf
from congru.serve.packing import pack_networks
from congru.serve.site import write_site


def read(path: Path) -> Any:
    """What a script of a site sets."""
    return json.loads(path.read_text().split(" = ", 1)[1].rstrip(";\n"))


def test_a_site_holds_the_page_and_the_models(trained: Path, tmp_path: Path) -> None:
    from congru.cli.main import main

    with pytest.raises(SystemExit, match="0"):
        main(["serve", str(trained / "text"), str(trained / "video"), "--static", str(tmp_path / "s")])
    assert [entry["id"] for entry in read(tmp_path / "s" / "models.js")["models"]] == ["text", "video"]
    packed = read(tmp_path / "s" / "text.model.js")
    assert packed["live"]["symbols"][:2] == ["\n", " "]
    assert str(trained) not in json.dumps(packed)  # others look at a site
    assert packed["rows"]
    script = (tmp_path / "s" / "index.html").read_text()
    assert "module" not in script
    assert script.index("models.js") < script.index("page.js")
    write_site([trained / "text"], tmp_path / "s")  # an older one is replaced
    assert not (tmp_path / "s" / "video.model.js").exists()


def test_names_are_those_of_the_folders_and_a_comparison_is_no_run(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "text", tmp_path / "demo-text" / "model")
    for cell in ("gru-seed0", "lstm-seed0"):
        shutil.copytree(trained / "text", tmp_path / "compared" / cell)
    shutil.copy(trained / "text" / "config.yaml", tmp_path / "compared" / "config.yaml")
    assert set(Library([tmp_path]).scan()) == {"demo-text", "gru-seed0", "lstm-seed0"}


def test_what_cannot_be_written_is_told(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("a")
    with pytest.raises(SettingsError, match="expected nothing, an empty folder or an older site: choose"):
        write_site([trained / "text"], tmp_path / "mine")
    with pytest.raises(SettingsError, match="expected at least one model: train one first"):
        write_site([tmp_path / "mine"], tmp_path / "s")
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="expected a place to write: check it"):
        write_site([trained / "text"], tmp_path / "file" / "s")


def test_a_network_that_reads_both_ways_stays_behind_and_says_why(trained: Path) -> None:
    packed = pack_networks(Shelf("translate", trained / "translate").model())
    assert "bidirectional" in packed["left"]["encoder"]
    assert set(packed["golden"]) == set(packed["description"]["networks"]) == {"decoder"}
