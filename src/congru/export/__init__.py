"""Trained models in other places: ONNX files, C, WebAssembly, integer arithmetic, other libraries.

A target is a package here with one emitter for every node type of a network, or a named refusal (`congru.export.emitters`).
Whatever is written replays the golden cases of the model folder in the target itself before anybody sees it.
"""
