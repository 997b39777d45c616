"""Measurements, one file per question; each checks correctness first and writes a file to results/."""
