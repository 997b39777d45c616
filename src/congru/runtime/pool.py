"""Many streams of one model by key: steps that are asked for meanwhile go together, idle sessions lie as bytes.

Nobody waits for a batch to fill: who asks first computes at once; the steps that others ask for meanwhile make the next batch,
which one of those who wait computes for all. There is no thread of the pool's own, and no lock is held while a step is
computed, a session is packed or unpacked. What is asked of one key happens in the order it was asked.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from congru.errors import BusyError, SettingsError, ShapeError
from congru.runtime.graph import alone
from congru.runtime.model import Model
from congru.runtime.session import Session
from congru.runtime.tickets import Entry, Rows, Ticket, Wish
from congru.runtime.together import advance

MOST = 512  # steps in one batch
_INTERRUPTED = "the step was interrupted, expected it to be computed: ask again"


class Pool:
    """Sessions of one model, or of one of its networks, by key; any thread may call.

    At most `capacity` keys are open. `resident` of them are kept ready to step, those used last; the others lie as bytes
    (`Session.to_bytes`) and are unpacked by their next use, with the same bits. At most `queue` steps wait at any time. Every
    stream has the bits of a session alone. After a fork of the process make a new pool in the child.

    Raises :class:`SettingsError` for limits below 1 and for a network that cannot stream.
    """

    def __init__(
        self,
        model: Model,
        *,
        network: str | None = None,
        capacity: int = 1_000_000,
        resident: int = 1024,
        queue: int = 16_384,
    ) -> None:
        for name, value in (("capacity", capacity), ("resident", resident), ("queue", queue)):
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
                raise SettingsError(f"{name} is {value!r}, expected a whole number of at least 1")
        self.model, self.capacity, self.resident, self.queue = model, capacity, resident, queue
        self._name = network or (None if len(model.networks) > 1 else next(iter(model.networks)))
        self._entries: dict[Hashable, Entry] = {}
        self._awake: OrderedDict[Hashable, Entry] = (
            OrderedDict()
        )  # with a session, the one used last at the end
        self._ready: deque[Entry] = deque()  # free, with a step waiting
        self._guard = threading.Lock()
        self._num_waiting = 0  # steps
        self._leading = False  # somebody computes
        if self._name is None:
            names = ", ".join(model.networks)
            raise SettingsError(f"the model has the networks {names}, expected one: pass network=")
        if self._name not in model.networks:
            raise SettingsError(f"network is {network!r}, expected one of {', '.join(model.networks)}")
        self._network = model.networks[self._name]
        problem = self._network.stream_problem()
        if problem:
            raise SettingsError(f"Pool cannot stream this model, {problem}: call model.run(x)")

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    @property
    def num_resident(self) -> int:
        """How many sessions are ready to step; the others lie as bytes."""
        return len(self._awake)

    def open(
        self,
        key: Hashable,
        *,
        seed: int | None = None,
        constants: Mapping[str, ArrayLike] | None = None,
        lengths: Mapping[str, ArrayLike] | None = None,
        content: bytes | None = None,
    ) -> Pool:
        """Begin a stream under a key, or go on from the bytes that :meth:`to_bytes` gave. Returns the pool.

        `seed`, `constants` and `lengths` as of `Model.session`. Raises :class:`SettingsError` for a key that is open,
        :class:`BusyError` where `capacity` keys are open.
        """
        self._check_room(key)
        session = self.model.session(seed, network=self._name, constants=constants, lengths=lengths)
        if content is not None:
            session.restore(content)
        self._add(key, session)
        return self

    def fork(self, key: Hashable, twin: Hashable) -> Pool:
        """Begin a stream under the key `twin` where the one of `key` stands now."""
        with self.borrow(key) as session:
            self._check_room(twin)
            self._add(twin, session.fork())
        return self

    def close(self, key: Hashable) -> None:
        """End a stream, after what was asked of it before; what waits for it behind that raises :class:`SettingsError`."""
        with self._own(key) as entry, self._guard:
            del self._entries[key]
            self._awake.pop(key, None)
            entry.closed = True

    def step(self, key: Hashable, x: Any) -> Any:
        """One step of one stream, [O] for a token or [I]; together with what others ask meanwhile.

        Raises :class:`SettingsError` for a key that is not open, :class:`BusyError` where the queue is full, and
        :class:`ShapeError` as `Session.step`.
        """
        graph, check = self._network.graph, self._network.check_value
        rows = {
            name: check(name, value, "[]") for name, value in graph.named_inputs(x, graph.step_inputs).items()
        }
        (row,) = self._steps([key], [rows])
        return alone({name: value.copy() for name, value in row.items()})

    def advance(self, keys: Sequence[Hashable], x: Any) -> Any:
        """One step of N streams, given once each: tokens [N] or vectors [N, I], a dictionary where there are several inputs;
        returns [N, O].

        Raises as :meth:`step`.
        """
        graph, arrays = self._network.graph, dict[str, Any]()
        for name, value in graph.named_inputs(x, graph.step_inputs).items():
            arrays[name] = self._network.check_value(name, value, "[B]")
            if len(arrays[name]) != len(keys):
                raise ShapeError(
                    f"x has {len(arrays[name])} rows, expected {len(keys)}, one for each key: pass as many"
                )
        if not keys or len(set(keys)) != len(keys):
            raise SettingsError(
                f"keys has {len(keys)}, expected at least one and each once: a stream's steps follow"
            )
        rows = self._steps(
            keys, [{name: array[i] for name, array in arrays.items()} for i in range(len(keys))]
        )
        return alone({name: np.stack([row[name] for row in rows]) for name in rows[0]})

    @contextlib.contextmanager
    def borrow(self, key: Hashable) -> Iterator[Session]:
        """The session of a key for oneself, for all that a session does (feed, generate, save); its steps wait meanwhile."""
        with self._own(key) as entry:
            yield self._awaken(entry)

    def to_bytes(self, key: Hashable) -> bytes:
        """A stream as bytes, which :meth:`open` takes; it goes on."""
        with self._own(key) as entry:
            return entry.content if entry.session is None else entry.session.to_bytes()

    def evict(self, keep: int = 0) -> int:
        """Pack all sessions that nobody uses but the `keep` used last; how many were packed."""
        return self._pack(keep)

    def _check_room(self, key: Hashable) -> None:
        if key in self._entries:
            raise SettingsError(f"key {key!r} is open, expected a new one: close it first, or take another")
        if len(self._entries) >= self.capacity:
            raise BusyError(
                f"the pool has {self.capacity} keys open, expected fewer: close some, or raise capacity"
            )

    def _add(self, key: Hashable, session: Session) -> None:
        entry = Entry(key, session)
        with self._guard:
            self._check_room(key)
            self._entries[key] = self._awake[key] = entry
        self._pack(self.resident)

    def _find(self, key: Hashable) -> Entry:
        entry = self._entries.get(key)
        if entry is None:
            raise SettingsError(
                f"key {key!r} is not open, expected one of the {len(self._entries)} open: open it first"
            )
        return entry

    # Waiting

    def _steps(self, keys: Sequence[Hashable], rows: list[Rows]) -> list[Rows]:
        """The output rows of one step for every key."""
        ticket = Ticket(len(keys))
        with self._guard:
            entries = [self._find(key) for key in keys]
            if self._num_waiting + len(keys) > self.queue:
                raise BusyError(
                    f"the queue has {self._num_waiting} steps waiting, expected at most {self.queue} with these"
                    f" {len(keys)}: ask again later, or raise queue"
                )
            self._num_waiting += len(keys)
            for index, entry in enumerate(entries):
                self._ask(Wish(entry, ticket, index, rows[index]))
            if self._ready and not self._leading:
                self._leading = ticket.lead = True
        self._wait(ticket)
        return [row for row in ticket.rows if row is not None]

    @contextlib.contextmanager
    def _own(self, key: Hashable) -> Iterator[Entry]:
        """The entry of a key for oneself, in its turn."""
        ticket = Ticket(1)
        with self._guard:
            entry = self._find(key)
            if entry.busy or entry.waiting:
                self._ask(Wish(entry, ticket, 0, None))
            else:
                self._grant(entry, ticket)
        try:
            self._wait(ticket)
            yield entry
        finally:
            with self._guard:
                if ticket.granted:
                    self._give_back(entry)
                    self._hand_over()
            self._pack(self.resident)

    def _wait(self, ticket: Ticket) -> None:
        """Return when all wishes of a ticket have come true; compute batches where it is this thread's turn."""
        try:
            while ticket.left:
                if ticket.lead:
                    self._compute(ticket)
                else:
                    ticket.lock.acquire()
        finally:
            with self._guard:
                if ticket.left:  # interrupted: nobody waits for the rest any more
                    ticket.left, ticket.error = 0, ticket.error or BusyError(_INTERRUPTED)
                if ticket.lead:
                    self._leading = ticket.lead = False
                    self._hand_over()
        if ticket.error is not None:
            raise ticket.error
        self._pack(self.resident)

    # With the guard held

    def _ask(self, wish: Wish) -> None:
        entry = wish.entry
        if entry.waiting is None:
            entry.waiting = deque()
        entry.waiting.append(wish)
        if not entry.busy and len(entry.waiting) == 1 and wish.rows is not None:
            self._ready.append(entry)

    def _release(self, entry: Entry) -> None:
        """The entry is free: the next in its queue has its turn."""
        entry.busy = False
        while entry.waiting:
            wish = entry.waiting[0]
            if wish.ticket.left and not entry.closed:
                break
            self._drop(wish)
        if not entry.waiting:
            entry.waiting = None
        elif entry.waiting[0].rows is not None:
            self._ready.append(entry)
        else:
            ticket = entry.waiting.popleft().ticket
            self._grant(entry, ticket)
            ticket.wake()

    def _grant(self, entry: Entry, ticket: Ticket) -> None:
        """Give an entry to one who wants it for himself."""
        entry.busy = ticket.granted = True
        ticket.left = 0

    def _give_back(self, entry: Entry) -> None:
        """The entry was used: its session is the last that is packed."""
        if not entry.closed and entry.session is not None:
            self._awake[entry.key] = entry
            self._awake.move_to_end(entry.key)
        self._release(entry)

    def _drop(self, wish: Wish) -> None:
        """Take away a wish that nobody waits for, or whose key was closed."""
        assert wish.entry.waiting is not None
        wish.entry.waiting.popleft()
        self._num_waiting -= wish.rows is not None
        if wish.ticket.left:
            wish.ticket.left = 0
            wish.ticket.error = SettingsError(
                f"key {wish.entry.key!r} was closed, expected one that is open: open it first"
            )
            wish.ticket.wake()

    def _hand_over(self) -> None:
        """Let one of those whose step is ready compute, where nobody does."""
        while self._ready and not self._leading:
            waiting = self._ready[0].waiting
            if not waiting or not waiting[0].ticket.left:
                self._release(self._ready.popleft())
                continue
            self._leading = waiting[0].ticket.lead = True
            waiting[0].ticket.wake()

    def _take(self) -> list[Wish]:
        """The next batch, its entries in use."""
        batch: list[Wish] = []
        while self._ready and len(batch) < MOST:
            entry = self._ready.popleft()
            assert entry.waiting
            if not entry.waiting[0].ticket.left:
                self._release(entry)
                continue
            batch.append(entry.waiting.popleft())
            entry.busy = True
        self._num_waiting -= len(batch)
        return batch

    # Without it

    def _compute(self, ticket: Ticket) -> None:
        """One batch, for all whose wishes are in it; afterwards the next has the lead, unless this thread's wishes remain."""
        with self._guard:
            batch = self._take()
        error: BaseException | None = None
        try:
            rows = self._advance(batch) if batch else []
        except BaseException as raised:  # an interrupt too: those who wait must hear of it
            error, rows = raised, [{}] * len(batch)
        with self._guard:
            for wish, row in zip(batch, rows):
                wish.ticket.rows[wish.index] = row
                wish.ticket.left -= bool(wish.ticket.left)
                if error is not None:
                    own = wish.ticket is ticket or isinstance(error, Exception)
                    wish.ticket.left, wish.ticket.error = 0, error if own else BusyError(_INTERRUPTED)
                if not wish.ticket.left and wish.ticket is not ticket:
                    wish.ticket.wake()
                self._give_back(wish.entry)
            if not ticket.left or not self._ready:
                self._leading = ticket.lead = False
                self._hand_over()
        if error is not None and not isinstance(error, Exception):
            raise error

    def _advance(self, batch: list[Wish]) -> list[Rows]:
        names = self._network.graph.step_inputs
        x = {name: np.stack([wish.rows[name] for wish in batch if wish.rows]) for name in names}
        outputs = advance([self._awaken(wish.entry) for wish in batch], alone(x))
        by_name = self._network.graph.named_outputs(outputs)
        return [{name: out[k] for name, out in by_name.items()} for k in range(len(batch))]

    def _awaken(self, entry: Entry) -> Session:
        """The session of an entry in use."""
        if entry.session is None:
            constants, lengths = entry.constants
            session = self.model.session(network=self._name, constants=constants, lengths=lengths)
            entry.session, entry.content = session.restore(entry.content), b""
        return entry.session

    def _pack(self, keep: int) -> int:
        """Pack sessions that nobody uses, the one used longest ago first, until `keep` are left; how many were packed."""
        if len(self._awake) <= keep:
            return 0
        with self._guard:
            oldest = itertools.islice(self._awake.values(), max(0, len(self._awake) - keep))
            victims = [entry for entry in oldest if not entry.busy and not entry.waiting]
            for entry in victims:
                entry.busy = True
                del self._awake[entry.key]
        try:
            for entry in victims:
                assert entry.session is not None
                entry.content, entry.session = entry.session.to_bytes(), None
        finally:
            with self._guard:
                for entry in victims:
                    if entry.session is not None:
                        self._awake[entry.key] = entry
                    self._release(entry)
                self._hand_over()
        return len(victims)
