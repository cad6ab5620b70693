"""What the cells of a column are: numbers, dates, categories or text, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import weft
from compiler.data.base import Column
from compiler.data.cells import PLAIN, Dialect, convert_cells, describe_cells
from compiler.data.csv_table import Csv
from compiler.data.memory import Memory
from compiler.data.parquet_table import Parquet
from compiler.report.diagnostics import Message
from compiler.report.messages.cells import free_text
from tests.faults import fault_of
from tests.sources import check_source, open_generated

NAN = float("nan")


def column_of(cells: str, **options: Any) -> Column:
    """The column of cells that are written one behind the other, with `|` between them."""
    return describe_cells("x", cells.split("|"), Dialect(**options))


def trouble_of(cells: str, **options: Any) -> Message:
    trouble = column_of(cells, **options).trouble
    assert trouble is not None
    return trouble


def seconds(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("cells", "kind", "dtype"),
    [
        ("1|-2|+3|007", "numbers", "i64[]"),
        ("1|2.5|-1e3|.5|3.", "numbers", "f32[]"),
        ("1|NA|3", "numbers", "f32[]"),
        (" 1 |2", "numbers", "i64[]"),
        ("inf|1|-Infinity", "numbers", "f32[]"),
        ("|NA| ", "numbers", "f32[]"),
        ("999999999999999999|-1", "numbers", "i64[]"),
        ("yes|no|yes", "categories", "i64[]"),
        ("True|False", "categories", "i64[]"),
        ("1_000|a|b", "categories", "i64[]"),
        ("18-25|26-35|36-45", "categories", "i64[]"),
        ("1.2.3|1.10.2|2.0.0", "categories", "i64[]"),
        ("2024-01-31|2024-02-01", "dates", "i64[]"),
        ("1949-01|1949-02", "dates", "i64[]"),
    ],
)
def test_kinds(cells: str, kind: str, dtype: str) -> None:
    column = column_of(cells)
    assert column.trouble is None
    assert (column.kind, str(column.type)) == (kind, dtype)


def test_words_differ_by_more_than_the_spaces_around_them() -> None:
    column = column_of("no | no|yes|no")
    assert column.categories == ("no", "yes")
    assert convert_cells(column, ["no ", " no", "yes", "no"]).tolist() == [0, 0, 1, 0]


def test_text_is_no_category_unless_asked_for() -> None:
    cells = [f"comment {i} by someone" for i in range(150)]
    column = describe_cells("x", cells)
    assert column.kind == "text"
    assert column.trouble is not None
    assert column.trouble.kind is free_text
    asked = describe_cells("x", cells, Dialect(categories=("x",)))
    assert (asked.kind, asked.trouble, len(asked.categories)) == ("categories", None, 150)
    assert describe_cells("x", [f"class {'abcdefgh'[i % 8]}" for i in range(150)]).trouble is None


@pytest.mark.parametrize(
    ("cells", "label", "help_"),
    [
        ("7,40|9,80|10,5", "row 0 is `7,40`", '`decimal=","` reads them (`7,40` is 7.4)'),
        ("1.234,5|1,25|3", "row 0 is `1.234,5`", '`decimal=",", thousands="."` reads them'),
        ("1,234,567|12|1,000", "row 0 is `1,234,567`", '`thousands=","` reads them'),
        ("1 234|12|1 000", "row 0 is `1 234`", '`thousands=" "` reads them'),
        ("1'234|12|1'000", "row 0 is `1'234`", '`thousands="\'"` reads them'),
        ("12 kg|7 kg|1.5kg", "row 0 is `12 kg`", '`unit="kg"` reads them (`12 kg` is 12)'),
        ("65 m2|7.5 m2|80m2", "row 0 is `65 m2`", '`unit="m2"` reads them (`65 m2` is 65)'),
        ("5%|7.5%|10 %", "row 0 is `5%`", '`unit="%"` reads them'),
        ("5\u00a0%|7.5\u202f%|9%", "row 0 is `5 %`", '`unit="%"` reads them'),
        ("5\u2009km|7\u2009km", "row 0 is `5 km`", '`unit="km"` reads them'),
        ("$12|$7.5|-$1", "row 0 is `$12`", '`unit="$"` reads them'),
        ("€ 1.234,50|€ 7,00|€ 1,20", "", '`decimal=",", thousands=".", unit="€"` reads them'),
        ("1|2|?|4", "row 2 is `?`", '`missing=["?"]` reads these cells as missing'),
        ("1|2|-|4|n.a.|6|7", "row 2 is `-`", '`missing=["-", "n.a."]`'),
        ("7,4|9,8|?|1,5", "row 0 is `7,4`", '`decimal=",", missing=["?"]` reads them'),
        ("12 kg|7|8 kg", "row 0 is `12 kg`", "mend the cells"),
        ("1|2|3|4|5|6|7|a|b|c|d", "row 7 is `a`", "mend the cells"),
        ("\u0661|\u0662\u0663|\u0661\u066b5", "row 0 is `\u0661`", "mend the cells"),
        ("\uff11\uff12|\uff13|4", "row 0 is `\uff11\uff12`", "mend the cells"),
        ("(1200)|300|(5.5)|7", "row 0 is `(1200)`", "mend the cells"),
    ],
)
def test_nearly_numbers(cells: str, label: str, help_: str) -> None:
    message = trouble_of(cells)
    assert message.code == "W1220"
    assert label in message.text.label
    assert help_ in (message.text.help or "")
    assert '`categories=["x"]` reads categories' in (message.text.help or "")


@pytest.mark.parametrize(
    ("cells", "label"),
    [
        ("yes|No|no|Yes", "row 0 is `yes`, row 3 is `Yes`; and 1 more"),
        ("TRUE|FALSE|True", "row 0 is `TRUE`, row 2 is `True`"),
        ("New York|Rome|New  York", "row 0 is `New York`, row 2 is `New York`"),
        ("caf\u00e9|tea|cafe\u0301", "row 0 is `caf\u00e9`, row 2 is `cafe\u0301`"),
    ],
)
def test_one_category_is_not_taken_for_two(cells: str, label: str) -> None:
    message = trouble_of(cells)
    assert (message.code, message.text.label) == ("W1405", label)
    assert '`categories=["x"]`' in (message.text.help or "")
    asked = column_of(cells, categories=("x",))
    assert (asked.trouble, len(asked.categories)) == (None, len(set(cells.split("|"))))


def test_brackets_around_a_few_numbers_are_categories() -> None:
    assert column_of("(1)|a|b|c").trouble is None


def test_three_digits_behind_a_comma_may_mean_two_things() -> None:
    help_ = trouble_of("1,234|2,500|3,125").text.help or ""
    assert '`decimal=","` reads them (`1,234` is 1.234)' in help_
    assert '`thousands=","` reads them (`1,234` is 1234)' in help_


@pytest.mark.parametrize(
    ("cells", "options", "numbers"),
    [
        ("7,40|9", {"decimal": ","}, [7.4, 9]),
        ("1.234,5|1.234.567|,5", {"decimal": ",", "thousands": "."}, [1234.5, 1234567, 0.5]),
        ("12 kg|1.5kg", {"units": ("kg",)}, [12, 1.5]),
        ("12\u00a0kg|1.5\u202fkg|\u2009-2\u2009kg\u3000", {"units": ("kg",)}, [12, 1.5, -2]),
        ("5\u00a0%|7,5\u202f%", {"units": ("%",), "decimal": ","}, [5, 7.5]),
        ("$\u00a05|-$\u202f1\u00a0200", {"units": ("$",), "thousands": "\u00a0"}, [5, -1200]),
        ("-$1,200|$ 3", {"units": ("$",), "thousands": ","}, [-1200, 3]),
        ("1|?|3", {"missing": ("?",)}, [1, NAN, 3]),
        ("1|-999.0|3.5", {"missing": ("-999",)}, [1, NAN, 3.5]),
        ("1|2", {"units": ("kg",), "decimal": ","}, [1, 2]),
    ],
)
def test_options_read_them(cells: str, options: Mapping[str, Any], numbers: list[float]) -> None:
    column = column_of(cells, **options)
    assert column.trouble is None
    found = convert_cells(column, cells.split("|"), Dialect(**options))
    np.testing.assert_array_equal(found, np.array(numbers, found.dtype))


def test_marks_stand_between_groups_of_three() -> None:
    assert trouble_of("1,2,3|12|1,000", thousands=",").code == "W1220"
    assert trouble_of("5 kg|7|8 kg", units=("kg",)).code == "W1220"  # one with a unit, one without
    assert trouble_of("5 kg|7 g|8 kg", units=("kg", "g")).code == "W1391"


@pytest.mark.parametrize(
    ("cells", "moments"),
    [
        ("2024-02-29|1969-12-31", [seconds(2024, 2, 29), seconds(1969, 12, 31)]),
        ("2024-02|2024-03", [seconds(2024, 2, 1), seconds(2024, 3, 1)]),
        (
            "2024-02-29T12:30:05.25Z|2024-02-29 12:30",
            [seconds(2024, 2, 29, 12, 30, 5), seconds(2024, 2, 29, 12, 30)],
        ),
        ("2024-02-29T12:30:00+02:00|2024-03-01", [seconds(2024, 2, 29, 10, 30), 1709251200]),
        ("31.12.2023|1.2.2024", [seconds(2023, 12, 31), seconds(2024, 2, 1)]),
        ("12/31/2023|1/2/2024", [seconds(2023, 12, 31), seconds(2024, 1, 2)]),
        ("31/12/2023|1/2/2024", [seconds(2023, 12, 31), seconds(2024, 2, 1)]),
        ("2023/12/31 23:59|2024/01/02 00:00", [seconds(2023, 12, 31, 23, 59), 1704153600]),
        ("3 Mar 2021|14 Apr 2021", [seconds(2021, 3, 3), seconds(2021, 4, 14)]),
        ("March 3, 2021|April 14, 2021", [seconds(2021, 3, 3), seconds(2021, 4, 14)]),
        ("1/31/2021 1:30 PM|2/1/2021 12:00 AM", [seconds(2021, 1, 31, 13, 30), 1612137600]),
    ],
)
def test_dates(cells: str, moments: list[int], tmp_path: Path) -> None:
    column = column_of(cells)
    assert (column.kind, column.trouble) == ("dates", None)
    rows = cells.split("|")
    assert convert_cells(column, rows).tolist() == moments
    text = "\n".join(["day", *(f'"{row}"' for row in rows)])
    (tmp_path / "t.csv").write_text(text)
    assert check_source(Csv("t.csv"), tmp_path)["day"].tolist() == moments
    pandas.DataFrame({"day": rows}).to_parquet(tmp_path / "t.parquet")
    assert check_source(Parquet("t.parquet"), tmp_path)["day"].tolist() == moments


@pytest.mark.parametrize(
    ("cells", "code", "help_"),
    [
        ("1/2/2024|3/4/2024", "W1222", '`date="%d/%m/%Y"` or `date="%m/%d/%Y"`'),
        ("31/12/23|30/11/22", "W1222", '`date="%d/%m/%y"`'),
        ("2024-01-01|0000-00-00|2024-02-01", "W1222", '`missing=["0000-00-00"]`'),
        ("2024-01-01||2024-02-01", "W1221", "leave these rows out"),
        ("0900-01-01|1500-06-30", "W1339", '`missing=["0900-01-01", "1500-06-30"]`'),
        ("2024-01-01|9999-12-31|2024-02-01", "W1339", '`missing=["9999-12-31"]`'),
        ("31.12.1699|1.1.1800", "W1339", '`categories=["x"]`'),
        ("2250-01-01||2249-12-31", "W1339", '`missing=["2250-01-01"]`'),
        ("12:30|8:15|23:59", "W1223", "seconds since midnight"),
    ],
)
def test_dates_in_doubt(cells: str, code: str, help_: str) -> None:
    message = trouble_of(cells)
    assert message.code == code
    assert help_ in (message.text.help or "")


def test_a_date_that_is_asked_for() -> None:
    cells = "1/2/24|3/4/24"
    column = column_of(cells, date="%d/%m/%y")
    assert column.trouble is None
    assert convert_cells(column, cells.split("|"))[0] == seconds(2024, 2, 1)


def test_missing_is_no_category() -> None:
    message = trouble_of("no|yes||no|NA|?", missing=("?",))
    assert message.code == "W1221"
    assert message.text.label == "3 of 6 cells: rows 2, 4, 5"
    asked = column_of("no|yes||no", missing_category=("x",))
    assert (asked.trouble, asked.categories) == (None, ("", "no", "yes"))


# --- the generated script reads what the loader reads -------------------------------------------

MESSY = """\
 weight;price; kind;day;code;share;plain
