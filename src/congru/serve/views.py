"""The questions of the page's views over HTTP: the gate explorer, and one door for each task that has a view of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from congru.serve import explorer, protocol
from congru.serve.desk import Desk
from congru.serve.edits import Edit, run_edited
from congru.serve.explorer import Explored, Explorer
from congru.serve.fitting import Adapted, events_schema
from congru.serve.library import Shelf
from congru.serve.subjects.subject import AnyTask, Subject
from congru.serve.unit import unit_numbers

Key = Annotated[str, Path(max_length=200)]
FileName = Annotated[str, Query(alias="name", max_length=200, description="Its ending says what it is.")]
Answer = dict[str, Any]
_SUBJECTS = {
    "text": "TextSubject",
    "chess": "ChessSubject",
    "forecast": "ForecastSubject",
    "music": "MusicSubject",
    "translate": "TranslateSubject",
}


def subject_of(shelf: Shelf) -> Subject:
    """How the explorer reads the inputs of a model's task."""
    task = shelf.model().task
    if task not in _SUBJECTS:
        return AnyTask()
    made: Subject = getattr(_module(task), _SUBJECTS[task])()
    return made


def _module(name: str) -> Any:
    """A module of `subjects`; it loads what its task needs."""
    return import_module(f"congru.serve.subjects.{name}")


def explore_router(desk: Desk) -> APIRouter:
    """The gate explorer."""
    router = APIRouter(prefix=protocol.PREFIX, tags=["explorer"])
    runs = Explorer()

    @router.post("/models/{name}/explore", summary="Run a model over an input and show its gates.")
    async def explore(name: Key, body: protocol.ExploreBody) -> Answer:
        return await desk.work(_explore, runs, desk.library.find_model(name), body)

    @router.post("/explore/{run}/shares", summary="What each step gave a prediction.")
    async def shares(run: Key, body: protocol.SharesBody) -> Answer:
        return await desk.work(explorer.shares, runs.find(run), body.at, body.target, body.trust)

    @router.post("/explore/{run}/unit", summary="The equations of one unit at one step, with their numbers.")
    async def unit(run: Key, body: protocol.UnitBody) -> Answer:
        position = (body.node, body.depth, body.direction, body.step, body.unit)
        return await desk.work(unit_numbers, runs.find(run), *position)

    @router.post(
        "/explore/{run}/what-if",
        summary="Hold gates or set states, and see what comes of it beside what came.",
    )
    async def what_if(run: Key, body: protocol.WhatIfBody) -> Answer:
        return await desk.work(_what_if, runs.find(run), body)

    return router


def _explore(runs: Explorer, shelf: Shelf, body: protocol.ExploreBody) -> Answer:
    source = subject_of(shelf).source(shelf, body.text)
    explored = runs.explore(shelf, shelf.model(), source)
    text = "".join(shelf.model().tokenizer.decode([t]) for t in source.tokens) if source.tokens else None  # type: ignore[union-attr]
    return {**explorer.film(explored), "text": text}


def _what_if(explored: Explored, body: protocol.WhatIfBody) -> Answer:
    subject, layers = subject_of(explored.shelf), explored.layers()
    edits = [
        Edit(one.node, one.depth, one.what, tuple(one.units), tuple(one.steps), one.value)
        for one in body.edits
    ]
    if not edits:
        return {
            "outcome": subject.outcome(explored, run_edited(explored.network, explored.x, layers, ()), body),
            "layers": [],
        }
    edited = run_edited(explored.network, explored.x, layers, edits)
    touched = []
    for node, depth in edited.states:
        layer = layers[node][depth]
        touched.append(
            {"node": node, "depth": depth, "strips": explorer.edited_strips(layer, edited, node, depth)}
        )
    return {"outcome": subject.outcome(explored, edited, body), "layers": touched}


