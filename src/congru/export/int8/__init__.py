"""Model folders in int8: which matrices are rounded, which nodes compute in integers, and how inputs are calibrated."""
