"""A teacher in the objective of a train: the net also learns to put out what another one does."""

from __future__ import annotations

from dataclasses import replace

from compiler.compression.attach import CallOfNet, find_calls
from compiler.compression.copying import GraphCopy, prefixed_parameters
from compiler.ir.authored import Alias, Decision
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph, Node, Op, Parameter, Value
from compiler.ops.arithmetic import Add, Div, Mul
from compiler.ops.class_losses import ClassLoss
from compiler.ops.creation import Constant
from compiler.ops.losses import Mse
from compiler.ops.softmax import Softmax
from compiler.passes.rewrite import Rewriter
from compiler.program.train import TrainedNet


def add_teacher(
    step: Graph, student: TrainedNet, teacher: TrainedNet, alpha: float, temperature: float
) -> Graph:
    """A step in which the teacher runs on what the student runs on.

    Every cross-entropy of scores that the student computed becomes, with T the temperature,

        (1 - alpha) * cross_entropy(scores, target)
            + alpha * T² * cross_entropy(scores / T, softmax(teacher's scores / T))

    (Hinton, Vinyals and Dean 2015, https://arxiv.org/abs/1503.02531; T² keeps the size of the
    gradients). Where the objective has none, it becomes (1 - alpha) * loss + alpha * the mean
    squared difference of the outputs, added up over outputs.
    """
    return _Teaching(step, student, teacher, alpha, temperature).run()


