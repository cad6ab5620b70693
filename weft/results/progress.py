"""Progress of anything over a second: one bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from compiler.writing.python import show

Follow = Callable[[Mapping[str, float]], None]


@contextmanager
def follow_epochs(epochs: int) -> Iterator[Follow]:
    """A bar over the epochs of a training, fed with the records of `metrics.jsonl`."""
    from tqdm import tqdm

    with tqdm(total=epochs, unit="epoch", leave=False, disable=None, file=sys.stderr) as bar:

        def follow(record: Mapping[str, float]) -> None:
            bar.update(int(record["epoch"]) - bar.n)
            figures = {
                show(k): f"{v:.4f}" for k, v in record.items() if k.startswith(("train.", "val."))
            }
            bar.set_postfix(figures)

        yield follow


@contextmanager
def follow_steps() -> Iterator[Callable[[str, int, int], None]]:
    """A bar over steps that say what they do: (text, steps done, steps in all)."""
    from tqdm import tqdm

    with tqdm(leave=False, disable=None, file=sys.stderr) as bar:

        def follow(text: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_description(show(text), refresh=False)
            bar.update(done - bar.n)

        yield follow
