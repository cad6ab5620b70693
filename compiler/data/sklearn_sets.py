"""The data sets that scikit-learn brings along."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, DataSource, LoadingCode
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.data import unknown_set
from compiler.report.suggestions import did_you_mean
from compiler.types.tensor import TensorType

NUMBER = TensorType.of("f32", ())
CLASS = TensorType.of("i64", ())


@dataclass(frozen=True)
class SetDescription:
    """What a set holds, written down so that a check need not import scikit-learn; a test
    compares it with scikit-learn. `classes` is empty where `targets` are numbers."""

    features: tuple[str, ...]
    classes: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    image: tuple[int, int] | None = None


SETS: Mapping[str, SetDescription] = {
    "digits": SetDescription((), tuple("0123456789"), image=(8, 8)),
    "iris": SetDescription(
        ("sepal_length", "sepal_width", "petal_length", "petal_width"),
        ("setosa", "versicolor", "virginica"),
    ),
    "wine": SetDescription(
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
    "breast_cancer": SetDescription(
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
    "diabetes": SetDescription(
        ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"), targets=("target",)
    ),
    "linnerud": SetDescription(("chins", "situps", "jumps"), targets=("weight", "waist", "pulse")),
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

    Example: `source sklearn("iris")`, `inputs = features -> standardize`
    Source: https://scikit-learn.org/stable/datasets/toy_dataset.html
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
        description = SETS[self.set]
        if description.image is not None:
            columns = [Column("image", TensorType.of("u8", description.image))]
        else:
            columns = [Column(name, NUMBER) for name in description.features]
            columns.append(Column("features", TensorType.of("f32", (len(description.features),))))
        if description.classes:
            columns.append(Column("label", CLASS, categories=description.classes))
        return (*columns, *(Column(name, NUMBER) for name in description.targets))

    def attributes(self, folder: Path) -> Mapping[str, int]:
        classes = SETS[self.set].classes
        return {"classes": len(classes)} if classes else {}

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        from sklearn import datasets

        description = SETS[self.set]
        bunch = getattr(datasets, f"load_{self.set}")()
        if description.image is not None:
            columns = {"image": bunch.images.astype(np.uint8)}
        else:
            columns = {"features": bunch.data.astype(np.float32)}
            for index, name in enumerate(description.features):
                columns[name] = columns["features"][:, index]
        if description.classes:
            columns["label"] = bunch.target.astype(np.int64)
        targets = bunch.target.reshape(len(bunch.target), -1).astype(np.float32)
        for index, name in enumerate(description.targets):
            columns[name] = targets[:, index]
        return columns

    def imports(self) -> Sequence[str]:
        return [f"from sklearn.datasets import load_{self.set}"]

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        description = SETS[self.set]
        wanted = [c.name for c in columns]
        lines = [f"bunch = load_{self.set}()"]
        if not description.image and set(wanted) & {"features", *description.features}:
            lines.append("table = bunch.data.astype(np.float32)")
        return LoadingCode(lines, {name: self._expression(name) for name in wanted})

    def _expression(self, column: str) -> str:
        description = SETS[self.set]
        if column == "image":
            return "bunch.images.astype(np.uint8)"
        if column == "label":
            return "bunch.target.astype(np.int64)"
        if column == "features":
            return "table"
        if column in description.features:
            return f"table[:, {description.features.index(column)}]"
        if len(description.targets) == 1:
            return "bunch.target.astype(np.float32)"
        return f"bunch.target[:, {description.targets.index(column)}].astype(np.float32)"


def plain_name(feature: str) -> str:
    """The column's name of a feature of scikit-learn: `sepal length (cm)` is `sepal_length`."""
    without_unit = re.sub(r" \(.*\)$", "", feature)
    return re.sub(r"\W+", "_", without_unit).lower()
