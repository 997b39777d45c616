"""The HTTP side of the protocol: models, sessions, runs, completions, health and metrics. OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse

from congru.serve import protocol
from congru.serve.completions import Completion
from congru.serve.desk import Desk
from congru.serve.library import Shelf
from congru.serve.meters import resident_bytes
from congru.serve.runs import Runs, read_rows, tasks
from congru.serve.socket import Connection
from congru.version import __version__

Key = Annotated[str, Path(max_length=200)]
Answer = dict[str, Any]


def model_router(desk: Desk, runs: Runs) -> APIRouter:
    """What is served."""
    router = APIRouter(prefix=protocol.PREFIX, tags=["models"])

    @router.get("/models", summary="Every model and run, with what it can do.")
    async def models() -> Answer:
        shelves = await desk.work(desk.library.scan)
        data = [model_entry(shelf, runs) for shelf in shelves.values()]
        return {"object": "list", "data": data, "version": __version__, "protocol": protocol.VERSION}

    @router.get("/models/{name}", summary="One model: networks, inputs, outputs, sizes, saved sessions.")
    async def model(name: Key) -> Answer:
        shelf = desk.library.find_model(name)
        loaded = await desk.work(shelf.model)
        networks = {
            key: {
                "inputs": {
                    k: {"axes": s.axes, "tokens": s.tokens, "size": s.size} for k, s in n.graph.inputs.items()
                },
                "outputs": {k: {"axes": s.axes, "size": s.size} for k, s in n.graph.outputs.items()},
                "recurrent": [node.name for node in n.graph.recurrent],
                "streams": n.stream_problem() is None,
                "why_not": n.stream_problem(),
            }
            for key, n in loaded.networks.items()
        }
        return {
            **model_entry(shelf, runs),
            "num_parameters": loaded.num_parameters,
            "networks": networks,
            "labels": loaded.labels,
            "saved": desk.sessions.saved(shelf),
        }

    return router


def model_entry(shelf: Shelf, runs: Runs) -> Answer:
    """A model or run as the list shows it, without loading it."""
    config = shelf.config() if shelf.has_model else None
    status = runs.status(shelf) if shelf.is_run else {}
    task = (config or {}).get("task") or status.get("task")
    return {
        "id": shelf.name,
        "object": "model",
        "created": 0,
        "owned_by": "congru",
        "task": task,
        "cell": (config or {}).get("cell"),
        "has_model": config is not None,
        "is_run": shelf.is_run,
        "status": status,
    }


def session_router(desk: Desk) -> APIRouter:
    """Sessions of clients without a WebSocket: whoever knows the id owns it."""
    router = APIRouter(prefix=f"{protocol.PREFIX}/sessions", tags=["sessions"])

    @router.post("", summary="Open a session.", status_code=201)
    async def open_session(body: protocol.OpenBody) -> Answer:
        return {"session": (await desk.open(body)).key}

    @router.post("/{session}/feed", summary="Read a text or values.")
    async def feed(session: Key, body: protocol.FeedBody) -> Answer:
        held = desk.sessions.find(session, None)
        async with held.lock:
            return {"outputs": await desk.feed(held, body)}

    @router.post("/{session}/step", summary="One step.")
    async def step(session: Key, body: protocol.StepBody) -> Answer:
        held = desk.sessions.find(session, None)
        async with held.lock:
            return {"outputs": await desk.step(held, body.values)}

    @router.post("/{session}/generate", summary="Draw tokens and return their text.")
    async def generate(session: Key, body: protocol.GenerateBody) -> Answer:
        held, told = desk.sessions.find(session, None), dict[str, Any]()
        async with held.lock:
            pieces = [piece async for piece in desk.generate(held, body, told)]
        return {"text": "".join(pieces), **told}

    @router.post("/{session}/fork", summary="Copy a session.", status_code=201)
    async def fork(session: Key, body: protocol.ForkBody) -> Answer:
        held = desk.sessions.find(session, None)
        async with held.lock:
            return {"session": desk.fork(held, body.seed).key}

    @router.post("/{session}/save", summary="Write a session to the server's disk.")
    async def save(session: Key, body: protocol.SaveBody) -> Answer:
        held = desk.sessions.find(session, None)
        async with held.lock:
            await desk.work(desk.sessions.save, held, body.name)
        return {"name": body.name}

    @router.delete("/{session}", summary="Forget a session.")
    async def close(session: Key) -> Answer:
        desk.sessions.close(session, None)
        return {"session": session}

    return router


def run_router(desk: Desk, runs: Runs) -> APIRouter:
    """Trainings."""
    router = APIRouter(prefix=protocol.PREFIX, tags=["runs"])

    @router.get("/tasks", summary="Every task with the JSON schema of its settings.")
    async def every_task() -> Answer:
        return {"tasks": await desk.work(tasks)}

    @router.get("/runs", summary="Every run with its status.")
    async def every_run() -> Answer:
        shelves = (await desk.work(desk.library.scan)).values()
        return {"runs": [{"name": s.name, "status": runs.status(s)} for s in shelves if s.is_run]}

    @router.post("/runs", summary="Start a training.", status_code=201)
    async def start(body: protocol.TrainBody) -> Answer:
        return await desk.work(runs.start, body.task, body.data, body.settings)

    @router.get("/runs/{name}", summary="Status, settings, data and the newest sample of a run.")
    async def run(name: Key) -> Answer:
        return await desk.work(runs.describe, runs.find(name))

    @router.get("/runs/{name}/metrics", summary="Rows of metrics.csv behind so many bytes.")
    async def metrics(name: Key, after: Annotated[int, Query(ge=0)] = 0) -> Answer:
        rows, known = await desk.work(read_rows, runs.find(name).path / "metrics.csv", after)
        return {"rows": rows, "after": known}

    @router.post("/runs/{name}/stop", summary="Save a run and end it.")
    async def stop(name: Key) -> Answer:
        return runs.stop(name)

    @router.post("/runs/{name}/resume", summary="Continue a run that was stopped.")
    async def resume(name: Key) -> Answer:
        return await desk.work(runs.resume, name)

    @router.put("/files/{name}", summary="Send a file to train on.", status_code=201)
    async def upload(name: Key, request: Request) -> Answer:
        content = await request.body()
        return await desk.work(runs.upload, name, content)

    return router


def service_router(desk: Desk, runs: Runs) -> APIRouter:
    """Completions, the WebSocket, its schema, health and metrics."""
    router = APIRouter()
    open_now: set[Connection] = set()

    @router.post(
        f"{protocol.PREFIX}/completions", tags=["completions"], summary="As OpenAI's: text that goes on."
    )
    async def completions(body: protocol.CompletionBody) -> Any:
        completion = Completion(desk, body)
        await completion.begin()
        if body.stream:
            return StreamingResponse(completion.stream(), media_type="text/event-stream")
        return await completion.whole()

    @router.get(
        f"{protocol.PREFIX}/messages.json",
        tags=["socket"],
        summary="JSON schema of the WebSocket's messages.",
    )
    async def messages() -> Answer:
        return protocol.schema()

    @router.websocket(f"{protocol.PREFIX}/socket")
    async def socket(websocket: WebSocket) -> None:
        if len(open_now) >= desk.options.limits.connections:
            await websocket.close(1013, "too many connections")
            return
        connection = Connection(websocket, desk, runs)
        open_now.add(connection)
        try:
            await connection.talk()
        finally:
            open_now.discard(connection)

    @router.get("/health", tags=["service"], summary="Whether the server answers.")
    async def health() -> Answer:
        return {"status": "ok", "version": __version__, "protocol": protocol.VERSION}

    @router.get(
        "/metrics", tags=["service"], summary="Prometheus' text format.", response_class=PlainTextResponse
    )
    async def metrics() -> PlainTextResponse:
        gauges = {
            "sessions": float(len(desk.sessions)),
            "connections": float(len(open_now)),
            "resident_bytes": float(resident_bytes()),
        }
        return PlainTextResponse(
            desk.meters.text(gauges), media_type="text/plain; version=0.0.4; charset=utf-8"
        )

    return router
