"""Running trained models without torch: model folders (`folder`), networks (`network`), `session`s."""