class _Teaching:
    """One run of `add_teacher`: the new step under construction."""

    def __init__(
        self,
        step: Graph,
        student: TrainedNet,
        teacher: TrainedNet,
        alpha: float,
        temperature: float,
    ) -> None:
        self.step = step
        self.student = student
        self.teacher = teacher
        self.alpha = alpha
        self.temperature = temperature
        self.calls = find_calls(step, student)
        self.inside = {id(node) for call in self.calls for node in call.nodes}
        parameters: tuple[Parameter, ...] = (*step.parameters, *prefixed_parameters(teacher))
        self.rewrite = Rewriter(replace(step, parameters=parameters))
        self.followed: dict[str, Value] = {}
        self.frames: dict[Frame, Frame] = {step.frame: step.frame}
        self.pairs: list[tuple[Value, Value]] = []
        self.aliases: list[Alias] = []
        self.decisions: list[Decision] = []
        self.taken = {i.name for i in step.inputs} | {p.path for p in parameters}
        self.taken |= {v.name for node in step.nodes for v in node.outputs}
        self.serial = max(f.call for n in step.nodes for f in n.scope.chain)

    def run(self) -> Graph:
        """The step with the teacher."""
        ends = {id(call.nodes[-1]): call for call in self.calls}
        mixed = False
        for node in self.step.nodes:
            soft = follow_shares(node.op)
            if soft is not None and self._follows(node):
                mixed = True
                self._mix(node, soft)
                continue
            self.rewrite.keep(node)
            if id(node) in ends:
                self._call_teacher(ends[id(node)])
        if not mixed:
            self._add_distance()
        graph = self.rewrite.graph()
        aliases, decisions = (*graph.aliases, *self.aliases), (*graph.decisions, *self.decisions)
        return replace(graph, aliases=aliases, decisions=decisions)

    # --- the teacher's side ---------------------------------------------------------------

    def _call_teacher(self, call: CallOfNet) -> None:
        """Applies the teacher to what a call of the student was given."""
        self.serial += 1
        path = self.teacher.prefix.removesuffix(".")
        frame = replace(call.frame, path=path, call=self.serial)
        inputs = self.teacher.net.graph.inputs
        arguments = {i.name: call.values[i.name] for i in inputs if i.name in call.values}
        copy = GraphCopy(self.teacher, frame, arguments, {}, self.taken, self.serial)
        for node in copy.nodes():
            self.rewrite.keep(node)
        self.serial = copy.serial
        self.aliases += copy.aliases()
        self.decisions += copy.decisions()
        outputs = {o.name: o.value for o in self.student.net.graph.outputs}
        for output in self.teacher.net.graph.outputs:
            own = call.values.get(outputs[output.name].name)
            if own is None or not own.type.dtype.is_float:
                continue
            followed = copy.value(output.value)
            self.followed[own.name] = followed
            self.pairs.append((own, followed))
            caller = frame.parent or self.step.frame
            self.aliases.append(Alias(caller, followed.name, f"teacher_{output.name}"))

    def _follows(self, node: Node) -> bool:
        """Whether the student's outputs reach the first input of a node."""
        first = node.inputs[0]
        return first is not None and self._reaches(first)

    def _reaches(self, value: Value) -> bool:
        if value.name in self.followed:
            return True
        node = self.step.producers.get(value.name)
        if node is None or id(node) in self.inside:
            return False
        return any(v is not None and self._reaches(v) for v in node.inputs)

    def _follow(self, value: Value) -> Value:
        """What the teacher has where the student has a value: the same expression on the
        teacher's outputs."""
        if value.name in self.followed:
            return self.followed[value.name]
        if not self._reaches(value):
            return self.rewrite.current(value)
        node = self.step.producers[value.name]
        inputs = [self._follow(v) if v is not None else None for v in node.inputs]
        like = replace(node, scope=self._follow_frame(node.scope))
        made = self.rewrite.apply(node.op, inputs, like)
        for own, followed in zip(node.outputs, made, strict=True):
            self.followed[own.name] = followed
        return self.followed[value.name]

    def _follow_frame(self, frame: Frame) -> Frame:
        """The frame of what the teacher has: of a block or another net, which is applied once
        more, a call of its own."""
        if frame not in self.frames:
            assert frame.parent is not None, "the step has one root"
            self.serial += 1
            call, parent = self.serial, self._follow_frame(frame.parent)
            tensors = tuple((formal, self._follow_name(name)) for formal, name in frame.tensors)
            self.frames[frame] = replace(frame, call=call, parent=parent, tensors=tensors)
        return self.frames[frame]

    def _follow_name(self, name: str) -> str:
        """What the teacher has where a call of the step was given a value of that name."""
        maker = self.step.producers.get(name)
        if maker is None:
            return name
        return self._follow(next(v for v in maker.outputs if v.name == name)).name

    # --- the objective --------------------------------------------------------------------

    def _mix(self, node: Node, distilling: ClassLoss) -> None:
        """The loss with the target, mixed with that with the teacher's shares."""
        scores = node.inputs[0]
        assert scores is not None
        like = _plain(node)
        soft_scores = self._divide(self.rewrite.current(scores), like)
        (soft,) = self.rewrite.apply(
            Softmax(distilling.axis), [self._divide(self._follow(scores), like)], like
        )
        (term,) = self.rewrite.apply(distilling, [soft_scores, soft], like)
        term = self._scale(term, self.alpha * self.temperature**2, like, "soft_loss")
        self._mix_with(node, term)

    def _mix_with(self, node: Node, term: Value) -> None:
        """Replaces the result of a node, which is kept, by its mixture with a term."""
        own, like = node.output, _plain(node)
        if self.alpha == 1:
            self.rewrite.replace(own, term)
            return
        inputs = [self.rewrite.current(v) if v is not None else None for v in node.inputs]
        (kept,) = self.rewrite.apply(node.op, inputs, node)
        rest = self._scale(kept, 1 - self.alpha, like)
        (mixed,) = self.rewrite.apply(Add(), [rest, term], like, [own.name])
        self.rewrite.replace(own, mixed)

    def _add_distance(self) -> None:
        """Mixes the loss with the distance between the outputs of student and teacher."""
        output = next(o for o in self.step.outputs if o.name == "loss")
        loss = self.rewrite.current(output.value)
        like = _plain(self.step.producers[output.value.name])
        like = replace(like, scope=self.step.frame)
        term: Value | None = None
        for own, followed in self.pairs:
            (distance,) = self.rewrite.apply(
                Mse(), [self.rewrite.current(own), followed, None, None], like
            )
            if term is not None:
                (distance,) = self.rewrite.apply(Add(), [term, distance], like)
            term = distance
        assert term is not None, "a net that is trained has an output that the loss reads"
        mixed = self._scale(term, self.alpha, like)
        if self.alpha < 1:
            rest = self._scale(loss, 1 - self.alpha, like)
            names = [self.rewrite.free_name("loss")]
            (mixed,) = self.rewrite.apply(Add(), [rest, mixed], like, names)
        self.rewrite.replace(output.value, mixed)

    def _divide(self, value: Value, like: Node) -> Value:
        """A value divided by the temperature."""
        if self.temperature == 1:
            return value
        divisor = self._write_number(self.temperature, value, like)
        return self.rewrite.apply(Div(), [value, divisor], like)[0]

    def _scale(self, value: Value, factor: float, like: Node, name: str = "") -> Value:
        """A value times a factor, under a name where one is wished."""
        if factor == 1:
            return value
        constant = self._write_number(factor, value, like)
        names = [self.rewrite.free_name(name)] if name else []
        return self.rewrite.apply(Mul(), [constant, value], like, names)[0]

    def _write_number(self, number: float, beside: Value, like: Node) -> Value:
        plain = int(number) if number == int(number) else round(number, 12)
        return self.rewrite.apply(Constant(plain, beside.type.dtype), [], like)[0]


def follow_shares(op: Op) -> ClassLoss | None:
    """The loss of the same scores with a teacher's shares of the classes; None of every op that
    is no such loss."""
    return op.of_shares() if isinstance(op, ClassLoss) else None


def _plain(node: Node) -> Node:
    """A node whose place new nodes may take: without the hints of its own fields."""
    return replace(node, origin=Site(node.origin.span, guard=node.origin.guard))
