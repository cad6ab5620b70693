"""Text files as windows of tokens and the tokens after them: characters, words or byte pairs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, DataSource, LoadingCode
from compiler.data.files import find_file, read_text, refuse_file, refuse_setting
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.data import package_for_tokens
from compiler.types.tensor import TensorType
from compiler.writing.python import write_path, write_string

KINDS = ("characters", "words", "byte_pairs")
WORD = r"\w+|[^\w\s]"
"""What a word is: letters and digits, or one mark between them."""
OTHER = "<unk>"
"""The token of words that are too rare for the vocabulary."""
BYTES = 256
"""Tokens that byte pairs begin with, so that any text has some."""


@SOURCES.register
@final
@dataclass(frozen=True)
class Text(DataSource):
    """A text file as training rows of a language model.

    A row is a window: `tokens: i64[context]`, and `target: i64[context]`, the same moved on by one.
    Row i starts at token `i * stride`. `split in_order` divides the text by position, and leaves
    out the rows that would share a token with the split before. `NAME.vocab` is how many tokens
    there are; a token is its place among them.

    - `path`: the file (UTF-8), relative to the spec's folder.
    - `context`: tokens in a row.
    - `stride`: tokens from the start of one row to the next; `context` where it is not given,
      so that rows do not overlap.
    - `tokens`: `"characters"`, in sorted order; `"words"`, with the marks between them as words of
      their own, in sorted order; or `"byte_pairs"`, which are learned from the text with the
      package `tokenizers` (`pip install weft[text]`) and lie beside the training and the deployed
      file as `….tokenizer.json`.
    - `vocab`: how many tokens there are at most. Of words the most frequent are taken, and
      `"<unk>"` stands for the others; byte pairs need it, 257 or more.

    Example: `source text("book.txt", context=32)`, `split in_order, train=80%, val=10%, test=10%`
    Source: Karpathy 2015, https://karpathy.github.io/2015/05/21/rnn-effectiveness/; Sennrich et al.
    2016, https://arxiv.org/abs/1508.07909
    """

    name: ClassVar[str] = "text"
    counted: ClassVar[Mapping[str, str]] = {"vocab": "tokens"}
    path: str
    context: int = 64
    stride: int | None = None
    tokens: str = "characters"
    vocab: int | None = None

    @property
    def step(self) -> int:
        """The stride that is meant."""
        return self.context if self.stride is None else self.stride

    def check(self) -> None:
        if self.context < 1:
            refuse_setting(self.name, "context", self.context, "1 or above")
        if self.step < 1:
            refuse_setting(self.name, "stride", self.stride, "1 or above")
        if self.tokens not in KINDS:
            expected = " or ".join(f'"{kind}"' for kind in KINDS)
            refuse_setting(self.name, "tokens", f'"{self.tokens}"', expected)
        if self.tokens == "characters" and self.vocab is not None:
            expected = "left out: characters are all taken"
            refuse_setting(self.name, "vocab", self.vocab, expected)
        if self.tokens == "words" and self.vocab is not None and self.vocab < 2:
            refuse_setting(self.name, "vocab", self.vocab, "2 or above")
        if self.tokens == "byte_pairs" and (self.vocab or 0) <= BYTES:
            refuse_setting(self.name, "vocab", self.vocab or "left out", f"above {BYTES}")

    def schema(self, folder: Path) -> tuple[Column, ...]:
        found = self._read(folder)
        row = TensorType.of("i64", (self.context,))
        if len(found.codes) <= self.context:
            reason = f"it has {len(found.codes):,} {self.tokens.replace('_', ' ')}"
            refuse_file(self.path, f"{reason}, and a row takes {self.context + 1:,}")
        return tuple(Column(name, row, categories=found.tokens) for name in ("tokens", "target"))

    def attributes(self, folder: Path) -> Mapping[str, int]:
        return {"vocab": len(self._read(folder).tokens)}

    def beside(self, folder: Path) -> Mapping[str, str]:
        tokenizer = self._read(folder).tokenizer
        return {self._tokenizer_name: tokenizer} if tokenizer else {}

    @property
    def _tokenizer_name(self) -> str:
        """The file with the byte pairs."""
        return f"{Path(self.path).stem}.{self.vocab}.tokenizer.json"

    def overlap(self) -> int:
        # A row reads context + 1 tokens, so rows `stride` apart share one even where the
        # windows of tokens do not.
        return -(-(self.context + 1) // self.step) - 1

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        codes = self._read(folder).codes
        rows = sliding_window_view(codes, self.context + 1)[:: self.step]
        return {"tokens": rows[:, :-1], "target": rows[:, 1:]}

    def files(self, folder: Path) -> Sequence[Path]:
        return [find_file(folder, self.path)]

    def imports(self) -> Sequence[str]:
        windows = "from numpy.lib.stride_tricks import sliding_window_view"
        match self.tokens, self.vocab:
            case "words", None:
                return ["import re", windows]
            case "words", _:
                return ["import re", "from collections import Counter", windows]
            case "byte_pairs", _:
                return [windows, "from tokenizers import Tokenizer"]
        return [windows]

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        windows = f"sliding_window_view(codes.astype(np.int64), {self.context + 1})"
        slices = {"tokens": "rows[:, :-1]", "target": "rows[:, 1:]"}
        lines = [
            f'text = ({write_path(self.path)}).read_text(encoding="utf-8-sig")',
            *self._write_codes(),
            f"rows = {windows}" + (f"[::{self.step}]" if self.step > 1 else ""),
        ]
        return LoadingCode(lines, {c.name: slices[c.name] for c in columns})

    def _write_codes(self) -> list[str]:
        """The lines that make codes of the text."""
        words = f'words = re.findall(r"{WORD}", text)'
        match self.tokens, self.vocab:
            case "words", None:
                return [words, "_, codes = np.unique(words, return_inverse=True)"]
            case "words", _:
                return [
                    words,
                    "counts = Counter(words)",
                    "by_count = sorted(counts, key=lambda word: (-counts[word], word))",
                    f"known = sorted([*by_count[:{(self.vocab or 0) - 1}], {write_string(OTHER)}])",
                    "places = {word: place for place, word in enumerate(known)}",
                    f"other = places[{write_string(OTHER)}]",
                    "codes = np.array([places.get(word, other) for word in words])",
                ]
            case "byte_pairs", _:
                path = f"Path(__file__).with_name({write_string(self._tokenizer_name)})"
                return [
                    f"tokenizer = Tokenizer.from_file(str({path}))",
                    "codes = np.array(tokenizer.encode(text).ids)",
                ]
        return ["_, codes = np.unique(list(text), return_inverse=True)"]

    def _read(self, folder: Path) -> Tokens:
        path = find_file(folder, self.path)
        status = path.stat()
        return _read_tokens(self, path, status.st_mtime_ns, status.st_size)


@dataclass(frozen=True)
class Tokens:
    """A text as the places of its tokens among all there are; `tokenizer` is what finds them, as
    JSON, where it was learned."""

    codes: NDArray[np.int64]
    tokens: tuple[str, ...]
    tokenizer: str = ""


@lru_cache(maxsize=4)  # the schema and the rows come from one reading
def _read_tokens(source: Text, path: Path, changed: int, size: int) -> Tokens:
    """The tokens of a file; `changed` and `size` are part of the key of the cache."""
    text = read_text(path, source.path).replace("\r\n", "\n").replace("\r", "\n")
    match source.tokens:
        case "words":
            return _number(re.findall(WORD, text), source.vocab)
        case "byte_pairs":
            return _learn_pairs(text, source.vocab or 0)
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    known, codes = np.unique(points, return_inverse=True)
    return Tokens(codes.astype(np.int64), tuple(map(chr, known.tolist())))


def _number(words: Sequence[str], vocab: int | None) -> Tokens:
    """Words by their places in sorted order; of all but the most frequent that of `OTHER`."""
    counts = Counter(words)
    kept = list(counts)
    if vocab is not None:
        by_count = sorted(counts, key=lambda word: (-counts[word], word))
        kept = [*by_count[: vocab - 1], OTHER]
    known = sorted(kept)
    places = {word: place for place, word in enumerate(known)}
    other = places.get(OTHER, -1)
    return Tokens(np.array([places.get(word, other) for word in words], np.int64), tuple(known))


def _learn_pairs(text: str, vocab: int) -> Tokens:
    """The byte pairs of a text, learned from it.

    Raises:
        Fault: the package that learns them is not installed.
    """
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError:
        raise Fault(lambda where: package_for_tokens(where.argument("tokens"))) from None
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    places = tokenizer.get_vocab()
    known = tuple(sorted(places, key=places.__getitem__))
    return Tokens(np.array(tokenizer.encode(text).ids, np.int64), known, tokenizer.to_str())
