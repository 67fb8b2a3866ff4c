"""What a tap is: one functional step of the reference, which it computes without a module."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tap:
    """One functional step of a reference class.

    `statements` are quoted as `ast.unparse` writes them. `inputs` are layouts
    (`parity.core.layouts`); where a step takes a list of tensors, the last one is for all that
    follow. `moves`: no arithmetic, so bitwise equal.
    """

    owner: str
    name: str
    inputs: tuple[str, ...]
    output: str
    statements: tuple[str, ...]
    moves: bool = False
