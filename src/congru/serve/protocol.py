"""The written protocol of version 1: the messages of a WebSocket, each with its answer, and the bodies of HTTP requests.

Every message is a JSON object with a `type`; `id` comes back in each answer to it. `schema()` is the JSON schema of both
directions; that of HTTP is the server's OpenAPI document.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

VERSION = 1
PREFIX = f"/v{VERSION}"
Values: TypeAlias = "int | list[Any] | dict[str, Any]"
Name = Annotated[str, Field(max_length=200)]
Temperature = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Message(_Strict):
    id: Annotated[int | str | None, Field(description="Comes back in every answer.")] = None


class OpenBody(_Strict):
    """A new session of a model, or one that goes on from a saved one."""

    model: Name
    network: Name | None = None
    seed: Seed | None = None
    constants: Annotated[
        dict[str, list[Any]], Field(description="Rows and memories that hold for the whole stream.")
    ] = {}
    lengths: dict[str, list[int]] = {}
    restore: Annotated[Name | None, Field(description="The name of a saved session of this model.")] = None


class FeedBody(_Strict):
    """A text, token ids or vectors, read at once."""

    text: str | None = None
    values: list[Any] | dict[str, Any] | None = None


class StepBody(_Strict):
    """One step: a token, a vector, or several inputs by name."""

    values: Values


class GenerateBody(_Strict):
    """Draw tokens, each fed back, and say their text as it comes."""

    n: Annotated[int, Field(ge=0, le=100_000)] = 200
    temperature: Temperature = 0.8
    top_k: Annotated[int, Field(ge=1)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: list[Annotated[str, Field(min_length=1)]] = []


class ForkBody(_Strict):
    """A copy of a session, with a random generator of its own where `seed` is given."""

    seed: Seed | None = None


class SaveBody(_Strict):
    """Write the session to the server's disk."""

    name: Name


class Open(_Message, OpenBody):
    """Open a session; the answer is `opened`."""

    type: Literal["open"]


class _OfSession(_Message):
    session: Name


class Feed(_OfSession, FeedBody):
    """Read a text or a chunk; the answer is `fed` with the outputs of its last step."""

    type: Literal["feed"]


class Step(_OfSession, StepBody):
    """One step; the answer is `stepped` with its outputs."""

    type: Literal["step"]


class Generate(_OfSession, GenerateBody):
    """Draw tokens; the answers are any number of `piece` and one `generated`."""

    type: Literal["generate"]


class Fork(_OfSession, ForkBody):
    """Copy a session; the answer is `opened`."""

    type: Literal["fork"]


class Save(_OfSession, SaveBody):
    """Write a session to disk; the answer is `saved`."""

    type: Literal["save"]


class Close(_OfSession):
    """Forget a session; the answer is `closed`."""

    type: Literal["close"]


class Stop(_Message):
    """End the `generate` or `watch` with the id `target`; the answer is `stopped`."""

    type: Literal["stop"]
    target: int | str


class Watch(_Message):
    """Follow a run: an answer `metrics` with the rows so far, and one for every change until the run ends or `stop`."""

    type: Literal["watch"]
    run: Name
    after: Annotated[int, Field(ge=0, description="Bytes of metrics.csv already known.")] = 0


class Ping(_Message):
    """Ask for a `pong`."""

    type: Literal["ping"]


Request: TypeAlias = Annotated[
    Open | Feed | Step | Generate | Fork | Save | Close | Stop | Watch | Ping, Field(discriminator="type")
]


class Hello(_Strict):
    """The first message of the server."""

    type: Literal["hello"] = "hello"
    protocol: int = VERSION
    version: str


class Opened(_Message):
    """A session is open under this name."""

    type: Literal["opened"] = "opened"
    session: str


class Outputs(_Message):
    """The outputs of the last step by name; None before the first."""

    type: Literal["fed", "stepped"]
    outputs: dict[str, list[float]] | None


class Piece(_Message):
    """Text that was drawn, in whole characters."""

    type: Literal["piece"] = "piece"
    text: str


class Generated(_Message):
    """No more pieces: why, and how many tokens were drawn."""

    type: Literal["generated"] = "generated"
    reason: Literal["length", "stop", "stopped"]
    tokens: int


class MetricsNews(_Message):
    """Rows of metrics.csv [step, seconds, split, name, value], and what status.json says now."""

    type: Literal["metrics"] = "metrics"
    rows: list[tuple[int, float, str, str, float | None]]
    after: int
    status: dict[str, Any]


class Done(_Message):
    """It is done."""

    type: Literal["saved", "closed", "stopped", "pong"]


class Fault(_Message):
    """It was refused: a code for programs, a line for people."""

    type: Literal["error"] = "error"
    code: str
    message: str


Answer: TypeAlias = Annotated[
    Hello | Opened | Outputs | Piece | Generated | MetricsNews | Done | Fault, Field(discriminator="type")
]

REQUESTS: TypeAdapter[Any] = TypeAdapter(Request)
ANSWERS: TypeAdapter[Any] = TypeAdapter(Answer)


