"""Training steps as text."""

from __future__ import annotations

from parity.core.backward.steps import Steps


def summary(steps: Steps) -> str:
    """One line: what was trained, how the loss went, and the errors after the last step."""
    first, last = steps.steps[0], steps.steps[-1]
    worst = max(step.loss_error for step in steps.steps)
    left_out = f", {len(steps.left_out)} not decided" if steps.left_out else ""
    return (
        f"{steps.verdict.upper()}  {steps.case}  {steps.optimizer}  {steps.dtype}  {steps.engine}  "
        f"{len(steps.steps)} steps, loss {first.loss:.6f} to {last.loss:.6f}, off by {worst:.2g} "
        f"at most (floor {last.loss_floor:.2g}); {steps.weights} weights{left_out}, off by "
        f"{last.weights_error:.2g} (floor {last.weights_floor:.2g})"
    )


def table(steps: Steps) -> list[str]:
    """A line for each step."""
    rows = ["  step  loss of the port  of the reference  error    floor    weights  floor"]
    rows += [
        f"  {step.number:4}  {step.loss:16.10f}  {step.reference:16.10f}  {step.loss_error:<7.2g}  "
        f"{step.loss_floor:<7.2g}  {step.weights_error:<7.2g}  {step.weights_floor:<7.2g}"
        f"{'' if step.verdict == 'pass' else '  FAIL'}"
        for step in steps.steps
    ]
    return rows
