"""Fuzz one reader with atheris until its flags say to stop: ``python -m faults.guided NAME [flags of libFuzzer]``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the target on what libFuzzer makes of its seeds."""
    import atheris  # type: ignore[import-not-found,unused-ignore]

    with atheris.instrument_imports(include=["congru"]):
        from congru.errors import CongruError
        from faults.mutation import message_problem
        from faults.targets import TARGETS, workplace
    name, *flags = sys.argv[1:]
    run, seeds = TARGETS[name]()
    corpus = workplace() / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(seed)

    def one(content: bytes) -> None:
        problem = None
        try:
            run(content)
        except CongruError as error:
            problem = message_problem(str(error), error.longest)
        assert problem is None, problem

    atheris.Setup([sys.argv[0], *flags, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
