"""The rows of a step in a training script: batches of an epoch, and their columns as variables.

Of several data sets a step takes a batch each. An epoch goes once through the rows of the first;
the others begin anew, in another order, whenever their rows have all been taken, and go on from
epoch to epoch. Which rows a step takes follows from seed, epoch and step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backends.pytorch.train.code import Function, Statement, suite, when
from backends.pytorch.train.inlining import Inlined
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.data.joined import qualify
from compiler.writing.names import SCRIPT_LOCALS, free_name, name_all

CHOSEN, PART = "chosen", "part"
"""The variables of the rows of a batch, and of a part of one; of the first data set."""
PARTS = "split(BATCH // ACCUMULATE)"
"""What makes the parts of a batch of its rows."""


def divide_rows(script: ScriptSpec) -> list[Statement]:
    """Statements that divide the rows among the batches of an epoch."""
    beside = when(script.data.members, *_divide_others(script))
    if script.train.epoch_steps is not None:
        given = "rows, epoch" if script.streams else "rows, epoch, device"
        return [f"steps, batches = EPOCH_STEPS, list_batches({given})", *beside]
    placed = "" if script.streams else ".to(device)"
    return [
        "steps = max(1, rows // BATCH)",
        "order = np.random.default_rng([SEED, epoch]).permutation(rows)[: steps * BATCH]",
        f"batches = torch.from_numpy(order){placed}.split(BATCH)",
        *beside,
    ]


def _divide_others(script: ScriptSpec) -> list[Statement]:
    """Statements that put the batches of other data sets beside those of the first."""
    streams = [f"{name.removesuffix(CHOSEN)}batches" for name in name_rows(script)[1:]]
    lows = [low for low, _ in _find_bounds(script)[1:]]
    size = "min(BATCH, rows)"
    made = [
        f"{stream} = cycle_batches(len(columns[{low}]), steps, {size}, epoch, {place})"
        for place, (stream, low) in enumerate(zip(streams, lows, strict=True), 1)
    ]
    placed = ", ".join(f"{stream}.to(device)" for stream in streams)
    return [*made, f"batches = list(zip(batches, {placed}, strict=True))"]


def write_batches(script: ScriptSpec) -> Iterator[Function]:
    """`list_batches`, where an epoch is a number of steps, and `cycle_batches`, where there are
    several data sets."""
    if script.train.epoch_steps is not None:
        yield _write_list(script)
    if script.data.members:
        yield _write_cycle()


def _write_list(script: ScriptSpec) -> Function:
    placed = "" if script.streams else ".to(device)"
    order = "np.random.default_rng([SEED, turn]).permutation(rows)[: size * BATCH]"
    return Function(
        "list_batches",
        ("rows: int", "epoch: int", *when(not script.streams, "device: torch.device")),
        "list[Tensor]",
        (
            "size, begun = max(1, rows // BATCH), (epoch - 1) * EPOCH_STEPS",
            "first, last = begun // size, (begun + EPOCH_STEPS - 1) // size",
            "batches: list[Tensor] = []",
            suite(
                "for turn in range(1 + first, 2 + last):",
                [
                    f"order = {order}",
                    f"batches += torch.from_numpy(order){placed}.split(BATCH)",
                ],
            ),
            "return batches[begun % size :][:EPOCH_STEPS]",
        ),
        ("The rows of each step of an epoch; after the last row they begin anew in other order.",),
    )


def _write_cycle() -> Function:
    orders = "[np.random.default_rng([SEED, turn, place]).permutation(rows) for turn in turns]"
    return Function(
        "cycle_batches",
        ("rows: int", "steps: int", "size: int", "epoch: int", "place: int"),
        "Tensor",
        (
            "begun, taken = (epoch - 1) * steps * size, steps * size",
            "turns = range(1 + begun // rows, 2 + (begun + taken - 1) // rows)",
            f"order = np.concatenate({orders})",
            "chosen = order[begun % rows :][:taken].reshape(steps, size)",
            "return torch.from_numpy(chosen)",
        ),
        (
            "The rows of each step of an epoch, `[steps, size]`, of the data at a place beside the",
            "first: after the last row they begin anew in other order, and epochs go on with them.",
        ),
    )


# --- the rows of the process ----------------------------------------------------------------------


def name_rows(script: ScriptSpec, rows: str = CHOSEN) -> tuple[str, ...]:
    """The variables of the rows that a step, or a part of it, takes of each data set."""
    taken = {*SCRIPT_LOCALS, *script.argument_names.values()}
    names = name_all(member.name for member in script.data.members[1:])
    return (rows, *(free_name(f"{name}_{rows}", taken, "_") for name in names.values()))


def spell_rows(script: ScriptSpec) -> str:
    """The rows of a batch, as a loop through numbered batches has them."""
    if script.streams:
        return "columns"
    names = name_rows(script)
    return names[0] if len(names) == 1 else f"({', '.join(names)})"


def spell_parts(script: ScriptSpec) -> str:
    """What a loop through the parts of a batch goes through."""
    if script.streams:
        shared = " // WORLD" if shares_rows(script) else ""
        size = f"BATCH // ACCUMULATE{shared}"
        return f"torch.arange(len(columns[0]), device=device).split({size})"
    parts = [f"{name}.{PARTS}" for name in name_rows(script)]
    return parts[0] if len(parts) == 1 else f"zip({', '.join(parts)}, strict=True)"


def shares_rows(script: ScriptSpec) -> bool:
    """Whether a process takes its part of a batch before anything is computed of it."""
    return script.distributed and script.augmentation is None


def take_split(script: ScriptSpec) -> str:
    """The parameter of a function that goes through the rows of a split."""
    return "split: Rows" if script.streams else "columns: list[Tensor]"


def count_split(script: ScriptSpec) -> str:
    """How many rows a split has."""
    return "len(split.chosen)" if script.streams else "len(columns[0])"


def place_split(script: ScriptSpec) -> str:
    """The device of a split."""
    return "split.device" if script.streams else "columns[0].device"


def read_split(script: ScriptSpec, batches: str, *, shared: bool) -> str:
    """What reads batches of a split, or the part of each that the process takes."""
    own = f"[batch[RANK::WORLD] for batch in {batches}]" if shared else batches
    return f"read_batches(split, {own})"


def choose_columns(script: ScriptSpec, rows: str = CHOSEN) -> tuple[str, ...]:
    """The part of a column that the process takes of a batch, in each data set: all of it where
    rows are changed before they are divided."""
    if script.streams:
        return ("column",) if rows == CHOSEN else (f"column[{rows}]",)
    own = "[RANK::WORLD]" if shares_rows(script) else ""
    return tuple(f"column[{name}{own}]" for name in name_rows(script, rows))


# --- columns as variables -------------------------------------------------------------------------


def gather_columns(script: ScriptSpec, columns: Sequence[str]) -> str:
    """A list of the columns of a batch."""
    parts = _pair(script, columns)
    if columns[0] == "column":
        return "columns"
    if len(parts) == 1:
        return f"[{columns[0]} for column in columns]"
    return f"[{', '.join(f'*({text} for column in columns{own})' for text, own, _ in parts)}]"


def unpack_batch(script: ScriptSpec, columns: Sequence[str]) -> list[Statement]:
    """Statements that name the columns of a batch, whose part of one is given for each data set,
    or for all."""
    return _unpack(script, [script.argument_names[name] for name in script.columns], columns)


def unpack_columns(
    script: ScriptSpec, inlined: Inlined, columns: Sequence[str], *others: str
) -> list[Statement]:
    """Statements that name the columns of a batch which an objective reads, or `others`."""
    names = inlined.parameters[1:]
    if len(names) == 1:
        return _unpack(script, names, columns)
    read = [name if inlined.reads(name) or name in others else "_" for name in names]
    return _unpack(script, read, columns)


def _unpack(script: ScriptSpec, names: Sequence[str], columns: Sequence[str]) -> list[Statement]:
    made: list[Statement] = []
    for text, own, (low, high) in _pair(script, columns):
        named = names[low:high]
        if set(named) == {"_"} and len(names) > 1:
            continue
        if text == "column":
            made.append(
                f"{', '.join(named)} = columns" if len(named) > 1 else f"({named[0]},) = columns"
            )
        elif len(named) == 1:
            made.append(f"{named[0]} = {text.replace('column', f'columns[{low}]', 1)}")
        else:
            made.append(f"{', '.join(named)} = ({text} for column in columns{own})")
    return made


def _pair(
    script: ScriptSpec, columns: Sequence[str]
) -> list[tuple[str, str, tuple[int, int | None]]]:
    """The part of a column in each data set, and which of the columns are its own: as a slice, and
    as the first and the one behind the last."""
    if len(columns) == 1:
        return [(columns[0], "", (0, None))]
    bounds = _find_bounds(script)
    slices = [f"[{low or ''}:{'' if high is None else high}]" for low, high in bounds]
    return list(zip(columns, slices, bounds, strict=True))


def _find_bounds(script: ScriptSpec) -> list[tuple[int, int | None]]:
    """Where the columns of each data set begin and end among all."""
    owned = [
        sum(name.startswith(qualify(member.name, "")) for name in script.columns)
        for member in script.data.members
    ]
    ends = [sum(owned[: place + 1]) for place in range(len(owned))]
    return list(zip([0, *ends], [*ends[:-1], None], strict=False)) if owned else [(0, None)]


def find_first_column(script: ScriptSpec, data: str) -> int:
    """The place among all columns of the first one of a data set."""
    names = [member.name for member in script.data.parts]
    return _find_bounds(script)[names.index(data)][0]


# --- rows of an evaluation ------------------------------------------------------------------------


def write_repeating(script: ScriptSpec) -> Iterator[Function]:
    """`repeat_rows`, which pairs the rows of several data sets."""
    if script.data.members:
        yield Function(
            "repeat_rows",
            ("columns: list[Tensor]", "rows: int"),
            "list[Tensor]",
            (
                "order = torch.arange(rows, device=columns[0].device)",
                "return [c[:rows] if len(c) >= rows else c[order % len(c)] for c in columns]",
            ),
            (
                "Columns with so many rows: shorter ones begin anew behind their last row, longer",
                "ones end early.",
            ),
        )
