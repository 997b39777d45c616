"""Chess: a network follows a game, predicts the moves of both players, and shows how each of them plays."""
