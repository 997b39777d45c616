"""What each task adds to the page: what its explorer reads, what comes of a run, and the questions of its own view."""
