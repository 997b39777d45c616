"""To be filled: see DESIGN."""
