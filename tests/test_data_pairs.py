"""Sources that are made of two others, in a check and in the script that Weft prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from compiler.data.csv_table import Csv
from compiler.data.images import Images
from compiler.data.json_lines import JsonLines
from compiler.data.npz import Npz
from compiler.data.pairs import Concat, Join
from tests.faults import fault_of
from tests.loading_alike import assert_script_loads_alike
from tests.sources import check_source

HOMES = "id,town,area,day\n7,York,54,2024-01-31\n3,Bath,67,2024-02-29\n7,Ely,71,2024-03-31\n"


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)


def test_rows_of_two_tables_follow_one_another(tmp_path: Path) -> None:
    write(tmp_path, a="n,kind,x\n1,b,1\n2,d,2\n", b="kind,x,n\na,1.5,3\nb,,4\n")
    source = Concat(Csv("a.csv"), Csv("b.csv"))
    arrays = check_source(source, tmp_path)
    _, kind, x = source.schema(tmp_path)
    assert kind.categories == ("a", "b", "d")
    assert (str(x.type), x.missing) == ("f32[]", True)
    together = pd.concat([pd.read_csv(tmp_path / f"{name}.csv") for name in "ab"])
    np.testing.assert_array_equal(arrays["x"], together["x"].to_numpy(np.float32))
    assert [kind.categories[code] for code in arrays["kind"]] == together["kind"].tolist()
    assert arrays["n"].tolist() == [1, 2, 3, 4]
    assert len(source.files(tmp_path)) == 2


def test_sources_of_other_kinds_may_be_put_together(tmp_path: Path) -> None:
    write(tmp_path, a="n,ok\n1,yes\n2,no\n")
    (tmp_path / "b.jsonl").write_text('{"n": 3, "ok": "maybe"}\n')
    np.savez(tmp_path / "c.npz", n=np.array([4]), ok=np.array([0]))
    source = Concat(Csv("a.csv"), JsonLines("b.jsonl"))
    assert check_source(source, tmp_path)["ok"].tolist() == [2, 1, 0]
    message = fault_of(lambda: Concat(source, Npz("c.npz")).schema(tmp_path))
    assert message.text.label == "it holds categories in the first source and numbers in the second"
    nested = Concat(Csv("a.csv"), Concat(JsonLines("b.jsonl"), Csv("a.csv")))
    assert check_source(nested, tmp_path)["ok"].tolist() == [2, 1, 0, 2, 1]


def test_classes_of_folders_are_those_of_both(tmp_path: Path) -> None:
    for path in ("one/cat/0", "one/dog/1", "two/ant/2", "two/dog/3"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 2), int(path[-1])).save(tmp_path / f"{path}.png")
    source = Concat(Images("one"), Images("two"))
    arrays = check_source(source, tmp_path)
    assert arrays["label"].tolist() == [1, 2, 0, 2]
    assert arrays["image"][:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert source.attributes(tmp_path) == {"classes": 3}


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ("x\n1\n", "y\n1\n", "the second source has no such column"),
        ("x\n1\n", "x,y\n1,2\n", "the first source has no such column"),
        ("x\n1\n", "x\na\n", "it holds numbers in the first source and categories in the second"),
        ("x\n1\n", "x\n2024-01-01\n", "it holds numbers in the first source and dates"),
    ],
)
def test_tables_that_differ(tmp_path: Path, a: str, b: str, reason: str) -> None:
    write(tmp_path, a=a, b=b)
    message = fault_of(lambda: Concat(Csv("a.csv"), Csv("b.csv")).schema(tmp_path))
    assert message.code == "W1687"
    assert message.text.label.startswith(reason)


@pytest.mark.parametrize(("unmatched", "how"), [("refuse", "left"), ("leave_out", "inner")])
def test_rows_beside_those_of_another_table(tmp_path: Path, unmatched: str, how: Any) -> None:
    towns = "town,people,id\nBath,94,1\nEly,20,2\nYork,210,3\nHove,90,4\n"
    write(tmp_path, homes=HOMES.replace("id,", "n,"), towns=towns)
    if unmatched == "leave_out":
        write(tmp_path, towns=towns.replace("Bath", "Oxford"))
    source = Join(Csv("homes.csv"), Csv("towns.csv"), "town", unmatched)
    arrays = check_source(source, tmp_path)
    tables = [pd.read_csv(tmp_path / f"{name}.csv") for name in ("homes", "towns")]
    expected = pd.merge(*tables, on="town", how=how)
    assert list(arrays) == list(expected)
    for name in ("n", "area", "people", "id"):
        assert arrays[name].tolist() == expected[name].tolist()
    categories = next(c.categories for c in source.schema(tmp_path) if c.name == "town")
    assert [categories[code] for code in arrays["town"]] == expected["town"].tolist()


def test_keys_of_several_columns(tmp_path: Path) -> None:
    prices = "day,price,id\n2024-01-31,5,7\n2024-02-29,6,3\n2024-03-31,8,7\n2024-03-31,9,3\n"
    write(tmp_path, homes=HOMES, prices=prices)
    source = Join(Csv("homes.csv"), Csv("prices.csv"), ("id", "day"))
    assert check_source(source, tmp_path)["price"].tolist() == [5, 6, 8]
    nested = Concat(source, source)
    assert check_source(nested, tmp_path)["price"].tolist() == [5, 6, 8, 5, 6, 8]


def test_what_cannot_be_joined(tmp_path: Path) -> None:
    write(tmp_path, homes=HOMES, towns="town,people\nYork,1\nYork,2\n", more="id,area\n1,2\n")

    def join(table: str, on: str, **options: Any) -> Any:
        return Join(Csv("homes.csv"), Csv(f"{table}.csv"), on, **options)

    message = fault_of(lambda: join("towns", "town").load(tmp_path))
    assert (message.code, message.text.title[-8:]) == ("W1688", "key York")
    write(tmp_path, towns="town,people\nYork,1\nBath,2\n")
    message = fault_of(lambda: join("towns", "town").load(tmp_path))
    assert (message.code, message.text.title[-7:]) == ("W1689", "key Ely")
    assert message.text.label == "row 2 of the first has it"
    assert fault_of(lambda: join("more", "id").schema(tmp_path)).code == "W1690"
    assert fault_of(lambda: join("towns", "twon").schema(tmp_path)).code == "W0707"
    write(tmp_path, towns="area,people\n1.5,1\n")
    assert fault_of(lambda: join("towns", "area").schema(tmp_path)).code == "W1687"
    write(tmp_path, towns="town,people\nHove,1\n")
    out = join("towns", "town", unmatched="leave_out")
    assert fault_of(lambda: out.load(tmp_path)).code == "W1689"
    assert fault_of(lambda: join("towns", "town", unmatched="drop")).code == "W0705"


SPEC = """
data homes {
    source join(csv("homes.csv"), csv("towns.csv"), on="town")
    x = stack([area, people]) -> standardize
    split in_order, train=1, val=1, test=1
}
model Net() {
    input x: f32[batch, 2]
    output y = x -> dense(3) as head
}
train fit of Net on homes {
    minimize cross_entropy(y, town) with sgd(lr=0.1)
    batch 1
    epochs 1
}
"""


def test_scripts_load_what_weft_loads(tmp_path: Path) -> None:
    write(tmp_path, homes=HOMES, towns="town,people\nBath,94\nEly,20\nYork,210\nHove,90\n")
    spec = SPEC.replace("dense(3)", "dense(4)")
    assert_script_loads_alike(spec, tmp_path)


def test_scripts_put_rows_together(tmp_path: Path) -> None:
    write(tmp_path, homes=HOMES, towns=HOMES.replace("York", "Hove").replace(",71", ",71.5"))
    spec = SPEC.replace("join", "concat").replace(', on="town"', "").replace("people", "id")
    assert_script_loads_alike(spec.replace("dense(3)", "dense(4)"), tmp_path)
    nested = 'concat(concat(csv("homes.csv"), csv("towns.csv")), csv("towns.csv"))'
    spec = spec.replace('concat(csv("homes.csv"), csv("towns.csv"))', nested)
    assert_script_loads_alike(spec.replace("dense(3)", "dense(4)"), tmp_path)