12\u00a0kg;1.234,50;a ;31.12.2023;007;5\u202f%;1
 7,5 kg;?; b;1.2.2024;1.234;7,25%;2
 ;3;a;3.2.2024;2; 100 % ;3
"""


def test_a_script_reads_messy_tables_alike(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(MESSY, encoding="utf-16")
    source = Csv(
        "t.csv",
        decimal=",",
        thousands=".",
        unit=("kg", "%"),
        missing=("?",),
        separator=";",
        encoding="utf-16",
    )
    arrays = check_source(source, tmp_path)
    np.testing.assert_array_equal(arrays["weight"], np.array([12, 7.5, NAN], np.float32))
    np.testing.assert_array_equal(arrays["price"], np.array([1234.5, NAN, 3], np.float32))
    assert arrays["kind"].tolist() == [0, 1, 0]
    assert arrays["code"].tolist() == [7, 1234, 2]
    assert arrays["share"].tolist() == [5, 7.25, 100]
    assert arrays["day"][0] == seconds(2023, 12, 31)


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        (["7,40", "9,8", "-1e3"], {"decimal": ","}),
        (["1,234.5", "12", "0.25"], {"thousands": ","}),
        (["1 234", "12", "-3"], {"thousands": " "}),
        (["1'234'567", "12", "-3"], {"thousands": "'"}),
        (["-$1,200.5", "$ 3", ""], {"thousands": ",", "unit": "$"}),
        (["65 m2", "7m2"], {"unit": "m2"}),
        (["12 km/h", "-7km/h", "+1.5 km/h"], {"unit": "km/h"}),
        ([" 1", "2 ", "3"], {}),
        ([" 1.5", "2 ", " NA "], {}),
        (["True", "False", "True"], {}),
        (["1", "2", "x"], {"categories": ("x",)}),
        (["01", "2", "3"], {"categories": ("x",)}),
        (["yes", "", "NA"], {"missing_category": ("x",)}),
        (["1", "-999", "-999.0"], {"missing": ("-999",)}),
        (["0.1", "1e-40", "16777217"], {}),
        (["123456789012345678", "-1", "+2"], {}),
        (["inf", "-Infinity", "1"], {}),
        (['say "hi"', "back\\slash", "new\nline", "car\rriage", "\x7f\x1b.", "a\u2028b"], {}),
    ],
)
def test_a_script_reads_alike(cells: list[str], options: Mapping[str, Any], tmp_path: Path) -> None:
    quoted = [f'''"{cell.replace('"', '""')}"''' for cell in cells]
    (tmp_path / "t.csv").write_bytes("\n".join(["x,y", *(f"{cell},1" for cell in quoted)]).encode())
    arrays = check_source(Csv("t.csv", **options), tmp_path)
    pandas.DataFrame({"x": cells}).to_parquet(tmp_path / "t.parquet")
    stored = check_source(Parquet("t.parquet", **options), tmp_path)
    np.testing.assert_array_equal(stored["x"], arrays["x"])


def test_a_script_refuses_words_that_came_later(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x\na\nb\n")
    source = Csv("t.csv")
    load = open_generated(source, tmp_path, source.schema(tmp_path))
    (tmp_path / "t.csv").write_text("x\na\nc\n")
    with pytest.raises(ValueError, match="integer"):
        load()


@pytest.mark.parametrize("options", [{"unit": ("kg", "lb")}, {"unit": "kg", "date": "%d/%m/%y"}])
def test_options_that_no_column_needs(options: Mapping[str, Any], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("w,day\n5 kg,31.12.2023\n")
    message = fault_of(lambda: Csv("t.csv", **options).schema(tmp_path))
    assert message.code == "W0705"
    assert "no column has this one" in message.text.title


def test_options_name_columns_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("floor,city\n1,x\n")
    message = fault_of(lambda: Csv("t.csv", categories=("flor",)).schema(tmp_path))
    assert message.text.title == "there is no column `flor`"
    assert message.text.help == "did you mean `floor`? it has `floor` and `city`"


# --- data frames --------------------------------------------------------------------------------


def test_a_data_frame_is_read_as_its_csv_would_be(tmp_path: Path) -> None:
    frame = pandas.DataFrame(
        {
            "kind": ["b", "a", "b"],
            "grade": pandas.Categorical(["low", "high", "low"], ["low", "high"]),
            "text": ["1.5", "2", "3"],
            "mixed": [1, "2", 3.5],
            "count": pandas.array([1, None, 3], "Int64"),
            "day": pandas.to_datetime(["2024-01-01 00:00", "2024-01-02 00:00", "2024-01-03 12:30"]),
            "zoned": pandas.to_datetime(["2024-01-01"] * 3).tz_localize("Europe/Berlin"),
            "iso": ["2024-01-01", "2024-01-02", "2024-01-03"],
            "size": [1.5, None, 2.5],
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    written = check_source(Csv("t.csv"), tmp_path)
    memory = Memory({name: np.asarray(frame[name]) for name in frame})
    held = memory.load(tmp_path)
    assert list(held) == list(written)
    for name, array in held.items():
        np.testing.assert_array_equal(array, written[name], err_msg=name)
    kinds = {c.name: (c.kind, c.type, c.categories) for c in memory.schema(tmp_path)}
    assert kinds == {c.name: (c.kind, c.type, c.categories) for c in Csv("t.csv").schema(tmp_path)}


def test_a_data_frame_in_doubt() -> None:
    def trouble(*cells: object) -> str:
        (column,) = Memory({"x": np.array(cells, object)}).schema(Path())
        return column.trouble.code if column.trouble is not None else ""

    assert trouble("7,4", "8,5") == "W1220"
    assert trouble("no", None, "yes") == "W1221"
    assert trouble("no", pandas.NA, "yes") == "W1221"
    assert trouble(True, False) == ""
    _, lists = Memory({"x": np.array(["a", None], object), "y": _lists()}).schema(Path())
    assert lists.trouble is not None
    assert "row 1 holds a value of type `list`" in (lists.trouble.text.label or "")
    missing = np.array(["2024-01-01", "NaT"], "datetime64[s]")
    (column,) = Memory({"x": missing}).schema(Path())
    assert column.trouble is not None


def _lists() -> np.ndarray[Any, Any]:
    cells = np.empty(2, object)
    cells[0], cells[1] = "a", [1, 2]
    return cells


def test_a_spec_says_how_the_text_of_a_frame_is_read(tmp_path: Path) -> None:
    spec = tmp_path / "s.weft"
    spec.write_text(
        'data d {\n    source csv("none.csv", decimal=",", missing=["?"])\n'
        "    y = fill(price, 0)\n    split in_order, train=100%\n}\n"
    )
    frame = pandas.DataFrame({"price": ["7,5", "?", "1"], 'say "hi"': ["b", "a", "b"]})
    loaded = weft.load(spec, data={"d": frame}).data("d")
    assert loaded.columns["y"].tolist() == [7.5, 0, 1]
    assert loaded.columns['say "hi"'].tolist() == [1, 0, 1]
    spec.write_text(spec.read_text().replace(', decimal=","', ""))
    with pytest.raises(weft.WeftError, match="nearly numbers"):
        weft.load(spec, data={"d": frame})


def test_parquet_stores_dates_and_booleans(tmp_path: Path) -> None:
    frame = pandas.DataFrame(
        {
            "day": pandas.to_datetime(["1969-12-31 23:59:59.5", "2024-01-02 00:00:00.0"]),
            "zoned": pandas.to_datetime(["2024-01-01"] * 2).tz_localize("Europe/Berlin"),
            "date": [datetime(2024, 1, 1).date(), datetime(1960, 1, 1).date()],
            "flag": [True, None],
            "grade": pandas.Categorical(["low", "high"], ["low", "high"]),
            "digit": pandas.Categorical([3, 1]),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    arrays = check_source(Parquet("t.parquet"), tmp_path)
    assert arrays["day"].tolist() == [-1, seconds(2024, 1, 2)]
    assert arrays["zoned"][0] == seconds(2023, 12, 31, 23)
    assert arrays["date"].tolist() == [seconds(2024, 1, 1), seconds(1960, 1, 1)]
    np.testing.assert_array_equal(arrays["flag"], np.array([1, NAN], np.float32))
    assert arrays["grade"].tolist() == [1, 0]
    assert arrays["digit"].tolist() == [3, 1]


def test_plain_cells_are_read_without_options() -> None:
    assert PLAIN.find_missing(["NA", "?", "", "1"]) == {"NA", ""}
