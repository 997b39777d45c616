"""What a user does with a recogniser, without torch: transcripts of files, words of a stream, error rates, the gates."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from congru.data.files import read_bytes
from congru.errors import DataError, SettingsError
from congru.runtime import plain_json
from congru.runtime.answer import ANSWER
from congru.runtime.atomic import write_whole
from congru.runtime.folder import find_model_folder
from congru.runtime.model import Model
from congru.runtime.tensors import parse_tensors
from congru.tasks.speech.audio import SUFFIXES, read_audio
from congru.tasks.speech.decoding import Decoding
from congru.tasks.speech.ensemble import Ensemble
from congru.tasks.speech.evaluation import evaluate as evaluate
from congru.tasks.speech.flags import make_decoding
from congru.tasks.speech.frames import SHIFT_SECONDS, Floats
from congru.tasks.speech.outputs import FORMATS, as_json, written
from congru.tasks.speech.recognizer import Recognizer
from congru.tasks.speech.recognizer import reply as reply
from congru.tasks.speech.sources import from_microphone, from_stream
from congru.tasks.speech.spectrogram import spectrogram
from congru.tasks.speech.words import Word, text_of

EXAMPLE = "example of the model"


def run(
    model: Path,
    /,
    *files: Path,
    others: Annotated[tuple[Path, ...], Parameter(name="--with")] = (),
    stream: bool = False,
    microphone: bool = False,
    raw_hz: int | None = None,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    times: bool = False,
    beam: int | None = None,
    words: str | None = None,
    lm: str | None = None,
    lm_weight: float = 0.5,
    word_bonus: float = 0.0,
    one_word: bool = False,
    bad: Literal["stop", "skip"] = "stop",
    json_lines: Annotated[bool, Parameter(name="--json", negative=())] = False,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> int:
    """Write down audio files, or a stream as it comes.

    Parameters
    ----------
    model:
        A model folder.
    files:
        Audio files, .npy arrays of frames, or folders of audio; default: the frames stored with the model, as an example.
    others:
        Another model folder whose model hears the same recordings, any number of times: the text that all find most probable.
    stream:
        Follow the standard input and print words as they settle: congru run MODEL --stream < recording.wav.
    microphone:
        Follow the microphone.
    raw_hz:
        The standard input holds raw 16-bit samples of one channel at this rate.
    out:
        Write the transcripts to a file that ends in .txt, .srt, .json or .ctm.
    times:
        Print every word with its times and confidence.
    beam:
        Search with so many texts side by side; default: the best path, with --words or --lm 16.
    words:
        The only words allowed: a file (list, pronouncing dictionary, ARPA), or train for those of the training texts.
    lm:
        An ARPA language model, or train for the trigrams of the training texts.
    lm_weight:
        How much the language model counts.
    word_bonus:
        Added to a text's score for every word.
    one_word:
        A recording is one of the --words, such as a command.
    bad:
        At a file that cannot be read: stop, or skip and count.
    json_lines:
        Print one JSON object per file, of a stream per word.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    ensemble = Ensemble.load([model, *others], weight_dtype)
    recognizer = ensemble.recognizers[0]
    decoding = make_decoding(ensemble, beam, words, lm, lm_weight, word_bonus, one_word)
    if out is not None and out.suffix not in FORMATS:
        raise SettingsError(f"out is '{out}', expected an ending of {', '.join(FORMATS)}: change it")
    if stream or microphone:
        if others:
            raise SettingsError(
                f"with names {others[0]} and a stream is followed, expected files: several models need whole recordings"
            )
        heard = _follow(recognizer, decoding, microphone, raw_hz, times, json_lines)
        transcripts = [("stream", heard)]
    else:
        example = [] if files else [(EXAMPLE, ensemble.words_of_frames(_stored_frames(model), decoding))]
        heard_files = _hear(ensemble, decoding, _audio_files(files), bad)
        transcripts = _print_each(itertools.chain(example, heard_files), times, json_lines)
    if out is not None:
        write_whole(out, written(transcripts, out.suffix).encode(), sync=False)
        print(f"wrote {out}", file=sys.stderr)
    return 0


def _stored_frames(model: Path) -> Floats:
    """The frames of the model's stored answer."""
    content = read_bytes(find_model_folder(model) / ANSWER, "the stored answer of a model")
    return np.asarray(parse_tensors(content)["input.frames"], np.float32)


def _audio_files(files: tuple[Path, ...]) -> Iterator[Path]:
    for path in files:
        if not path.is_dir():
            yield path
            continue
        audio_files = sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES)
        if not audio_files:
            raise DataError(
                f"{path} holds no audio file, expected some of {', '.join(SUFFIXES[:6])}: name another"
            )
        yield from audio_files


