"""Where traces come from: each file knows one kind of model and reads arrays out of it; none sets a lasting hook."""