def task_router(desk: Desk) -> APIRouter:
    """The doors of single tasks; each loads its task when it is first asked."""
    router = APIRouter(prefix=protocol.PREFIX, tags=["tasks"])
    kept: dict[str, Any] = {}

    async def ask(name: str, module: str, function: Callable[..., Any], *rest: Any) -> Answer:
        shelf = desk.library.find_model(name)
        answer: Answer = await desk.work(lambda: function(_module(module), shelf, *rest))
        return answer

    @router.post(
        "/models/{name}/game", summary="Chess: a game after its moves, with what both players may do next."
    )
    async def game(name: Key, body: protocol.GameBody) -> Answer:
        def play(module: Any, shelf: Shelf) -> Answer:
            games = kept.setdefault("games", module.Games())
            answer: Answer = games.ask(shelf, body)
            return answer

        return await ask(name, "chess", play)

    @router.post(
        "/models/{name}/adapt",
        summary="Chess: a model that knows one player more, from their games; with `stream` it tells how far it is.",
        response_model=Adapted,
        responses={200: {"content": {"text/event-stream": {"schema": events_schema()}}}},
    )
    async def adapt(name: Key, body: protocol.AdaptBody, request: Request) -> Any:
        shelf = desk.library.find_model(name)

        def fit(report: Callable[[str, int, int], None]) -> Answer:
            adapted = _module("players").adapt(shelf, body, desk.library, desk.options.runs, report)
            return Adapted(**adapted).model_dump()

        if body.stream:
            return StreamingResponse(desk.fits.stream(fit), media_type="text/event-stream")
        answer: Answer = {}
        async with contextlib.aclosing(desk.fits.run(fit)) as events:
            async for event in events:
                if await request.is_disconnected():
                    raise ClientDisconnect
                answer = event
        return answer

    @router.post("/chess/pgn", summary="Chess: moves as PGN, or the moves of a PGN.")
    async def pgn(body: protocol.PgnBody) -> Answer:
        def read() -> Answer:
            module = _module("chess")
            if body.text is not None:
                return dict(module.checked_moves(body.text))
            return {"pgn": module.as_pgn(body.game or protocol.GameBody())}

        return await desk.work(read)

    @router.post(
        "/models/{name}/forecast", summary="Forecast: past, fan and truth of a series or a pasted table."
    )
    async def forecast(name: Key, body: protocol.ForecastBody) -> Answer:
        return await ask(name, "forecast", lambda module, shelf: module.ask(shelf, body))

    @router.post("/models/{name}/compose", summary="Music: go on from a motif.")
    async def compose(name: Key, body: protocol.ComposeBody) -> Answer:
        return await ask(name, "music", lambda module, shelf: module.ask(shelf, body))

    @router.post("/models/{name}/classify", summary="Sentiment: the classes of a text, word by word.")
    async def classify(name: Key, body: protocol.SentenceBody) -> Answer:
        return await ask(name, "language", lambda module, shelf: module.classify(shelf, body.text))

    @router.post("/models/{name}/translate", summary="Translation with its attention.")
    async def translate(name: Key, body: protocol.SentenceBody) -> Answer:
        return await ask(
            name, "language", lambda module, shelf: module.translate(shelf, body.text, body.beam)
        )

    @router.post("/models/{name}/talk", summary="Assistant: a conversation with its state card.")
    async def talk(name: Key, body: protocol.TalkBody) -> Answer:
        return await ask(name, "language", lambda module, shelf: module.talk(shelf, body.turns))

    @router.post("/models/{name}/hear", summary="Speech: an audio file to words with their times.")
    async def hear(name: Key, request: Request, file: FileName = "recording.wav") -> Answer:
        content = await request.body()
        return await ask(name, "recordings", lambda module, shelf: module.hear(shelf, file, content))

    def listeners(module: Any) -> Any:
        return kept.setdefault("listeners", module.Listeners())

    @router.post(
        "/models/{name}/listen",
        summary="Speech: open a stream of samples at so many a second.",
        status_code=201,
    )
    async def listen(
        name: Key, rate: Annotated[int, Query(ge=4000, le=192_000, description="Samples a second.")]
    ) -> Answer:
        return await ask(name, "recordings", lambda module, shelf: listeners(module).open(shelf, rate))

    @router.post("/listen/{stream}", summary="Speech: go on with samples (float32); the words that settled.")
    async def go_on(stream: Key, request: Request, last: bool = False) -> Answer:
        content = await request.body()
        return await desk.work(lambda: dict(listeners(_module("recordings")).feed(stream, content, last)))

    @router.post("/models/{name}/watch", summary="Video: the classes of a clip after every frame.")
    async def watch(name: Key, request: Request, file: FileName = "clip.mp4") -> Answer:
        content = await request.body()
        return await ask(name, "recordings", lambda module, shelf: module.watch(shelf, file, content))

    return router
