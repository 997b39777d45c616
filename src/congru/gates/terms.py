"""The terms of the report, each explained in a sentence where it first stands."""

from __future__ import annotations

from congru.gates.reading import Reading


def explained(name: str, reading: Reading) -> str:
    """The sentence that explains a term, in the steps of this reading.

    >>> explained("age", Reading(None, (), step="day"))
    'The age of a unit is how many days ago, on average, what it holds was written.'
    """
    return _SENTENCES[name].format(step=reading.step, steps=reading.steps)


_SENTENCES = {
    "share": (
        "The prediction is a sum: what each {step} wrote into the memory, faded by what came after it, as the read-out weighs"
        " it. Each {step}'s term is its share, and together with the start and a constant they give the prediction exactly."
    ),
    "trust": (
        "The trust share says how far a share is the whole story: 1 where all that a {step} does to the prediction travels"
        " along the keep gates (the keep path), less where a part was read again and written anew on the way."
    ),
    "keep": (
        "Every unit of the layer holds one number. Its keep gate says at each {step} how much of that number stays (1 all, 0"
        " nothing); the rest is replaced by the candidate, a new value made from what is read."
    ),
    "reset": "The reset gate says how much of the old memory the candidate may look at.",
    "lstm": (
        "Every unit of the layer holds one number, its cell. The forget gate says at each {step} how much of it stays, the"
        " input gate how much of the candidate (a new value made from what is read) is added, the output gate how much is"
        " shown."
    ),
    "rnn": "Every unit of the layer holds one number, which is computed anew at each {step} from the input and all the others.",
    "timescale": (
        "A unit's timescale (tau) is the number of {steps} after which about a third (1/e) of what it held is left. The data's"
        " line is where its autocorrelation, the likeness of a value with one so many {steps} before, falls that low."
    ),
    "age": "The age of a unit is how many {steps} ago, on average, what it holds was written.",
    "saturation": (
        "A gate is saturated where it stands near 0 or near 1: then it decides, all or nothing. Each dot is a unit: to the"
        " right, its gate is often nearly closed, at the top often nearly open."
    ),
    "flow": (
        "The gradient says how strongly the prediction would change if the memory had been a little different so many {steps}"
        " before. Training learns through it: where it vanishes, nothing can be learnt."
    ),
    "stability": (
        "What happens to a small difference in the memory? The Lyapunov exponent is its growth per {step}: below 0 it dies"
        " away, above 0 it grows (chaos). The eigenvalues of a {step} say the same direction by direction: inside the circle a"
        " difference shrinks."
    ),
    "landscape": (
        "All units together are a point that moves with every {step}, drawn here in the two directions in which it moves most."
        " A fixed point is where it would come to rest if the same input came for ever."
    ),
}
