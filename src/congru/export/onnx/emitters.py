"""The emitters of ONNX, as the files beside this one fill them in."""

from __future__ import annotations

from congru.export.emitters import Emitters

ONNX = Emitters("ONNX")