def _hear(
    ensemble: Ensemble, decoding: Decoding, files: Iterator[Path], bad: str
) -> Iterator[tuple[str, list[Word]]]:
    """The name and the words of every file; what cannot be read stops, or is told and counted."""
    skipped = 0
    for path in files:
        try:
            if path.suffix == ".npy":
                words = ensemble.words_of_frames(np.asarray(_array(path), np.float32), decoding)
            else:
                words = ensemble.transcribe(path, decoding)
        except DataError as error:
            if bad == "stop":
                raise
            skipped += 1
            print(f"skipped: {error}", file=sys.stderr)
            continue
        yield str(path), words
    if skipped:
        print(f"skipped {skipped} files that cannot be read", file=sys.stderr)


def _print_each(
    heard: Iterable[tuple[str, list[Word]]], times: bool, json_lines: bool
) -> list[tuple[str, list[Word]]]:
    transcripts = []
    for name, words in heard:
        transcripts.append((name, words))
        if json_lines:
            print(plain_json.as_json(as_json(name, words)))
        elif times:
            print("\n".join([name, *map(_timed, words)]))
        else:
            print(f"{name}\t{text_of(words)}")
    return transcripts


def _timed(word: Word) -> str:
    return f"{word.start:8.2f} {word.end:8.2f}  {word.confidence:4.2f}  {word.text}"


def _follow(
    recognizer: Recognizer,
    decoding: Decoding,
    microphone: bool,
    raw_hz: int | None,
    times: bool,
    json_lines: bool,
) -> list[Word]:
    """The words of a stream, printed as they settle."""
    if not recognizer.streams:
        recognizer.listen(16_000, decoding)  # says why not
    rate_hz = recognizer.front_end.rate_hz
    source = from_microphone(rate_hz) if microphone else from_stream(sys.stdin.buffer, raw_hz)
    listener, heard = recognizer.listen(source.rate_hz, decoding), list[Word]()

    def say(words: list[Word]) -> None:
        for word in words:
            if json_lines:
                print(plain_json.as_json(as_json("stream", [word])["words"][0]), flush=True)  # type: ignore[index]
            else:
                print(_timed(word) if times else word.text, end="\n" if times else " ", flush=True)
        heard.extend(words)

    try:
        for samples in source.pieces:
            say(listener.feed(samples))
    except KeyboardInterrupt:
        if not microphone:
            raise
    say(listener.finish())
    if not times and not json_lines:
        print()
    return heard


def inspect_inputs(model: Model, source: str | None = None) -> tuple[Floats, list[str]]:
    """The steps of an audio file or of a .npy array of frames, as x [1, T, I] for ``model.run``; a label for each.

    A label is the time of the step and, where it begins there, the character heard; without ``source`` the frames of the
    model's stored answer are read.

    Raises:
        DataError: nothing to read.
    """
    recognizer = Recognizer.of(model)
    steps = recognizer.steps(_frames_of(model, recognizer, source))
    if not len(steps):
        raise DataError(
            f"{source} is shorter than a step of the model, expected more audio: name another file"
        )
    steps = np.concatenate([steps, np.zeros((recognizer.delay, steps.shape[1]), np.float32)])
    out, _ = recognizer.network.run(steps[None])
    best = np.asarray(out[0]).argmax(1)
    labels = []
    for t, token in enumerate(best.tolist()):
        heard = recognizer.alphabet.labels[token] if token and (t == 0 or best[t - 1] != token) else ""
        seconds = t * recognizer.front_end.stack * SHIFT_SECONDS
        labels.append(f"{seconds:.2f}s {heard}".strip())
    return steps[None], labels


def inspect_extra(model: Model, source: str | None = None) -> list[tuple[str, str, str]]:
    """The first chapter of the page about gates: title, sentence, and the features with the words as an SVG text."""
    recognizer = Recognizer.of(model)
    frames = _frames_of(model, recognizer, source)
    words = recognizer.words_of_frames(frames)
    sentence = "The features of every 10 ms, low frequencies below, and the words where they are heard."
    return [("What was heard", sentence, spectrogram(frames, words, source or EXAMPLE))]


def _frames_of(model: Model, recognizer: Recognizer, source: str | None) -> Floats:
    """The frames of an audio file, of a .npy array, or those stored with the model."""
    if source is None:
        return np.asarray(parse_tensors(model.files[ANSWER])["input.frames"], np.float32)
    if source.endswith(".npy"):
        return np.asarray(_array(Path(source)), np.float32)
    recognizer.front_end.check_samples()
    return recognizer.front_end.frames(read_audio(Path(source)))


def _array(path: Path) -> Any:
    try:
        return (
            np.load(path, allow_pickle=False) if path.is_file() else read_bytes(path, "a .npy file of frames")
        )
    except ValueError as error:
        raise DataError(f"{path} cannot be read ({error}), expected a .npy array: save it again") from None
