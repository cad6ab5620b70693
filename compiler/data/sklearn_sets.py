"""The data sets that scikit-learn brings along."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, DataSource
from compiler.records import dataclass
from compiler.report.diagnostics import Fault, did_you_mean
from compiler.report.messages.data import unknown_set
from compiler.types.tensor import TensorType
from compiler.writing.python import write_string

NUMBER = TensorType.of("f32", ())
CLASS = TensorType.of("i64", ())


@dataclass(frozen=True)
class Facts:
    """What a set holds, written down so that a check need not import scikit-learn; a test
    compares it with scikit-learn. `classes` is empty where `targets` are numbers."""

    features: tuple[str, ...]
    classes: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    image: tuple[int, int] | None = None


SETS: Mapping[str, Facts] = {
    "digits": Facts((), tuple("0123456789"), image=(8, 8)),
    "iris": Facts(
        ("sepal_length", "sepal_width", "petal_length", "petal_width"),
        ("setosa", "versicolor", "virginica"),
    ),
    "wine": Facts(
        (
            "alcohol",
            "malic_acid",
            "ash",
            "alcalinity_of_ash",
            "magnesium",
            "total_phenols",
            "flavanoids",
            "nonflavanoid_phenols",
            "proanthocyanins",
            "color_intensity",
            "hue",
            "od280_od315_of_diluted_wines",
            "proline",
        ),
        ("class_0", "class_1", "class_2"),
    ),
    "breast_cancer": Facts(
        tuple(
            form.format(what)
            for form in ("mean_{}", "{}_error", "worst_{}")
            for what in (
                "radius",
                "texture",
                "perimeter",
                "area",
                "smoothness",
                "compactness",
                "concavity",
                "concave_points",
                "symmetry",
                "fractal_dimension",
            )
        ),
        ("malignant", "benign"),
    ),
    "diabetes": Facts(
        ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"), targets=("target",)
    ),
    "linnerud": Facts(("chins", "situps", "jumps"), targets=("weight", "waist", "pulse")),
}
DOWNLOADED = frozenset(
    [
        "20newsgroups",
        "20newsgroups_vectorized",
        "california_housing",
        "covtype",
        "kddcup99",
        "lfw_pairs",
        "lfw_people",
        "olivetti_faces",
        "openml",
        "rcv1",
        "species_distributions",
    ]
)
"""Sets that scikit-learn can only fetch over the network."""


@SOURCES.register
@final
@dataclass(frozen=True)
class SklearnSet(DataSource):
    """A data set that scikit-learn brings along; nothing is downloaded.

    `digits` has the columns `image: u8[8, 8]` and `label`. The tables `iris`, `wine`,
    `breast_cancer`, `diabetes` and `linnerud` have a column for each feature (`sepal_length`,
    spaces as `_`), `features` with all of them, and `label` with its classes, or the targets as
    numbers.

    - `set`: the name behind `sklearn.datasets.load_`.
    """

    name: ClassVar[str] = "sklearn"
    set: str

    def check(self) -> None:
        if self.set in SETS:
            return
        known = tuple(SETS)
        word = self.set.removeprefix("load_").removeprefix("fetch_")
        suggestion = word if word in SETS else did_you_mean(word, known)
        downloaded = word in DOWNLOADED
        raise Fault(
            lambda where: unknown_set(
                where.argument("set"), self.set, known, suggestion, downloaded=downloaded
            )
        )

    def schema(self, folder: Path) -> tuple[Column, ...]:
        facts = SETS[self.set]
        if facts.image is not None:
            columns = [Column("image", TensorType.of("u8", facts.image))]
        else:
            columns = [Column(name, NUMBER) for name in facts.features]
            columns.append(Column("features", TensorType.of("f32", (len(facts.features),))))
        if facts.classes:
            columns.append(Column("label", CLASS, categories=facts.classes))
        return (*columns, *(Column(name, NUMBER) for name in facts.targets))

    def facts(self, folder: Path) -> Mapping[str, int]:
        classes = SETS[self.set].classes
        return {"classes": len(classes)} if classes else {}

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        from sklearn import datasets

        facts = SETS[self.set]
        bunch = getattr(datasets, f"load_{self.set}")()
        if facts.image is not None:
            columns = {"image": bunch.images.astype(np.uint8)}
        else:
            columns = {"features": bunch.data.astype(np.float32)}
            for index, name in enumerate(facts.features):
                columns[name] = columns["features"][:, index]
        if facts.classes:
            columns["label"] = bunch.target.astype(np.int64)
        targets = bunch.target.reshape(len(bunch.target), -1).astype(np.float32)
        for index, name in enumerate(facts.targets):
            columns[name] = targets[:, index]
        return columns

    def imports(self) -> Sequence[str]:
        return [f"from sklearn.datasets import load_{self.set}"]

    def code(self, columns: Sequence[Column]) -> Sequence[str]:
        facts = SETS[self.set]
        wanted = [c.name for c in columns]
        lines = [f"bunch = load_{self.set}()"]
        if not facts.image and set(wanted) & {"features", *facts.features}:
            lines.append("features = bunch.data.astype(np.float32)")
        entries = [f"    {write_string(name)}: {self._expression(name)}," for name in wanted]
        return [*lines, "return {", *entries, "}"]

    def _expression(self, column: str) -> str:
        facts = SETS[self.set]
        if column == "image":
            return "bunch.images.astype(np.uint8)"
        if column == "label":
            return "bunch.target.astype(np.int64)"
        if column == "features":
            return "features"
        if column in facts.features:
            return f"features[:, {facts.features.index(column)}]"
        if len(facts.targets) == 1:
            return "bunch.target.astype(np.float32)"
        return f"bunch.target[:, {facts.targets.index(column)}].astype(np.float32)"


def plain_name(feature: str) -> str:
    """The column's name of a feature of scikit-learn: `sepal length (cm)` is `sepal_length`."""
    without_unit = re.sub(r" \(.*\)$", "", feature)
    return re.sub(r"\W+", "_", without_unit).lower()
