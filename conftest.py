"""What the doctests of the source need: files of a library that is not installed are not collected."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("triton") else ["src/congru/kernels/triton/*.py"]
