"""Whether what a build makes fits into memory, which is asked before any work."""

from __future__ import annotations

from backends.verification.cases import need_memory
from compiler.ir.memory import need_weights
from weft.building.plan import Plan


def refuse_large(plan: Plan) -> None:
    """Refuses a build of nets that are too large to be trained, verified or measured here.

    Raises:
        CompileError: weights, or tensors at the sizes of `fix` and `target`, do not fit.
    """
    for train in plan.trains:
        need_weights(train.step)
    deployed = {deploy.variant for deploy in plan.deploys}
    for variant in plan.variants:
        need_memory(variant.graph, {}, verified=variant.name not in deployed)
        need_memory(variant.graph, dict(variant.target.sizes), verified=False)
    for deploy in plan.deploys:
        need_memory(deploy.graph, dict(deploy.fixed), verified=deploy.verify)
