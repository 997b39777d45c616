"""Building and packing the package: what pip calls (`backend`), and wheels for other machines (`python -m wheels`)."""
