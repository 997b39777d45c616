"""The keywords of every task's `train`: the fields of its `Settings`, also by flag. Written by `python -m pages`.

So `congru.tasks.forecast.train("weather.csv", horizn=3)` is an error for mypy and pyright, not only when it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Literal, TypedDict


class TrainKeywords(TypedDict, total=False):
    """What every training takes."""

    epochs: int | None
    minutes: float | None
    steps: int | None
    patience: int | None
    evaluations: int
    eval_every: int | None
    learning_rate: float
    batch_size: int
    clip: float | None
    weight_decay: float
    warmup: float
    orthogonal: bool
    chrono: int | None
    freeze: Sequence[str]
    ema: float | None
    average: int
    seed: int
    precision: Literal["auto", "float32", "bfloat16"]
    workers: int
    threads: int | None
    device: Literal["auto", "cpu", "cuda", "mps"]
    devices: int
    sync_every: int
    out: str | PathLike[str] | None
    resume: bool
    config: str | PathLike[str] | None
    dry_run: bool
    quiet: bool
    json_lines: bool
    json: bool
    monitor: bool
    save_seconds: float
    track: Sequence[Literal["tensorboard", "mlflow"]]
    cell: Literal["gru", "lstm", "rnn", "mingru"]
    hidden_size: int
    num_layers: int
    dropout: float


class AssistantKeywords(TrainKeywords, total=False):
    """What `congru.tasks.assistant.train` takes."""

    validation: float
    embedding_size: int
    seeds: int
    min_count: int
    unseen: float
    swap: float
    dialogues: int | None
    rank: str | None


class ChessKeywords(TrainKeywords, total=False):
    """What `congru.tasks.chess.train` takes."""

    player: str | None
    first_year: int | None
    min_elo: int | None
    result: Literal["1-0", "1/2-1/2", "0-1"] | None
    bad: Literal["skip", "stop"]
    split: Literal["auto", "game", "time"]
    min_games: int
    validation_games: int
    variant: Literal["b", "m"]
    move_size: int
    player_size: int
    start_from: str | PathLike[str] | None
    chunk: int
    player_dropout: float
    carried: float
    result_weight: float
    time_weight: float
    teacher_weight: float
    legal_weight: float


class ForecastKeywords(TrainKeywords, total=False):
    """What `congru.tasks.forecast.train` takes."""

    freq: str | None
    date_format: str
    season: int | None
    bad_rows: Literal["error", "skip"]
    id_column: str
    time_column: str
    target_column: str
    missing: Sequence[str]
    val_size: int | None
    test_size: int
    known: Sequence[str]
    past: Sequence[str]
    static: Sequence[str]
    ignore: Sequence[str]
    holidays: Sequence[str]
    horizon: int
    levels: Sequence[int]
    input_size: int | None
    segment: int | None
    lags: Sequence[int] | None
    minimum: float | Literal["auto", "none"]
    min: float | Literal["auto", "none"]
    intervals: Literal["adaptive", "static"]
    linear: bool
    calendar: bool
    noise: float | None
    seeds: int
    loss: Literal["mase", "mae", "mse", "owa"]
    metric: Literal["mase", "mae", "mse", "smape"]
    stride: int | None
    search: float | None


class MusicKeywords(TrainKeywords, total=False):
    """What `congru.tasks.music.train` takes."""

    unit: Literal["frames", "events"]
    grid: int | None
    validation: float
    bad: Literal["stop", "skip"]
    frame: Literal["notes", "keys"]
    recall: bool
    beat: int
    notes_size: int
    embedding_size: int
    notes_dropout: float
    input_dropout: float
    chunk: int
    transpose: int


class SentimentKeywords(TrainKeywords, total=False):
    """What `congru.tasks.sentiment.train` takes."""

    text_column: str | None
    label_column: str | None
    rename: Sequence[str]
    bands: Sequence[float]
    valid: str | PathLike[str] | None
    test: str | PathLike[str] | None
    validation: float
    tokens: Literal["word", "bpe", "char"]
    vocab_size: int
    min_count: int
    lowercase: bool
    max_tokens: int
    vectors: str | PathLike[str] | None
    naive_bayes: Literal["off", "bias", "channel", "both"]
    grams: Literal["auto", "word", "char"]
    reweight: bool
    embedding_size: int
    pool: Literal["attention", "mean", "max"]
    streaming: bool
    reset_before: bool
    embedding_dropout: float
    word_dropout: float
    class_weights: bool
    start_from: str | PathLike[str] | None
    metric: Literal["accuracy", "macro_f1", "nats"]


class SpeechKeywords(TrainKeywords, total=False):
    """What `congru.tasks.speech.train` takes."""

    valid: str | PathLike[str] | None
    validation: float
    speaker: str | None
    bad: Literal["stop", "skip"]
    case: Literal["auto", "keep", "upper", "lower"]
    alphabet: str | None
    features: Literal["auto", "fbank", "mfcc", "sphinx"]
    rate_hz: int | None
    differences: int
    stack: int
    speed: float
    warp: float
    time_masks: int
    mask_seconds: float
    frequency_masks: int
    mask_bands: int
    cut_by: str | PathLike[str] | None
    cut_share: float
    short_first: int
    bidirectional: bool
    conv_size: int
    kernel: int
    look_ahead: int
    layer_norm: bool
    seeds: int
    consistency: float


class TextKeywords(TrainKeywords, total=False):
    """What `congru.tasks.text.train` takes."""

    tokens: Literal["char", "bpe"]
    vocab_size: int
    validation: float
    embedding_size: int | None
    recurrent_dropout: float
    seeds: int
    tied: bool
    reset_before: bool
    chunk: int


class TranslateKeywords(TrainKeywords, total=False):
    """What `congru.tasks.translate.train` takes."""

    source_column: int
    target_column: int
    source_language: str | None
    target_language: str | None
    bad_rows: Literal["raise", "skip"]
    valid: Sequence[str | PathLike[str]]
    validation: float
    max_validation: int
    tokens: Literal["bpe", "word"]
    shared: bool
    vocab_size: int
    min_count: int
    lowercase: bool
    max_tokens: int
    embedding_size: int
    fixed_vector: bool
    layer_norm: bool
    word_dropout: float
    label_smoothing: float
    bleu_tokenize: Literal["13a", "none", "intl", "char", "zh"]


class VideoKeywords(TrainKeywords, total=False):
    """What `congru.tasks.video.train` takes."""

    moving_digits: Literal["digit", "direction", "order"] | None
    made_clips: int
    bad: Literal["stop", "skip"]
    validation: float
    fold: int
    leave_out: Sequence[str]
    rate: float | None
    max_frames: int
    memory_mb: int
    decoders: int
    height: int
    width: int
    figure: bool
    color: bool
    differences: bool
    channels: Sequence[int]
    columns: Literal["all", "max"]
    encoder_size: int
    coordinates: int | None
    shift: float
    zoom: float
    turn: float
    crop: int | None
    stretch: float
    warp: float
    noise: float
    flip: bool
    predict: Literal["class", "frames"]
    observed: int
    ahead: int
    patch: int
    state_channels: int
    streaming: bool
    early_weight: float
    early_loss: float
    earliest: float
    window: int
    pool: Literal["last", "mean", "max", "attention"]
    reset_before: bool
    seeds: int
    start_from: str | PathLike[str] | None
    metric: Literal["accuracy", "macro_f1", "nats"]
