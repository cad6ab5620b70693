"""Rows that a training script does not hold in memory: workers read batches of them.

A `Source` reads single rows, `Rows` are those of a split, and `read_batches` gives the columns of
batches: read ahead by the workers of one loader, and computed on the device.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from backends.pytorch.train.code import Function, Statement, Suite, suite, when, write_statements
from backends.pytorch.train.functions import inline_columns, list_loader_names, name_columns
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.data.base import ChunkCode, Column, RowCode
from compiler.writing.names import name_all
from compiler.writing.python import quote_docstring, write_dtype, write_literal, write_string

WORKERS = "WORKERS = min(4, os.cpu_count() or 1)  # processes that read rows"
LOADER = (
    "DataLoader(source, batch_sampler=[], num_workers=WORKERS, persistent_workers=True, "
    'pin_memory=device == "cuda", multiprocessing_context="fork", generator=torch.Generator())'
)
"""One loader reads the rows of all splits: its batches are put into its list. Its seeds come from a
generator of its own, so that draws of nets are those of a training in memory."""
QUEUE = "split.loader.batch_sampler[:] = [split.chosen[batch.numpy()] for batch in batches]"
BATCHES = ("split: Rows", "batches: Iterable[Tensor]")
READ = "Iterator[list[Tensor]]"


def list_raw_columns(script: ScriptSpec) -> list[Column]:
    """The raw columns that the train needs."""
    data = script.data
    wanted = {item.name for item in script.column_graph.inputs}
    wanted |= set(data.split.keys)
    if data.balance is not None:
        wanted.add(data.balance.column)
    if data.where is not None:
        wanted |= {item.name for item in data.where.inputs}
    wanted |= set(data.window.keys) if data.window is not None else set()
    return [c for c in data.schema if c.name in wanted]


def find_row_code(script: ScriptSpec) -> RowCode:
    """The code that reads the raw columns which the train needs."""
    return script.data.source.row_code(list_raw_columns(script))


def find_chunk_code(script: ScriptSpec) -> ChunkCode:
    """The code that goes through the raw columns which the train needs, part by part."""
    return script.data.source.chunk_code(list_raw_columns(script))


def list_held(script: ScriptSpec) -> Mapping[str, str]:
    """The expressions of raw columns that may be held whole: one number for each row."""
    if script.maps:
        raw = (c for c in list_raw_columns(script) if not c.type.rank)
        return {c.name: f"source.column({write_string(c.name)})" for c in raw}
    return find_row_code(script).held


def write_source(script: ScriptSpec) -> Iterator[Function | list[str]]:
    """The classes of rows, and what writes the file that they are read from, if there is one; none
    where they are in memory."""
    if not script.streams:
        return
    if script.maps:
        yield list(write_statements(_write_row_type(script)))
        yield write_filling(script)
        yield list(write_statements([_write_mapped_source(script)]))
    else:
        yield list(write_statements([_write_source(script)]))
    yield ["@dataclass", *write_statements([_write_rows(script)])]


def write_reading(script: ScriptSpec) -> Iterator[Function]:
    """The functions that read batches of rows; none where they are in memory."""
    if not script.streams:
        return
    if script.column_graph.nodes:
        yield _write_read_rows()
    yield _write_read_batches(script)


def _write_source(script: ScriptSpec) -> Suite:
    """The class that reads single rows."""
    code = find_row_code(script)
    columns = [code.columns[c.name] for c in list_raw_columns(script)]
    results = f"({columns[0]},)" if len(columns) == 1 else ", ".join(columns)
    failed = f'raise RuntimeError(f"row {{row}}, {{{code.place}}}: {{error}}") from error'
    return suite(
        "class Source(Dataset[tuple[Tensor, ...]]):",
        [
            f'"""The rows of the data `{quote_docstring(script.data.name)}`, read one by one."""',
            "",
            suite("def __init__(self, folder: Path) -> None:", code.lines),
            "",
            suite("def __len__(self) -> int:", [f"return {code.count}"]),
            "",
            suite(
                "def __getitem__(self, row: int) -> tuple[Tensor, ...]:",
                [
                    suite("try:", [*code.reading, f"return {results}"]),
                    suite("except Exception as error:", [failed]),
                ],
            ),
        ],
    )


def _write_row_type(script: ScriptSpec) -> Iterator[Statement]:
    fields = [
        f"({write_string(c.name)}, {write_dtype(c.type.dtype)}{_write_shape(c)})"
        for c in list_raw_columns(script)
    ]
    yield f"ROW = np.dtype([{', '.join(fields)}])  # what the file of rows has of each"


def _write_shape(column: Column) -> str:
    shape = tuple(dim.known for dim in column.type.shape)
    return f", {shape}" if shape else ""


def write_filling(script: ScriptSpec) -> Function:
    """The function that writes the file of rows."""
    code = find_chunk_code(script)
    names = [c.name for c in list_raw_columns(script)]
    first = code.columns[names[0]]
    filled = [
        *code.inside,
        f"first = {first}",
        "rows = np.empty(len(first), ROW)",
        f"rows[{write_string(names[0])}] = first",
        *(f"rows[{write_string(name)}] = {code.columns[name]}" for name in names[1:]),
        "file.write(rows.tobytes())",
    ]
    return Function(
        "write_rows",
        ("folder: Path", "path: Path"),
        "None",
        (
            *when(code.lines and code.lines[0].startswith("def "), ""),
            *code.lines,
            'part = path.with_suffix(".part")',
            suite(
                "try:",
                [
                    suite('with part.open("wb") as file:', [suite(code.loop, filled)]),
                    "part.replace(path)",
                ],
            ),
            suite("finally:", ["part.unlink(missing_ok=True)"]),
        ),
        ("Writes the columns of all rows into one file, whole or not at all.",),
    )


def _write_mapped_source(script: ScriptSpec) -> Suite:
    """The class that reads rows of the file."""
    return suite(
        "class Source(Dataset[list[Tensor]]):",
        [
            f'"""The rows of the data `{quote_docstring(script.data.name)}`, in a file."""',
            "",
            suite(
                "def __init__(self, path: Path) -> None:",
                ["self.path, self.count = path, path.stat().st_size // ROW.itemsize"],
            ),
            "",
            suite("def __len__(self) -> int:", ["return self.count"]),
            "",
            suite(
                "def __getitems__(self, rows: list[int]) -> list[Tensor]:",
                [
                    'found = np.memmap(self.path, ROW, "r")[rows]  # anew: it takes no memory then',
                    "return [torch.from_numpy(np.ascontiguousarray(found[n])) for n in ROW.names]",
                ],
            ),
            "",
            suite(
                "def column(self, name: str) -> Tensor:",
                [
                    "places = range(0, self.count * ROW.itemsize, 65536 * ROW.itemsize)",
                    "parts = (np.fromfile(self.path, ROW, 65536, offset=p) for p in places)",
                    "return torch.from_numpy(np.concatenate([np.array(p[name]) for p in parts]))",
                ],
            ),
        ],
    )


def open_file(script: ScriptSpec) -> Iterator[Statement]:
    """Statements of `load_splits` that open the file of rows, written where it is not there, or of
    other data."""
    code = find_chunk_code(script)
    yield f"stats = [path.stat() for path in {code.files}]"
    states = "((s.st_size, s.st_mtime_ns) for s in stats)"
    yield f"state = zlib.crc32(repr([ROW, *{states}]).encode())"
    yield 'path = out / f"rows-{state:08x}.bin"'
    write: list[Statement] = [
        suite('for old in out.glob("rows-*.bin"):', ["old.unlink()"]),
        "write_rows(folder, path)",
    ]
    rank = "RANK == 0 and " if script.distributed else ""
    yield suite(f"if {rank}not path.exists():", write)
    if script.distributed:
        yield suite("if WORLD > 1:", ["dist.barrier()  # until it is written"])
    yield "source = Source(path)"


def _write_rows(script: ScriptSpec) -> Suite:
    figures = "figures: list[Tensor] = field(default_factory=list)"
    return suite(
        "class Rows:",
        [
            '"""The rows of a split: their numbers in the source, and what reads them."""',
            "",
            "chosen: np.ndarray",
            "loader: DataLoader[list[Tensor]]",
            "device: torch.device",
            "checksum: int",
            *when(script.statistics, f"{figures}  # fitted on the training rows"),
        ],
    )


def _write_read_rows() -> Function:
    moved = "[column.to(split.device, non_blocking=True) for column in columns]"
    return Function(
        "read_rows",
        BATCHES,
        READ,
        (QUEUE, suite("for columns in split.loader:", [f"yield {moved}"])),
        ("The raw columns of batches of a split, read ahead by workers, on the device.",),
    )


def _write_read_batches(script: ScriptSpec) -> Function:
    if script.column_graph.nodes:
        return Function(
            "read_batches",
            BATCHES,
            READ,
            (suite("for columns in read_rows(split, batches):", _compute(script)),),
            ("The columns of batches of a split, computed of the raw ones on the device.",),
        )
    raw = [c.name for c in list_raw_columns(script)]
    inputs = {item.value.name: raw.index(item.name) for item in script.column_graph.inputs}
    order = [inputs[output.value.name] for output in script.column_graph.outputs]
    given = "columns" if order == list(range(len(raw))) else _list_places(order)
    moved = f"[column.to(split.device, non_blocking=True) for column in {given}]"
    return Function(
        "read_batches",
        BATCHES,
        READ,
        (QUEUE, suite("for columns in split.loader:", [f"yield {moved}"])),
        ("The columns of batches of a split, read ahead by workers, on the device.",),
    )


def _list_places(places: Sequence[int]) -> str:
    return f"({', '.join(f'columns[{place}]' for place in places)},)"


def _compute(script: ScriptSpec) -> Iterator[Statement]:
    """Statements that compute the columns of a batch."""
    inlined = inline_columns(script)
    if inlined is None:
        raw = [c.name for c in list_raw_columns(script)]
        given = [f"columns[{raw.index(item.name)}]" for item in script.column_graph.inputs]
        given += when(script.statistics, "*split.figures")
        call = f"{name_columns(script)}({', '.join(given)})"
        yield f"yield [{call}]" if len(script.columns) == 1 else f"yield list({call})"
        return
    count = len(script.column_graph.inputs)
    yield name_raw(script, inlined.parameters[:count])
    if script.statistics:
        figures = inlined.parameters[count:]
        named = ", ".join(figures)
        yield f"{named if len(figures) > 1 else f'({named},)'} = split.figures"
    yield from inlined.lines
    yield f"yield [{', '.join(inlined.results)}]"


def name_raw(script: ScriptSpec, variables: Sequence[str]) -> str:
    """The statement that names the raw columns which the columns are computed of."""
    inputs = [item.name for item in script.column_graph.inputs]
    names = dict(zip(inputs, variables, strict=True))
    listed = [names.get(column.name, "_") for column in list_raw_columns(script)]
    return f"{', '.join(listed)} = columns" if len(listed) > 1 else f"({listed[0]},) = columns"


def name_held(script: ScriptSpec) -> dict[str, str]:
    """The variables of the columns that are held whole, of those that say which rows are kept, how
    they are divided, or which of them there are more of; and of targets that are looked at."""
    data, held = script.data, list_held(script)
    raw = {item.value.name: item.name for item in script.column_graph.inputs}
    read = {raw.get(output.value.name, "") for output in script.column_graph.outputs}
    read |= set(data.split.keys)
    read |= {data.balance.column} if data.balance is not None else set()
    read |= {item.name for item in data.where.inputs} if data.where is not None else set()
    return name_all([name for name in held if name in read], list_loader_names(script))


def open_rows(script: ScriptSpec, held: Mapping[str, str], text: str) -> Iterator[Statement]:
    """Statements at the head of `load_splits`: the columns that the rest of it, a `text`, reads."""
    known = list_held(script)
    yield from open_file(script) if script.maps else ("source = Source(folder)",)
    for name, variable in held.items():
        if re.search(rf"\b{variable}\b", text):
            yield f"{variable} = {known[name]}"


def name_columns_held(script: ScriptSpec, held: Mapping[str, str]) -> list[str]:
    """The variable of each column that is a raw one which is held whole; empty for others."""
    raw = {item.value.name: item.name for item in script.column_graph.inputs}
    return [held.get(raw.get(output.value.name, ""), "") for output in script.column_graph.outputs]


def make_rows(script: ScriptSpec) -> Iterator[Statement]:
    """Statements at the end of `load_splits`, behind those that divide the rows."""
    numbers = "chosen" if script.data.where is None else "numbers[chosen]"
    joined = LOADER.replace(", batch_sampler", ", collate_fn=list, batch_sampler")
    yield f"loader = {joined if script.maps else LOADER}"
    if script.maps:
        yield "checksum = 0"
        read = 'for part in iter(lambda: file.read(1 << 24), b""):'
        yield suite(
            'with path.open("rb") as file:',
            [suite(read, ["checksum = zlib.crc32(part, checksum)"])],
        )
    else:
        sizes = f"[path.stat().st_size for path in {find_row_code(script).files}]"
        yield f"checksum = zlib.crc32(repr({sizes}).encode())"
    made = f"Rows({numbers}, loader, torch.device(device), zlib.crc32({numbers}, checksum))"
    if not script.statistics:
        yield f"return {{split: {made} for split, chosen in splits.items()}}"
        return
    yield f"made = {{split: {made} for split, chosen in splits.items()}}"
    yield 'figures = fit_figures(made["train"])'
    yield from save_figures(script)
    yield suite("for split in made.values():", ["split.figures = figures"])
    yield "return made"


def save_figures(script: ScriptSpec) -> list[Statement]:
    """Statements that keep what was fitted on the training rows."""
    if not script.statistics:
        return []
    save: tuple[Statement, ...] = (
        f"names = [{', '.join(map(write_literal, script.statistics))}]",
        "tensors = dict(zip(names, figures, strict=True))",
        f"save_file(tensors, out / {write_string(script.fitted)})",
    )
    return [suite("if RANK == 0:", save)] if script.distributed else [*save]
