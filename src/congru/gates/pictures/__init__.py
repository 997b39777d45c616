"""The views as matplotlib figures: one file per question. Colours are safe for colour-blind eyes; no global state."""
