"""Tokens of text: characters, words and byte pairs, in Weft, in the training script, and in
deployed files."""

from __future__ import annotations

import builtins
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from backends.pytorch.train.folder import write_training
from compiler.data.text import OTHER, Text
from compiler.report.diagnostics import Fault
from compiler.rows.loading import load_data
from tests.checking import check_text
from tests.test_deployed_words import run_plainly, write_file
from tests.test_train_steps import import_script
from weft.deployed.exporting import find_beside

BOOK = (
    "The sea, the sea!\nIt was 7 o'clock: the Ärzte of the sea were at sea.\r\n"
    "Two 🐟 swam by, and by.\n"
) * 12
SPEC = """
model Net(vocab: int) {
    input tokens: i64[batch, t]
    output logits = tokens -> embedding(vocab, 4) -> dense(vocab)
}
data book {
    source text("book.txt", context=6, OPTIONS)
    split in_order, train=60%, val=40%
}
train fit of Net(vocab=book.vocab) on book {
    minimize cross_entropy(logits, target, axis=-1) with sgd(lr=0.1)
    batch 2
    epochs 1
}
deploy fit as onnx { preprocess book }
"""
OPTIONS = {
    "characters": "stride=3",
    "words": 'tokens="words", stride=2',
    "few words": 'tokens="words", vocab=9',
    "byte pairs": 'tokens="byte_pairs", vocab=300, stride=2',
}


def write_book(folder: Path) -> None:
    (folder / "book.txt").write_bytes(BOOK.encode())


def test_words_by_hand(tmp_path: Path) -> None:
    write_book(tmp_path)
    words = re.findall(r"\w+|[^\w\s]", BOOK)
    source = Text("book.txt", 6, tokens="words")
    known = source.schema(tmp_path)[0].categories
    assert known == tuple(sorted(set(words)))
    rows = source.load(tmp_path)
    found = [[known[code] for code in row] for row in rows["tokens"].tolist()]
    assert found == [words[k : k + 6] for k in range(0, len(words) - 6, 6)]
    assert [known[code] for code in rows["target"][0]] == words[1:7]
    few = Text("book.txt", 6, tokens="words", vocab=4)
    (kept, _) = (c.categories for c in few.schema(tmp_path))
    common = Counter(words).most_common()
    assert set(kept) - {OTHER} <= {word for word, n in common if n >= common[2][1]}
    assert few.attributes(tmp_path) == {"vocab": 4}


def test_byte_pairs_say_the_whole_text(tmp_path: Path) -> None:
    write_book(tmp_path)
    source = Text("book.txt", 5, tokens="byte_pairs", vocab=290)
    (text,) = source.beside(tmp_path).values()
    tokenizer = Tokenizer.from_str(text)
    plain = BOOK.replace("\r\n", "\n")
    codes = tokenizer.encode(plain).ids
    assert tokenizer.decode(codes) == plain
    assert len(codes) < len(plain.encode())
    rows = source.load(tmp_path)["tokens"]
    assert rows.reshape(-1).tolist() == codes[: rows.size]
    known = source.schema(tmp_path)[0].categories
    assert [tokenizer.token_to_id(token) for token in known] == list(range(len(known)))
    assert source.attributes(tmp_path)["vocab"] == len(known) <= 290


@pytest.mark.parametrize("kind", OPTIONS)
def test_the_script_reads_the_same_rows(kind: str, tmp_path: Path) -> None:
    write_book(tmp_path)
    program = check_text(SPEC.replace("OPTIONS", OPTIONS[kind]), folder=str(tmp_path))
    write_training(program.trains["fit"], tmp_path / "fit")
    found = import_script(tmp_path / "fit", "train").load_splits(tmp_path, "cpu")
    loaded = load_data(program.data["book"], tmp_path)
    for split in ("train", "val"):
        read = [column.numpy() for column in found[split]]
        assert len(read) == 2
        for expected in loaded.split(split).values():
            assert any(np.array_equal(array, expected) for array in read)


def test_a_deployed_file_takes_tokens_beside_its_tokenizer(tmp_path: Path) -> None:
    write_book(tmp_path)
    spec = SPEC.replace("OPTIONS", OPTIONS["byte pairs"])
    _, _, path = write_file(tmp_path, spec=spec)
    program = check_text(spec, folder=str(tmp_path))
    beside = find_beside(program.deploys[0], program)
    assert list(beside) == ["fit.tokenizer.json"]
    tokenizer = Tokenizer.from_str(beside["fit.tokenizer.json"])
    tokens = tokenizer.encode("The sea 🐟, by and by").tokens[:6]
    found = run_plainly(path, tokens=np.array([tokens]))
    assert found["label"].shape == (1, 6)
    ids = [tokenizer.token_to_id(token) for token in found["label"][0]]
    assert ids == found["logits"][0].argmax(-1).tolist()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tokens": "letters"}, "`tokens`"),
        ({"vocab": 5}, "`vocab`"),
        ({"tokens": "words", "vocab": 1}, "`vocab`"),
        ({"tokens": "byte_pairs"}, "`vocab`"),
        ({"tokens": "byte_pairs", "vocab": 256}, "`vocab`"),
    ],
)
def test_settings_that_mean_nothing(options: dict[str, Any], said: str) -> None:
    with pytest.raises(Fault) as refused:
        Text("book.txt", **options)
    assert said in json.dumps(refused.value.make(Anywhere()).text.title)  # type: ignore[arg-type]


class Anywhere:
    call = None

    def argument(self, name: str) -> None:
        return None


def test_byte_pairs_need_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_book(tmp_path)
    plain = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name == "tokenizers":
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(Fault) as refused:
        Text("book.txt", 5, tokens="byte_pairs", vocab=291).schema(tmp_path)
    assert refused.value.make(Anywhere()).code == "W1749"  # type: ignore[arg-type]
