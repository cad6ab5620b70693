"""Records behave as the frozen dataclasses of the standard library do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from functools import cached_property
from typing import Any, ClassVar

import pytest

from compiler.records import dataclass


class Base:
    """What classes of records often have: class variables and a check."""

    kind: ClassVar[str] = "base"

    def __post_init__(self) -> None:
        if getattr(self, "size", 0) < 0:
            raise ValueError("below zero")


@dataclass(frozen=True)
class Record(Base):
    """A record."""

    name: str
    size: int = 3
    items: tuple[int, ...] = dataclasses.field(default_factory=tuple)

    @cached_property
    def double(self) -> int:
        return 2 * self.size


@dataclasses.dataclass(frozen=True)
class Standard(Base):
    """The same with the standard decorator."""

    name: str
    size: int = 3
    items: tuple[int, ...] = dataclasses.field(default_factory=tuple)


@dataclass(frozen=True)
class Longer(Record):
    """A record with one more field."""

    more: bool = False


@pytest.mark.parametrize("cls", [Record, Standard])
def test_like_the_standard_library(cls: Any) -> None:
    one, two = cls("a"), cls(name="a", size=3)
    assert one == two
    assert hash(one) == hash(two)
    assert one != cls("a", 4)
    assert one != "a"
    assert repr(one) == f"{cls.__name__}(name='a', size=3, items=())"
    assert [f.name for f in dataclasses.fields(cls)] == ["name", "size", "items"]
    assert dataclasses.replace(one, size=5) == cls("a", 5)
    assert dataclasses.asdict(one) == {"name": "a", "size": 3, "items": ()}
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    match one:
        case cls(name, size):
            assert (name, size) == ("a", 3)
        case _:
            pytest.fail("does not match by position")


@pytest.mark.parametrize("cls", [Record, Standard])
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), (("a", 1, (), 4), {}), (("a",), {"name": "b"}), (("a",), {"other": 1})],
)
def test_wrong_arguments_are_refused(cls: Any, args: Any, kwargs: Any) -> None:
    with pytest.raises(TypeError):
        cls(*args, **kwargs)


@pytest.mark.parametrize("cls", [Record, Standard])
def test_frozen_and_checked(cls: Any) -> None:
    made = cls("a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.size = 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.size
    with pytest.raises(ValueError, match="below zero"):
        cls("a", -1)


def test_inheritance_and_cached_properties() -> None:
    long = Longer("a", 3, (), True)
    assert long.more
    assert long != Record("a")
    record = Record("a")
    assert record.double == 6
    assert record == Record("a")
    assert dataclasses.replace(record, size=4).double == 8


def test_keyword_fields_and_mixed_bases() -> None:
    @dataclass(frozen=True)
    class Named:
        places: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)
        name: str

    @dataclasses.dataclass(frozen=True)
    class Below(Named):
        size: int = 2

    @dataclass(frozen=True)
    class Again(Below):
        last: int = 7

    assert Named("a", places=(1,)).places == (1,)
    assert Below("a", 3).size == 3
    again = Again("a", 3, 8)
    assert (again.name, again.size, again.last, again.places) == ("a", 3, 8, ())
    for made in (Named("a"), Below("a"), again):
        with pytest.raises(dataclasses.FrozenInstanceError):
            made.name = "b"  # type: ignore[misc]


def test_identity_where_asked_for() -> None:
    @dataclass(frozen=True, eq=False)
    class Alone:
        size: int = 1

    assert Alone() != Alone()
    assert len({Alone(), Alone()}) == 2


@dataclass
class Counter:
    """A record that changes, with a field that its constructor does not take."""

    count: int
    origin: str = dataclasses.field(default="", compare=False, repr=False)
    seen: list[int] = dataclasses.field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.seen.append(self.count)


def test_records_that_change() -> None:
    one, two = Counter(1, origin="here"), Counter(1)
    assert one == two, "the origin is not compared"
    assert repr(one) == "Counter(count=1, seen=[1])"
    one.seen.append(2)
    assert two.seen == [1], "each has a list of its own"
    assert one != two
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
    one.count = 5
    assert one.count == 5


def test_a_subclass_without_fields_of_its_own_is_made_like_its_base() -> None:
    class Plain(Record):
        def __init__(self) -> None:
            super().__init__("plain", 1)

    made = [Plain(), Plain()]
    assert [record.name for record in made] == ["plain", "plain"]
    assert made[0] == made[1]
