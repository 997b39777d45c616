"""OpenAI's `/v1/completions` for text models: the request, the answer and the stream that its clients know."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from congru.errors import SettingsError
from congru.serve.desk import Desk, need_text
from congru.serve.faults import refused
from congru.serve.protocol import CompletionBody, FeedBody, GenerateBody, OpenBody
from congru.serve.sessions import Held


class Completion:
    """One request: its prompts are read once, each of the `n` continuations is a fork."""

    def __init__(self, desk: Desk, body: CompletionBody) -> None:
        self.desk, self.body = desk, body
        self.prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        if not self.prompts or not all(self.prompts):
            raise SettingsError("prompt is empty, expected at least one character: write some")
        if len(self.prompts) * body.n > 64:
            raise SettingsError(
                f"prompt and n ask for {len(self.prompts) * body.n} texts, expected at most 64"
            )
        self.head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": body.model,
        }
        self._held: list[Held] = []
        self.prompt_tokens = 0

    async def begin(self) -> None:
        """Read the prompts. Raises before anything is answered."""
        body = self.body
        try:
            for number, prompt in enumerate(self.prompts):
                first = await self.desk.open(OpenBody(model=body.model, seed=body.seed), self)
                self._held.append(first)
                need_text(first.session)
                assert first.session.tokenizer is not None
                self.prompt_tokens += len(await self.desk.work(first.session.tokenizer.encode, prompt))
                await self.desk.feed(first, FeedBody(text=prompt))
                for fork in range(1, body.n):
                    seed = None if body.seed is None else body.seed + number * body.n + fork
                    self._held.append(self.desk.fork(first, seed, self))
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Close its sessions."""
        self.desk.sessions.close_all_of(self)

    async def whole(self) -> dict[str, Any]:
        """All texts at once."""
        try:
            choices, tokens = [], 0
            for index, held in enumerate(self._held):
                told: dict[str, Any] = {}
                pieces = [piece async for piece in self.desk.generate(held, self._wish(), told)]
                text = "".join([self._echo(index), *pieces])
                choices.append(_choice(index, text, told["reason"]))
                tokens += told["tokens"]
            return {**self.head, "choices": choices, "usage": self._usage(tokens)}
        finally:
            self.end()

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events, one for each piece of text, then `[DONE]`."""
        tokens = 0
        try:
            for index, held in enumerate(self._held):
                told: dict[str, Any] = {}
                if self._echo(index):
                    yield self._event([_choice(index, self._echo(index), None)])
                async for piece in self.desk.generate(held, self._wish(), told):
                    yield self._event([_choice(index, piece, None)])
                yield self._event([_choice(index, "", told["reason"])])
                tokens += told["tokens"]
            if (self.body.stream_options or {}).get("include_usage"):
                yield self._event([], usage=self._usage(tokens))
            yield "data: [DONE]\n\n"
        except Exception as error:
            with contextlib.suppress(GeneratorExit):
                yield f"data: {json.dumps({'error': refused(error).as_json()})}\n\n"
        finally:
            self.end()

    def _wish(self) -> GenerateBody:
        body = self.body
        stops = [body.stop] if isinstance(body.stop, str) else body.stop or []
        return GenerateBody(
            n=body.max_tokens,
            temperature=body.temperature,
            top_p=None if body.top_p == 1 else body.top_p,
            stop=stops,
        )

    def _echo(self, index: int) -> str:
        return self.prompts[index // self.body.n] if self.body.echo else ""

    def _usage(self, tokens: int) -> dict[str, int]:
        prompt = self.prompt_tokens
        return {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> str:
        return f"data: {json.dumps({**self.head, 'choices': choices, **more})}\n\n"


def _choice(index: int, text: str, reason: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}
