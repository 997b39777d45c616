"""Models in browsers and Node: one WebAssembly file with the functions of `congru.export.c`, and a plan that calls them."""
