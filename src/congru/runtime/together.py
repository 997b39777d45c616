"""One step of many sessions in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from congru.errors import SettingsError, ShapeError
from congru.runtime.graph import alone
from congru.runtime.session import Session
from congru.runtime.steps import Steps


def advance(sessions: Sequence[Session], x: Any) -> Any:
    """One step of N sessions of one network in one call, each as if alone, bit for bit on the native core.

    x: tokens [N] or vectors [N, I], several inputs as a dictionary; returns [N, O]. No lock is held while the core computes.
    Raises :class:`SettingsError` for sessions of different networks, of several rows, or given twice, and
    :class:`ShapeError` as `Session.step`.
    """
    if not sessions:
        raise SettingsError("sessions is empty, expected at least one: pass the sessions that have an input")
    network = sessions[0].network
    for session in sessions:
        if session.network is not network or session.batch_size != 1:
            raise SettingsError(
                "sessions holds one of another network or with batch_size above 1, expected sessions of one network:"
                " call advance once for each network"
            )
    if len(set(sessions)) != len(sessions):
        raise SettingsError(
            "sessions holds a session twice, expected each once: its steps follow one another"
        )
    rows = []
    for name, value in network.graph.named_inputs(x, network.graph.step_inputs).items():
        array = network.check_value(name, value, "[B]")
        if len(array) != len(sessions):
            raise ShapeError(
                f"x has {len(array)} rows, expected {len(sessions)}, one for each session: pass as many"
            )
        rows.append(array)
    steps = cast(  # without a state of its own, a session has steps that hold it
        "list[Steps]",
        [session._steps if session._state is None else session._stepping() for session in sessions],
    )
    outputs = steps[0].together(steps, rows)
    kept = {name: out.copy() for name, out in outputs.items()}
    for k, session in enumerate(sessions):
        session._last, session._last_row, session._chain = kept, k, None
    return alone({name: out.copy() for name, out in outputs.items()} if steps[0].lends else outputs)
