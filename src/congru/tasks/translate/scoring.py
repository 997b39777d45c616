"""BLEU (Papineni et al. 2002) and chrF (Popović 2015) of translations by sacrebleu, with its signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from congru.errors import require


class Scores(NamedTuple):
    """Both scores in percent, and what sacrebleu says of how they were made."""

    bleu: float
    chrf: float
    signatures: tuple[str, str]

    def numbers(self) -> dict[str, float]:
        """The scores by name."""
        return {"bleu": self.bleu, "chrf": self.chrf}


def score(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    tokenize: str = "13a",
    lowercase: bool = False,
) -> Scores:
    """Score N translations against references [N] of one or several sentences each.

    Args:
        hypotheses: translations.
        references: for every one its references.
        tokenize: sacrebleu's tokeniser; "none" where both sides are cut into words already.
        lowercase: whether capital letters count as small ones.

    Raises:
        MissingPackageError: sacrebleu is not installed.

    >>> round(score(["a dog runs in the snow"], [["a dog runs in the snow", "a dog in the snow"]]).bleu, 1)
    100.0
    """
    sacrebleu = require("sacrebleu", "translate")
    most = max((len(one) for one in references), default=1)
    streams = [[one[k] if k < len(one) else None for one in references] for k in range(most)]
    bleu: Any = sacrebleu.BLEU(tokenize=tokenize, lowercase=lowercase, force=True)
    chrf: Any = sacrebleu.CHRF(lowercase=lowercase)
    first, second = (float(metric.corpus_score(list(hypotheses), streams).score) for metric in (bleu, chrf))
    return Scores(first, second, (f"BLEU {bleu.get_signature()}", f"chrF {chrf.get_signature()}"))
