"""Deploy items: which net goes into a file, with which sizes, labels, outputs and preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from compiler.compression.given import add_computed
from compiler.data.class_names import ClassNames
from compiler.data.joined import qualify
from compiler.elaborate.bodies.code_clauses import read_operands
from compiler.elaborate.items.class_words import Classes, find_classes
from compiler.elaborate.items.item_elaborator import ItemElaborator
from compiler.elaborate.items.operands import read_single, read_texts, read_whole
from compiler.elaborate.items.preprocess import find_settled, put_before
from compiler.elaborate.items.references import find_head, find_item, read_path
from compiler.elaborate.items.sizes import refuse_twice
from compiler.elaborate.items.subjects import Subject, Subjects, find_subject
from compiler.elaborate.scopes.context import Body, FileScope, malformed
from compiler.elaborate.values.arithmetic import whole
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import Known, Poison
from compiler.ir.evaluate import expand
from compiler.ir.graph import Graph, Node
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.program.data import DataSet
from compiler.program.deploy import NEWEST_OPSET, OLDEST_OPSET, Deploy
from compiler.program.joining import find_owner
from compiler.report.diagnostics import CompileError
from compiler.report.messages.deployments import (
    dim_both_ways,
    dimension_without_size,
    fixed_against_data,
    fixed_against_target,
    input_of_another_net,
    label_count,
    label_order,
    opset_out_of_range,
    unknown_dim,
    unknown_output,
)
from compiler.report.messages.items import setting_range
from compiler.report.messages.lowering import input_and_output, no_operator
from compiler.report.messages.several_data import (
    inputs_of_several_data,
    preprocess_of_other_data,
)
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.rows.windowing import take_windows
from compiler.text.tree.syntax import Clause, Declare, Name, Reference
from compiler.text.tree.syntax import Data as DataItem
from compiler.text.tree.syntax import Deploy as DeployItem
from compiler.vocabulary.clauses import DEPLOY
from compiler.writing.names import free_name

LABEL, PROBABILITIES = "label", "probabilities"
"""What the outputs are called that name classes, where nothing else has these names."""


def find_unexported(graph: Graph) -> Node | None:
    """The first layer that ONNX has no operator for, in the graph or the body of a loop."""
    for node in graph.nodes:
        if not node.op.exported:
            return node
        for body in node.op.bodies:
            found = find_unexported(body)
            if found is not None:
                return found
    return None


class DeployElaborator(ItemElaborator):
    """The elaboration of one deploy item."""

    home = DEPLOY

    def __init__(
        self,
        scope: FileScope,
        item: DeployItem,
        subjects: Subjects,
        open_data: Callable[[FileScope, DataItem, Reference], DataSet | None],
        deployed: set[str],
    ) -> None:
        super().__init__(scope)
        self.item = item
        self.subjects = subjects
        self.open_data = open_data
        self.deployed = deployed  # the variants of the deployments before
        self.dynamic: list[Name] | None = None
        self.dynamic_span: Span | None = None
        self.fixed: list[tuple[Name, int]] = []
        self.labels: tuple[tuple[str, ...], Span] | None = None
        self.outputs: list[Name] = []
        self.preprocess: tuple[DataSet, Span] | None = None
        self.settled: Mapping[str, int] = {}  # sizes of the net that it settles
        self.verify = True
        self.body = Body(scope.session, scope, None, None, self.table)

    def run(self) -> Deploy | None:
        """The deployment, under the name of its subject; None where something was refused, which
        is reported."""
        before = self.scope.session.faults
        subject = find_subject(self.subjects, self.item)
        self.body.execute(self.item.body)
        if subject is None:
            return None
        first = subject.variant is None or subject.variant.name not in self.deployed
        if subject.variant is not None:
            self.deployed.add(subject.variant.name)
        graph = self.choose_outputs(subject.graph)
        columns = subject.columns
        if self.preprocess is not None and graph is not None:
            found = self.compute_inputs(subject)
            if found is None:
                return None
            columns = found
            data, span = self.preprocess
            self.settled = find_settled(data, graph, columns)
            graph = put_before(self.body, data, graph, columns, span)
        if graph is None:
            return None
        self.check_operators(graph)
        self.check_names(graph)
        self.check_dims(graph)
        self.check_fixed(subject, measured=first)
        classes = self.find_classes(graph, subject)
        self.check_labels(graph, classes)
        if self.scope.session.faults > before:
            return None
        return Deploy(
            self.name_subject(subject),
            self.item.target.path[-1].text,
            graph,
            subject.net,
            subject.train,
            self.item.subject.span,
            subject.variant.name if subject.variant is not None else None,
            columns,
            subject.trained,
            self.name_classes(graph, classes),
            dynamic=None if self.dynamic is None else tuple(n.text for n in self.dynamic),
            fixed=tuple((n.text, size) for n, size in self.fixed if n.text not in self.settled),
            labels=self.choose_labels(graph, classes),
            outputs=tuple(n.text for n in self.outputs),
            preprocess=self.preprocess[0] if self.preprocess is not None else None,
            verify=self.verify,
            **self.settings,
        )

    def name_subject(self, subject: Subject) -> str:
        """`fit`, `vae.decoder`; a train with arguments has a name of its own."""
        head = find_head(self.scope, self.item.subject)
        first, *others = (part.text for part in self.item.subject.path[len(head.path) - 1 :])
        return ".".join([subject.train or first, *others])

    def compute_inputs(self, subject: Subject) -> Mapping[str, str] | None:
        """Makes columns of what the train computes for inputs; the column of each input. None
        where another net computes one, which is reported."""
        assert self.preprocess is not None
        data, span = self.preprocess
        part, columns = subject.computed, subject.columns
        owner = self.find_owner(subject, data, span)
        if owner is None:
            return None
        columns = {name: column.removeprefix(owner) for name, column in columns.items()}
        if part is None:
            return columns
        if part.parameters:
            weight = part.parameters[0].path
            self.body.report(input_of_another_net(span, part.outputs[0].name, weight))
            return None
        data, names = add_computed(data, part, owner)
        self.preprocess = (data, span)
        return {**columns, **names}

    def find_owner(self, subject: Subject, data: DataSet, span: Span) -> str | None:
        """What the names of the columns begin with that the net was given, where its train has
        several data sets; None where these do not go with the data, which is reported."""
        train = self.subjects.trains.get(subject.source)
        if train is None or not train.data.members:
            return ""
        known = tuple(member.name for member in train.data.members)
        if data.name not in known:
            self.body.report(preprocess_of_other_data(span, data.name, train.name, known))
            return None
        computed = subject.computed.inputs if subject.computed is not None else ()
        read = (*subject.columns.values(), *(item.name for item in computed))
        owners = dict.fromkeys(find_owner(train.data, column).name for column in read)
        if len(owners) > 1:
            self.body.report(inputs_of_several_data(span, train.name, tuple(owners)))
            return None
        return qualify(next(iter(owners), data.name), "")

    # --- clauses ----------------------------------------------------------------------------

    def take_dynamic(self, body: Body, clause: Clause) -> None:
        """`dynamic batch, t`."""
        self.dynamic = self.read_names(body, clause, "the name of a size")
        self.dynamic_span = clause.span

    def take_outputs(self, body: Body, clause: Clause) -> None:
        """`outputs a, b`."""
        self.outputs = self.read_names(body, clause, "the name of an output")

    def read_names(self, body: Body, clause: Clause, what: str) -> list[Name]:
        """Operands that are bare words."""
        names = []
        for operand in read_operands(body, clause):
            if operand.name is None and isinstance(operand.value, Name):
                names.append(operand.value)
            else:
                malformed(body, clause, operand.span, f"{what} belongs here")
        return names

    def take_fix(self, body: Body, clause: Clause) -> None:
        """`fix h=224, w=224`."""
        for operand in read_operands(body, clause):
            if operand.name is None or isinstance(operand.value, Declare):
                malformed(body, clause, operand.span, "a size gets a number: `h=224`")
                continue
            value = body.evaluate(operand.value)
            size = whole(value) if isinstance(value, Known) else None
            if not isinstance(size, int):
                if not isinstance(value, Poison):
                    found = describe(value)
                    malformed(
                        body, clause, operand.value.span, f"a size is a whole number, not {found}"
                    )
            elif size < 1:
                name = operand.name.text
                span = operand.value.span
                body.report(setting_range(span, "fix", name, str(size), "1 or above"))
            else:
                self.fixed.append((operand.name, size))

    def take_opset(self, body: Body, clause: Clause) -> None:
        """`opset 21`."""
        number = read_whole(body, clause, 1)
        if number is not None and not OLDEST_OPSET <= number <= NEWEST_OPSET:
            span = clause.operands[0].span
            body.report(opset_out_of_range(span, number, OLDEST_OPSET, NEWEST_OPSET))
        if number is not None:
            self.settings["opset"] = number

    def take_labels(self, body: Body, clause: Clause) -> None:
        """`labels ["no", "yes"]`."""
        expression = read_single(body, clause)
        value = body.evaluate(expression) if expression is not None else None
        if expression is None or value is None or isinstance(value, Poison):
            return
        texts = read_texts(value)
        if texts is None or isinstance(value, Known):
            found = describe(value)
            malformed(body, clause, expression.span, f"a list of strings, not {found}")
            return
        self.labels = (texts, expression.span)

    def take_verify(self, body: Body, clause: Clause) -> None:
        """`verify off`."""
        names = self.read_names(body, clause, "`off`")
        if [name.text for name in names] == ["off"]:
            self.verify = False
        elif names:
            found = ", ".join(name.text for name in names)
            malformed(body, clause, names[0].span, f"`off` belongs here, not `{found}`")

    def take_preprocess(self, body: Body, clause: Clause) -> None:
        """`preprocess digits`."""
        operands = read_operands(body, clause)
        path = read_path(operands[0].value) if len(operands) == 1 else None
        if path is None or operands[0].name is not None:
            malformed(body, clause, clause.span, "the name of a data item belongs here")
            return
        span = path[0].span.to(path[-1].span)
        reference = Reference(span, path, None)
        found = find_item(self.scope, reference, DataItem, "data set")
        data = self.open_data(found[0], found[1], reference) if found is not None else None
        if data is not None:
            self.preprocess = (take_windows(data), span)

    # --- checks -----------------------------------------------------------------------------

    def choose_outputs(self, graph: Graph) -> Graph | None:
        """The graph with the outputs that are kept."""
        if not self.outputs:
            return graph
        outputs = {o.name: o for o in graph.outputs}
        for name in self.outputs:
            if name.text not in outputs:
                known = tuple(outputs)
                near = did_you_mean(name.text, known)
                self.body.report(unknown_output(name.span, name.text, known, near))
                return None
        kept = tuple(outputs[n.text] for n in self.outputs)
        return DeadCode().run(replace(graph, outputs=kept), Context())

    def check_operators(self, graph: Graph) -> None:
        """Whether ONNX has an operator for every layer, also those of loops, and a derivative can
        be written with them."""
        try:
            graph = expand(graph)
        except CompileError as error:
            for message in error.messages:
                self.body.report(message)
            return
        node = find_unexported(graph)
        if node is not None:
            span, used = self.item.subject.span, node.origin.span
            self.body.report(no_operator(span, node.op.name, used))

    def check_names(self, graph: Graph) -> None:
        """Whether outputs have other names than inputs."""
        inputs = {item.name for item in graph.inputs}
        for output in graph.outputs:
            if output.name in inputs:
                span = self.item.subject.span
                self.body.report(input_and_output(span, output.name, output.origin))

    def check_dims(self, graph: Graph) -> None:
        """Whether the sizes that clauses name are open in the net."""
        fixed = {n.text for n, _ in self.fixed}
        for name in (*(self.dynamic or ()), *(n for n, _ in self.fixed)):
            if name.text not in (*graph.symbols, *self.settled):
                near = did_you_mean(name.text, graph.symbols)
                self.body.report(unknown_dim(name.span, name.text, graph.symbols, near))
        for name in self.dynamic or ():
            if name.text in fixed or name.text in self.settled:
                size = self.settled.get(name.text)
                self.body.report(dim_both_ways(name.span, name.text, size))
        refuse_twice([name for name, _ in self.fixed], self.body.report)
        named = ({n.text for n in self.dynamic or ()} | fixed) - self.settled.keys()
        missing = tuple(name for name in graph.symbols if name not in named)
        if self.dynamic is not None and missing and named <= set(graph.symbols):
            self.body.report(dimension_without_size(self.dynamic_span, missing))

    def check_fixed(self, subject: Subject, *, measured: bool) -> None:
        """Whether fixed sizes are those of the data, and of the target of the variant, where this
        is the file that is measured: that of its first deployment."""
        variant = subject.variant if measured else None
        aimed = dict(variant.target.sizes) if variant is not None else {}
        for name, size in self.fixed:
            given = self.settled.get(name.text, subject.sizes.get(name.text, size))
            if given != size:
                message = fixed_against_data(name.span, name.text, size, given, subject.source)
                self.body.report(message)
            elif variant is not None and aimed.get(name.text, size) != size:
                other = aimed[name.text]
                fault = fixed_against_target(name.span, name.text, size, other, variant.name)
                self.body.report(fault)

    # --- classes ----------------------------------------------------------------------------

    def find_classes(self, graph: Graph, subject: Subject) -> Classes | None:
        """What the train of the subject tells of the classes of the first output."""
        if subject.made_by is None or not graph.outputs:
            return None
        return find_classes(subject.made_by, subject.trained, graph.outputs[0].name)

    def choose_labels(self, graph: Graph, classes: Classes | None) -> tuple[str, ...]:
        """The names of the classes: those that the spec has, or the words of the column that the
        train held them against."""
        if self.labels is not None:
            return self.labels[0]
        words = classes.words.words if classes is not None and classes.words is not None else ()
        return words if len(words) == _count_classes(graph, classes) else ()

    def name_classes(self, graph: Graph, classes: Classes | None) -> ClassNames | None:
        """The outputs of the file that name its classes; None where these have no names."""
        scores, labels = graph.outputs[0], self.choose_labels(graph, classes)
        if not labels or not scores.value.type.rank or not scores.value.type.dtype.is_float:
            return None
        taken = {item.name for item in graph.inputs} | {output.name for output in graph.outputs}
        taken |= graph.parameter.keys()
        label = free_name(LABEL, taken, "_")
        shares = free_name(PROBABILITIES, {*taken, label}, "_")
        logits = classes is not None and classes.logits
        axis = classes.axis if classes is not None else scores.value.type.rank - 1
        return ClassNames(scores.name, axis, label, shares if logits else "")

    def check_labels(self, graph: Graph, classes: Classes | None) -> None:
        """Whether there is a label for each class, and each stands where its class does."""
        if self.labels is None:
            return
        texts, span = self.labels
        output, count = graph.outputs[0], _count_classes(graph, classes)
        if count is not None and count != len(texts):
            type_ = str(output.value.type)
            self.body.report(label_count(span, len(texts), output.name, type_, count))
            return
        known = classes.words if classes is not None else None
        if known is not None and texts != known.words and sorted(texts) == sorted(known.words):
            self.body.report(label_order(span, known.column, texts, known.words))


def _count_classes(graph: Graph, classes: Classes | None) -> int | None:
    """How many classes the first output has scores for; None where that is open."""
    shape = graph.outputs[0].value.type.shape
    return shape[classes.axis if classes is not None else -1].known if shape else None
