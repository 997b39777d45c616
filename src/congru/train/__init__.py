"""Training: settings, the one loop, the run folder, and comparisons at an equal budget."""
