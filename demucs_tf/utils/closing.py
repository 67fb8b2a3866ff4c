"""What a `with` block does with a file: finish it, or after an exception leave nothing."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

T = TypeVar("T", bound="Closing")


class Closing:
    """Base of what is closed at the end of a `with` block."""

    def close(self) -> None:
        """Finish, and let go of everything."""
        raise NotImplementedError

    def abort(self) -> None:
        """Let go after an exception; for what is only read that is the same."""
        self.close()

    def __enter__(self: T) -> T:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()
