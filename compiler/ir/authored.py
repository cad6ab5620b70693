"""What a spec's author wrote around the calls of blocks, for readers of generated code: names of
values, conditions, assertions."""

from __future__ import annotations

from compiler.ir.frame import ForLoop, Frame
from compiler.ir.hint import Hint
from compiler.records import dataclass
from compiler.report.source import Span


@dataclass(frozen=True)
class Alias:
    """What a frame calls a value that a call inside it made: `skip = x -> block` binds a value
    that the block's own author named otherwise. For readers of generated code only."""

    frame: Frame
    value: str
    name: str


@dataclass(frozen=True)
class Decision:
    """How a compile-time `if` came out in a call of a block, and how its condition was written;
    of a loop, how what it goes through was written, where code cannot say that. `guard` is the
    compile-time `if` around it in the same block, `loops` are the loops, outermost first."""

    frame: Frame
    place: Span
    outcome: bool
    hint: Hint | None = None
    guard: Hint | None = None
    loops: tuple[ForLoop, ...] = ()


@dataclass(frozen=True)
class Assertion:
    """An `assert` on the arguments of a call of a block, which held: how its condition was
    written, and what it says where that is false (empty: nothing)."""

    frame: Frame
    place: Span
    hint: Hint
    text: str = ""
