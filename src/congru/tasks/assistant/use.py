"""What a user does with an assistant, without torch: talk to it, score it, look inside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from congru.errors import DataError
from congru.report.verdict import verdict
from congru.runtime import plain_json
from congru.runtime.answer import ANSWER
from congru.runtime.model import Model
from congru.runtime.tensors import parse_tensors
from congru.tasks.assistant.conversation import Conversation
from congru.tasks.assistant.data import read_part, unknown_labels
from congru.tasks.assistant.dialogue_data import baseline_measures, dialogue_measures
from congru.tasks.assistant.dialogue_files import find_dialogues
from congru.tasks.assistant.dialogues import Dialogue, Turn, parse_dialogues, read_dialogues
from congru.tasks.assistant.examples import cut_words
from congru.tasks.assistant.policy import EXAMPLE, Policy
from congru.tasks.assistant.scoring import Assistant, score
from congru.tasks.assistant.talk import Talk
from congru.tasks.assistant.terminal import answer, talk
from congru.tasks.assistant.trained import is_dialogue, load_trained
from congru.tasks.assistant.trained import reply as reply
from congru.tasks.parts import Part, part_to_score

RISING = ("exact", "response")  # scores of which more is better
Rows = dict[str, dict[str, float]]


def run(
    model: Path,
    /,
    text: str | None = None,
    *,
    json: Annotated[bool, Parameter(negative=())] = False,
    load: Path | None = None,
    save: Path | None = None,
) -> int:
    """Say what a sentence wants, or talk in the terminal and keep the state card over the turns.

    Parameters
    ----------
    model:
        A model folder.
    text:
        One sentence; without it sentences are read line by line (dialogues: an empty line is silence).
    json:
        One JSON object a turn.
    load:
        Go on from a conversation that was saved.
    save:
        Save the conversation at the end.
    """
    trained = load_trained(model)
    conversation: Any = Talk(trained) if isinstance(trained, Policy) else Conversation(trained)
    if load is not None:
        conversation.restore(load)
    if text is not None:
        print(answer(conversation, text, json))
    else:
        talk(conversation, json)
    if save is not None:
        conversation.save(save)
    return 0


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    part: Part | Literal["oov"] = "auto",
    json: Annotated[bool, Parameter(negative=())] = False,
    quiet: bool = False,
) -> Rows:
    """Score marked sentences (intent accuracy, slot F1 over spans, both right; at the threshold) or dialogues.

    Parameters
    ----------
    model:
        A model folder.
    data:
        A training file or a folder with parts.
    part:
        auto: the test part where there is one, else the validation part; all: everything, for data that training has not read.
        oov: dialogues with values that training never shows.
    json:
        Print one JSON object.
    quiet:
        Print nothing.
    """
    trained = load_trained(model)
    if isinstance(trained, Policy):
        name, count, rows, notes = _score_dialogues(trained, data, part)
    else:
        name, count, rows, notes = _score_sentences(trained, data, part)
    if not quiet:
        print(_table(rows, count, f"{data}, {name}", as_json=json))
        if not json:
            for line in notes:
                print(line)
            measured, *_ = rows["model"]
            beside = {
                title: row[measured]
                for title, row in rows.items()
                if not title.startswith("model") and measured in row
            }
            first, value = next(iter(count.items()))
            windows = f"{value:,} {first}"
            print(verdict(measured, rows["model"][measured], beside, False, split="scored", windows=windows))
    return rows


Scored = tuple[str, dict[str, int], Rows, list[str]]
"""The name of the part, what was counted, the scores, and what else to say."""


def _score_sentences(assistant: Assistant, data: str, part: str) -> Scored:
    part, corpus = read_part(data, part, float(assistant.model.task_config["validation"]))
    examples = corpus.examples
    if not examples:
        raise DataError(f"{data} has no examples in part {part}, expected some: pass --part all")
    notes = unknown_labels(examples, assistant.intents, assistant.tags, part)
    return part, {"sentences": len(examples)}, score(assistant, examples), notes


def _score_dialogues(policy: Policy, data: str, part: str) -> Scored:
    """The metrics of the model and of what a person would try first, the right reply before each turn given."""
    files = find_dialogues(data)
    if files is None:
        raise DataError(
            f"{data} holds no dialogues, expected '1 sentence<TAB>reply': pass a file or folder of them"
        )
    config = policy.model.task_config
    part = part_to_score(part, files.there, data)
    followed = policy.follow(files.read(part, float(config["validation"])))
    count = {"dialogues": len(followed), "replies": sum(len(one.actions) for one in followed)}
    rows = {
        "model": dialogue_measures(followed, policy.probabilities(followed), policy.reader),
        **baseline_measures(policy.counts, followed, policy.reader),
    }
    strange = sum(int((one.actions == len(policy.reader.actions)).sum()) for one in followed)
    notes = [f"{strange} replies are none of training's; they count as mistakes"] if strange else []
    return part, count, rows, notes


def _table(rows: Rows, count: dict[str, int], title: str, *, as_json: bool) -> str:
    if as_json:
        return plain_json.as_json({**count, **rows})
    lines = [f"{title}: " + ", ".join(f"{number} {what}" for what, number in count.items())]
    for name, values in rows.items():
        told = "  ".join(
            f"{key} {value:.4f}" if key == "nats" else f"{key} {100 * value:.2f} %"
            for key, value in values.items()
        )
        lines.append(f"  {name:36}{told}")
    return "\n".join(lines)


def inspect_inputs(model: Model, source: str | None = None) -> tuple[NDArray[Any], list[str]]:
    """What the network reads, and a label for each step.

    A model of sentences: the tokens [1, T, 8] of a sentence and its words; without one, of an example of its training. A model of
    dialogues: the turns [1, T, F] of the first dialogue of a file and their sentences; without one, of its example.

    Raises:
        DataError: a sentence without words.
    """
    if is_dialogue(model):
        policy, dialogue = Policy(model), dialogue_of(model, source)
        return policy.reader.follow(dialogue).x[None], [turn.sentence for turn in dialogue.turns]
    assistant = Assistant(model)
    words = (
        _example(model, assistant)
        if source is None
        else [word for word, _, _ in cut_words(source, assistant.cut_by_blanks)]
    )
    if not words:
        raise DataError(f"source is {source!r}, expected a sentence: write some words")
    return assistant.vocabulary.encode(words)[None].astype(np.int64), words


def _example(model: Model, assistant: Assistant) -> list[str]:
    """The sentence whose answer came with the model; of an older folder, words that it knows."""
    if ANSWER in model.files:
        return bytes(parse_tensors(model.files[ANSWER])["input.words"]).decode().split("\n")
    return list(assistant.vocabulary.tables[0])[:12]


def dialogue_of(model: Model, source: str | None) -> Dialogue:
    """The first dialogue of a file, the stored example, or one turn with a sentence."""
    if source is None:
        return parse_dialogues(model.files[EXAMPLE].decode(), EXAMPLE)[0]
    if os.path.isfile(source):
        return read_dialogues(Path(source))[0]
    return Dialogue((Turn(source, "-"),))
