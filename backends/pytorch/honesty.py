"""Arguments that a class would honour only in part: other widths depend on them and are literals.

`features -> flatten -> dense(10)` after `conv(width)`: if the width that comes out of `flatten`
could not be written in terms of `width`, a class that took `width` would work for one value only.
"""

from __future__ import annotations

from backends.pytorch.dependence import Names, names_in
from backends.pytorch.merged import Class
from backends.pytorch.passing import find_stages
from backends.pytorch.terms import Part, variables
from backends.pytorch.widths import Widths

RATES = ("float", "float | None", "str")
"""Arguments that make no sizes, though the layers that take them may stand before one."""


def find_lying(target: Class, widths: Widths) -> set[str]:
    """Arguments that are the same in all instances and reach only some of the widths that
    depend on them: they must not be offered."""
    candidates = {
        setting.name
        for setting in target.settings
        if setting.dim is None and setting.constant and setting.annotation not in RATES
    }
    if not candidates:
        return set()
    found: set[str] = set()
    for item in target.items:
        for leaf in item.leaves():
            if leaf.solution is None and leaf.dim is not None and leaf.dim[0] == "in":
                _, index, axis = leaf.dim
                if index < len(item.refs):
                    found |= widths.dependence.of(item.refs[index], axis) & candidates
        for variant in item.variants:
            found |= _find_inside(widths, variant.constructor) & candidates
    return found


def _find_inside(widths: Widths, constructor: Part) -> Names:
    """Arguments that literals between the stages of a chain depend on."""
    found: set[str] = set()
    stages = find_stages(constructor)
    for place, stage in enumerate(stages):
        for leaf in variables(stage):
            if leaf.solution is None and leaf.dim is not None and leaf.dim[0] == "inner in":
                before = stages[:place]
                if widths.of_stages(before, leaf.dim[2], leaf.values) is None:
                    found.update(n for tree in before for n in names_in(tree))
    return frozenset(found)
