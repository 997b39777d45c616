"""From scores to answers, in NumPy: `sampling` and `filters`, `beam` search, `ctc` and `viterbi`."""
