"""Models as one Python file without congru: the same array operations on NumPy, torch or Keras."""
