"""Sweeps: many trainings with other settings, drawn by Optuna, run by as many workers on as many machines as one likes.

plan.py      what is searched, on which data: DIR/sweep.json
space.py     which settings may take which values: space.yaml
storage.py   where the workers meet: Optuna's journal file, or a database
slots.py     each trial is run once, whoever dies
trial.py     one training, ended early where others are ahead
worker.py    takes trials until there are none
outcome.py   what the trials came to: the best setting, its refits
report.py    DIR/report.html
"""
