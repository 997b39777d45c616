"""What a client is told when something cannot be done: one line, a code, and an HTTP status."""

from __future__ import annotations

from typing import Any

from congru.errors import CongruError


class Refused(CongruError):
    """A request that is refused: `code` is for programs, the message for people.

    >>> Refused("session", 404, "session is 'x', expected an open one: open one first").as_json()["code"]
    'session'
    """

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(message)
        self.code, self.status = code, status

    def as_json(self) -> dict[str, Any]:
        """The body of an error, in the form that OpenAI's clients read too."""
        return {"message": str(self), "type": "invalid_request_error", "param": None, "code": self.code}


def refused(error: BaseException) -> Refused:
    """Any error as one that a client may see; of an error of the server it sees only the type."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, CongruError):
        return Refused("input", 400, str(error))
    return Refused("server", 500, f"the server failed ({type(error).__name__}): see its log")
