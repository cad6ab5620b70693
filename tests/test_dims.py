"""Dims: arithmetic agrees with numbers, equal polynomials are equal dims, bounds hold."""

from __future__ import annotations

import pickle
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.types.dims import Dim, DimError, at_most, bounds, equal, product

NAMES = ("h", "w", "batch")
SIZES = st.fixed_dictionaries({name: st.integers(1, 40) for name in NAMES})
SMALL = st.integers(-6, 6)
LEAVES = st.one_of(st.sampled_from(NAMES).map(Dim.of), SMALL.map(Dim.of))
LAWS = settings(max_examples=150, deadline=None, derandomize=True)


def add_and_multiply(inner: st.SearchStrategy[Dim]) -> st.SearchStrategy[Dim]:
    pair = st.tuples(inner, inner)
    return st.one_of(
        pair.map(lambda p: p[0] + p[1]),
        pair.map(lambda p: p[0] - p[1]),
        pair.map(lambda p: p[0] * p[1]),
    )


def combine(inner: st.SearchStrategy[Dim]) -> st.SearchStrategy[Dim]:
    return st.one_of(
        add_and_multiply(inner),
        st.tuples(inner, st.sampled_from((2, 3, 4, -2))).map(lambda p: p[0] // p[1]),
        st.tuples(inner, st.sampled_from(NAMES)).map(lambda p: p[0] // Dim.of(p[1])),
    )


DIMS = st.recursive(LEAVES, combine, max_leaves=6)
POLYNOMIALS = st.recursive(LEAVES, add_and_multiply, max_leaves=6)


@LAWS
@given(DIMS, DIMS, SIZES)
def test_arithmetic_is_that_of_numbers(a: Dim, b: Dim, sizes: Mapping[str, int]) -> None:
    x, y = a.evaluate(sizes), b.evaluate(sizes)
    assert (a + b).evaluate(sizes) == x + y
    assert (a - b).evaluate(sizes) == x - y
    assert (a * b).evaluate(sizes) == x * y
    assert (-a).evaluate(sizes) == -x
    assert (a**2).evaluate(sizes) == x**2
    if y:
        assert (a // b).evaluate(sizes) == x // y
        assert (a % b).evaluate(sizes) == x % y


@LAWS
@given(DIMS, DIMS, DIMS)
def test_equal_polynomials_are_equal_dims(a: Dim, b: Dim, c: Dim) -> None:
    assert a + b == b + a
    assert hash(a + b) == hash(b + a)
    assert (a + b) * c == a * c + b * c
    assert a - a == 0
    assert a * 1 == a
    assert (a + b) + c == a + (b + c)
    assert str(a * b) == str(b * a)


@LAWS
@given(DIMS, DIMS)
def test_a_product_divides_by_its_factors(a: Dim, b: Dim) -> None:
    if b == 0:
        with pytest.raises(DimError):
            a / b
    else:
        assert a * b / b == a
        assert a * b // b == a
        assert a * b % b == 0


@LAWS
@given(POLYNOMIALS, st.integers(1, 5), st.integers(1, 5))
def test_quotients_are_in_canonical_form(a: Dim, m: int, n: int) -> None:
    assert a // m // n == a // (m * n)
    assert a * n // (m * n) == a // m
    assert (a + m * n) // m == a // m + n
    assert a // 1 == a


@LAWS
@given(DIMS, SIZES)
def test_bounds_hold(a: Dim, sizes: Mapping[str, int]) -> None:
    low, high = bounds(a)
    value = a.evaluate(sizes)
    assert low is None or low <= value
    assert high is None or value <= high


@LAWS
@given(DIMS, DIMS, SIZES)
def test_what_is_decided_holds(a: Dim, b: Dim, sizes: Mapping[str, int]) -> None:
    x, y = a.evaluate(sizes), b.evaluate(sizes)
    assert equal(a, b) in (None, x == y)
    assert at_most(a, b) in (None, x <= y)


@LAWS
@given(DIMS, SIZES, DIMS)
def test_substitution_is_evaluation(a: Dim, sizes: Mapping[str, int], b: Dim) -> None:
    assert a.substitute(sizes) == a.evaluate(sizes)
    value = b.evaluate(sizes)
    inner = {**sizes, "h": value}
    try:
        replaced = a.substitute({"h": b})
    except DimError:
        return  # b is 0, and a divides by it
    try:
        expected = a.evaluate(inner)
    except ZeroDivisionError:
        return
    assert replaced.evaluate(sizes) == expected


@LAWS
@given(DIMS)
def test_dims_survive_pickling(a: Dim) -> None:
    again = pickle.loads(pickle.dumps(a))
    assert again == a
    assert hash(again) == hash(a)


def test_dims_compare_with_ints() -> None:
    h = Dim.of("h")
    assert Dim.of(3) == 3
    assert hash(Dim.of(3)) == hash(3)
    assert h != 3
    assert {Dim.of(3): "three"}[3] == "three"  # type: ignore[index]
    assert product(()) == 1
    assert product((2, h, h)) == 2 * h**2


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (24 - Dim.of("p"), "24 - p"),
        (-Dim.of("p") - 2, "-p - 2"),
        (Dim.of("h") // 2, "h // 2"),
        ((Dim.of("h") + 5) // 2 + 1, "(h + 1) // 2 + 3"),
        (Dim.of("h") * Dim.of("w") - Dim.of("h"), "h * w - h"),
        (Dim.of("h") * 3 // 2, "h + h // 2"),
        (2 * (Dim.of("h") // 3), "2 * (h // 3)"),
        (Dim.of("h") // Dim.of("w"), "h // w"),
        (Dim.of("h") - Dim.of("h"), "0"),
        (-Dim.of("h"), "-h"),
    ],
)
def test_dims_print_as_they_are_written(dim: Dim, text: str) -> None:
    assert str(dim) == text


@pytest.mark.parametrize(
    ("left", "right", "decided"),
    [
        ("h // 2", "h", True),
        ("h - h // 2", "h", True),
        ("h", "h * w", True),
        ("h * w", "h", None),
        ("h", "2 * (h // 2)", None),
        ("2 * (h // 2)", "h", True),
        ("h + 1", "h", False),
        ("(h - 1) // 2 + 1", "h", True),
        ("3", "h", None),
        ("0", "h * w - h", True),
    ],
)
def test_order_is_decided_where_it_is_certain(left: str, right: str, decided: bool | None) -> None:
    names = {"h": Dim.of("h"), "w": Dim.of("w")}
    assert at_most(*(Dim.of(eval(text, {}, names)) for text in (left, right))) is decided


def test_division_must_be_provably_whole() -> None:
    h = Dim.of("h")
    assert (32 * h) / 8 == 4 * h
    with pytest.raises(DimError, match=r"h / 2 is not provably whole"):
        h / 2
    with pytest.raises(DimError):
        h // 0
    with pytest.raises(DimError):
        h**-1


@pytest.mark.parametrize(
    ("numerator", "denominator", "text"),
    [
        (Dim.of("n") - Dim.of("p"), Dim.of("p"), "n // p - 1"),
        (Dim.of("n") * 3 + Dim.of("p") * 2, Dim.of("p"), "3 * n // p + 2"),
        (Dim.of("n") * Dim.of("p"), Dim.of("p") * Dim.of("k"), "n // k"),
        ((Dim.of("n") // Dim.of("p")), Dim.of("k"), "n // (k * p)"),
    ],
)
def test_quotients_by_sizes_are_brought_to_one_form(
    numerator: Dim, denominator: Dim, text: str
) -> None:
    found = numerator // denominator
    assert str(found).replace("(", "").replace(")", "") == text.replace("(", "").replace(")", "")
    for n in range(1, 30):
        for p, k in ((1, 2), (3, 1), (4, 5)):
            sizes = {"n": n, "p": p, "k": k}
            assert found.evaluate(sizes) == numerator.evaluate(sizes) // denominator.evaluate(sizes)
