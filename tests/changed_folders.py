"""Model folders changed by a test so that they look as if they had been saved so: every sum is right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from congru.runtime.folder import config_sum


def sign(path: Path) -> None:
    """Write the sums anew, so that what was changed looks as if it had been saved so."""
    config = json.loads((path / "config.json").read_text())
    for name in config["sha256"]:
        if name != "config.json" and (path / name).exists():
            config["sha256"][name] = hashlib.sha256((path / name).read_bytes()).hexdigest()
    config["sha256"]["config.json"] = config_sum(config)
    (path / "config.json").write_text(json.dumps(config))


def change_config(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the config of a model folder and sign it."""
    config = json.loads((path / "config.json").read_text())
    change(config)
    (path / "config.json").write_text(json.dumps(config))
    sign(path)