def schema() -> dict[str, Any]:
    """The JSON schema of the messages: "request" what a client sends, "answer" what the server sends.

    >>> sorted(schema())
    ['$schema', 'answer', 'protocol', 'request']
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "protocol": VERSION,
        "request": REQUESTS.json_schema(),
        "answer": ANSWERS.json_schema(),
    }


class TrainBody(_Strict):
    """Start a training: `settings` as `GET /v1/tasks` describes them, paths below the server's data folder."""

    task: Name
    data: Annotated[list[Annotated[str, Field(max_length=1000)]], Field(min_length=1, max_length=4)]
    settings: dict[str, Any] = {}


class CompletionBody(BaseModel):
    """A request of OpenAI's `/v1/completions`; keys that have no meaning here are refused by name."""

    model_config = ConfigDict(extra="forbid")

    model: Name
    prompt: str | list[str] = "\n"
    max_tokens: Annotated[int, Field(ge=0, le=100_000)] = 16
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    n: Annotated[int, Field(ge=1, le=16)] = 1
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    seed: Seed | None = None
    echo: bool = False
    user: str | None = None
    best_of: Literal[1] | None = None
    logprobs: None = None
    suffix: None = None
    logit_bias: None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] = 0.0
    presence_penalty: Annotated[float, Field(ge=0, le=0)] = 0.0


class ExploreBody(_Strict):
    """What to read: a text, moves, the name of a series; without it what the task has at hand."""

    text: Annotated[str | None, Field(max_length=200_000)] = None


class SharesBody(_Strict):
    """Which prediction: the output `target` at the step `at`; default the likeliest at the last."""

    at: Annotated[int, Field(ge=0)] | None = None
    target: Annotated[int, Field(ge=0)] | None = None
    trust: Annotated[bool, Field(description="Also how far to believe the shares, which takes longer.")] = (
        False
    )


class _LayerBody(_Strict):
    node: Name
    depth: Annotated[int, Field(ge=0, lt=100)] = 0


class UnitBody(_LayerBody):
    """One unit at one step of one layer."""

    direction: Annotated[int, Field(ge=0, le=1)] = 0
    step: Annotated[int, Field(ge=0)]
    unit: Annotated[int, Field(ge=0)]


class EditBody(_LayerBody):
    """Hold a gate at a value, or set the state after a step."""

    what: Literal["keep", "reset", "candidate", "input", "output", "state", "cell"]
    units: Annotated[list[int], Field(min_length=1, max_length=100_000)]
    steps: Annotated[list[int], Field(min_length=1, max_length=100_000)]
    value: Annotated[float, Field(allow_inf_nan=False)]


class WhatIfBody(_Strict):
    """Edits, and for text how to go on: `n` tokens with the same random numbers whatever was edited."""

    edits: Annotated[list[EditBody], Field(max_length=64)] = []
    n: Annotated[int, Field(ge=0, le=1000)] = 120
    temperature: Temperature = 0.7
    seed: Seed = 0
    source: Annotated[str | None, Field(max_length=200_000)] = None


class GameBody(_Strict):
    """A game of chess: moves in UCI or SAN from the usual first position or that of `fen`."""

    moves: Annotated[list[Annotated[str, Field(max_length=12)]], Field(max_length=600)] = []
    fen: Annotated[str | None, Field(max_length=120)] = None
    white: Name | None = None
    black: Name | None = None
    top: Annotated[int, Field(ge=1, le=20)] = 5
    sources: Annotated[int, Field(ge=0, le=20)] = 3
    players: Annotated[bool, Field(description="Also the names of the players that the model knows.")] = False
    recall: Annotated[
        bool, Field(description="With what the two players chose before in the same positions.")
    ] = True


class AdaptBody(_Strict):
    """A player to get to know: the name, or a part that only this player has, and a PGN of games by this player."""

    player: Annotated[str, Field(min_length=1, max_length=200)]
    pgn: Annotated[str, Field(min_length=1, max_length=8_000_000)]
    games: Annotated[int, Field(ge=1, le=1000)] = 100
    stream: Annotated[bool, Field(description="Tell how far it is, as server-sent events.")] = False


class PgnBody(_Strict):
    """A PGN to read, or a game to write."""

    text: Annotated[str | None, Field(max_length=1_000_000)] = None
    game: GameBody | None = None


class ForecastBody(_Strict):
    """A series by name; or a table as CSV with the columns of training, and how many of its rows are known."""

    series: Name | None = None
    csv: Annotated[str | None, Field(max_length=8_000_000)] = None
    cutoff: Annotated[int, Field(ge=1)] | None = None


class ComposeBody(_Strict):
    """A motif as notes (start and length in quarter notes, MIDI pitch), and how to go on."""

    motif: Annotated[list[tuple[float, float, int]], Field(max_length=2000)] = []
    bars: Annotated[int, Field(ge=1, le=64)] = 4
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    voices: Annotated[int, Field(ge=1, le=20)] | None = None
    seed: Seed = 0
    lock: Literal["soprano", "alto", "tenor", "bass"] | None = None
    locked: Annotated[list[tuple[float, float, int]], Field(max_length=2000)] = []


class SentenceBody(_Strict):
    """A text to classify or to translate."""

    text: Annotated[str, Field(max_length=20_000)]
    beam: Annotated[int, Field(ge=1, le=20)] = 5


class TalkBody(_Strict):
    """A conversation from its start: the sentences of the person."""

    turns: Annotated[list[Annotated[str, Field(max_length=2000)]], Field(min_length=1, max_length=200)]
