"""Files and tables to batches, and the registry of public data sets."""
