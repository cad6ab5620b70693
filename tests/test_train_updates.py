"""`buffer` and `update` in a train: state of a training that no optimizer touches."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from backends.pytorch.run.running import read_metrics
from compiler.driver import check
from compiler.report.diagnostics import Sink
from tests.test_train_steps import import_script
from tests.train_scripts import (
    DINO,
    MOCO,
    VIEWS,
    assert_two_processes_agree,
    check_equal,
    kill_after,
    lint,
    load_state,
    run,
    save_data,
    share,
    write,
    write_shared,
)

SINGLE = f"""{VIEWS}
train fit of Net(k=3) on iris {{
    buffer keys: f32[3] = zeros
    buffer h: f32[3, 3] = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    buffer train: f32[] = 1
    buffer rows: i64[] = zeros
    buffer large: bool[3] = zeros
    minimize cross_entropy(code - keys, label) + 0 * train with adamw(lr=1e-2)
    update keys = 0.9 * keys + 0.1 * max(code, axis=0)
    update h = transpose(h, 0, 1)
    update train = 0.9 * train + 0.1 * cross_entropy(code - keys, label)
    update rows = rows + batch + sum(label)
    update large = mean(code, axis=0) > 0
    metric accuracy = accuracy(code - keys, label)
    metric seen = cast(rows, f32), better="higher"
    sample table = code + h[0:1]
    batch 24  epochs 2  seed 0  clip 1.0
}}
"""
"""One net, and buffers with names of its attributes and of dictionaries."""
GAN = f"""{VIEWS}
train fit on iris {{
    net g = Net(k=4)
    net d = Net(k=1)
    buffer seen: f32[4] = zeros
    buffer gap: f32[] = zeros
    buffer turns: i64[] = zeros
    fake = g(normal_like(x))
    step critic {{
        real, made = (d(x), d(fake -> detach))
        minimize mean(softplus(-real)) + mean(softplus(made)) over d with adam(lr=1e-3)
        update gap = 0.9 * gap + 0.1 * (mean(real) - mean(made))
    }}
    step maker, every=2steps {{
        minimize mean(softplus(-d(fake))) + 0 * gap over g with adam(lr=1e-3)
        update turns = turns + 1
        update gap = 0.5 * gap
    }}
    update seen = 0.9 * seen + 0.1 * mean(g(0.1 * x), axis=0)
    metric distance = gap, better="lower"
    batch 24  epochs 3  seed 0
}}
"""
"""Updates of steps that take turns, and beside them."""


def begin(folder: Path, seed: int, *names: str) -> tuple[list[nn.Module], Tensor]:
    """Nets as the script makes them, the later ones copies of the first, and the training rows."""
    model, script = import_script(folder, "model"), import_script(folder, "train")
    torch.manual_seed(seed)
    first = model.Net()
    nets = [first, *(model.Net() for _ in names[1:])]
    for net in nets:
        net.load_state_dict(first.state_dict())
    return nets, script.load_splits(folder, "cpu")["train"][0]


def follow(average: nn.Module, net: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for own, value in zip(average.parameters(), net.parameters(), strict=True):
            own.copy_(decay * own + (1 - decay) * value)


def batch_of(x: Tensor, seed: int, step: int) -> Tensor:
    epoch, place = 1 + step // 4, step % 4
    order = np.random.default_rng([seed, epoch]).permutation(96)[24 * place : 24 * place + 24]
    return x[order]


def check_state(folder: Path, **expected: Tensor) -> None:
    state = load_state(folder / "out")["model"]
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value, rtol=1e-5, atol=1e-6, msg=name)


def train(spec: str, folder: Path) -> Path:
    write(spec, folder)
    lint(folder)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_centre_is_that_of_a_loop_by_hand(tmp_path: Path) -> None:
    folder = train(DINO, tmp_path)
    (student, teacher), x = begin(folder, 3, "student", "teacher")
    optimizer = torch.optim.SGD(student.parameters(), lr=0.3)
    center = torch.full((1, 6), 0.1)
    for step in range(20):
        views = [batch_of(x, 3, step), 2 * batch_of(x, 3, step)]
        with torch.no_grad():
            t = [teacher(v) for v in views]
        target = [((y - center) / 0.2).softmax(-1) for y in t]
        s = [student(v) / 0.5 for v in views]
        loss = 0.5 * (
            nn.functional.cross_entropy(s[0], target[1])
            + nn.functional.cross_entropy(s[1], target[0])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        follow(teacher, student, 0.9)
        center = 0.9 * center + 0.1 * torch.cat(t).mean(0, keepdim=True)
    check_state(
        folder, center=center, **{f"student.{k}": v for k, v in student.state_dict().items()}
    )


def test_a_queue_is_that_of_a_loop_by_hand(tmp_path: Path) -> None:
    folder = train(MOCO, tmp_path)
    (query, key), x = begin(folder, 2, "query", "key")
    torch.manual_seed(2)
    import_script(folder, "model").Net()  # what is drawn before the queue
    queue = nn.init.normal_(torch.empty(64, 6), std=0.3)
    optimizer = torch.optim.SGD(query.parameters(), lr=0.1)
    for step in range(20):
        if step % 4 == 0:
            draws = torch.Generator().manual_seed(2 + 1000 * (1 + step // 4) + 500)
        rows = batch_of(x, 2, step)
        with torch.no_grad():
            k = key(rows + 0.1 * torch.randn(24, 4, generator=draws))
        q = query(rows)
        scores = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], dim=1) / 0.2
        loss = nn.functional.cross_entropy(scores, torch.zeros(24, dtype=torch.int64))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        follow(key, query, 0.9)
        queue = torch.cat([k, queue])[:64]
    pointer = torch.tensor((5 + 20 * 24) % 64)
    check_state(folder, queue=queue, pointer=pointer, **{"query.dense.weight": query.dense.weight})
    best = load_file(folder / "out" / "best.safetensors")
    assert best["pointer"].dtype == torch.int64
    assert best["queue"].shape == (64, 6)


def test_buffers_of_a_single_net_have_any_names(tmp_path: Path) -> None:
    folder = train(SINGLE, tmp_path)
    model, script = import_script(folder, "model"), import_script(folder, "train")
    columns = script.load_splits(folder, "cpu")["train"]
    x, label = columns if columns[0].ndim == 2 else columns[::-1]
    torch.manual_seed(0)
    net = model.Net(k=3)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    keys, h, mean, rows = torch.zeros(3), torch.arange(1.0, 10).view(3, 3), torch.ones(()), 0
    for step in range(8):
        order = np.random.default_rng([0, 1 + step // 4]).permutation(96)
        chosen = order[24 * (step % 4) : 24 * (step % 4) + 24]
        code = net(x[chosen])
        loss = nn.functional.cross_entropy(code - keys, label[chosen])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        code = code.detach()
        keys = 0.9 * keys + 0.1 * code.amax(0)
        h = h.T
        mean = 0.9 * mean + 0.1 * nn.functional.cross_entropy(code - keys, label[chosen])
        rows += 24 + int(label[chosen].sum())
    expected = {"keys": keys, "h": h, "train": mean, "rows": torch.tensor(rows)}
    check_state(folder, **expected, large=code.mean(0) > 0)
    assert read_metrics(folder / "out" / "metrics.jsonl")[-1]["val.seen"] == rows


NAMES = """_buffers modules step epoch model _modules state_dict _parameters T_destination forward
__class__ __dict__ torch lambda loss keys items type float buffers parameters losses columns
batches optimizer parts order rows nn F np steps"""
"""Names that Python, PyTorch or the script use too."""


def test_buffers_may_have_the_names_of_others(tmp_path: Path) -> None:
    names = [*NAMES.split(), "plain"]
    lines = [f"buffer {name}: f32[3] = zeros" for name in names]
    lines += [f"update {name} = 0.5 * {name} + 0.5 * middle" for name in names]
    lines += ["buffer _get_name: f32[3] = 0.1 * normal([3])", "update _get_name = -_get_name"]
    lines += ["buffer _apply: f32[3] = normal(0.1)", "update _apply = -_apply"]
    said = "\n    ".join(lines)
    spec = f"""{VIEWS}
train fit on iris {{
    net only = Net(k=3)
    code = only(x)
    middle = mean(code, axis=0)
    {said}
    minimize cross_entropy(code - _buffers - 0.1 * keys, label) with adamw(lr=1e-2)
    metric far = mean(modules + model + step), better="lower"
    batch 24  epochs 2  seed 0
}}
"""
    state = load_state(train(spec, tmp_path) / "out")["model"]
    for name in names:
        assert torch.equal(state[name], state["plain"]), name
    assert state["plain"].abs().min() > 0
    assert state["_get_name"].abs().min() > 0
    assert 0 < state["_apply"].abs().max() < 1


def test_updates_of_steps_run_where_these_are_taken(tmp_path: Path) -> None:
    folder = train(GAN, tmp_path)
    model = import_script(folder, "model")
    x = import_script(folder, "train").load_splits(folder, "cpu")["train"][0]
    torch.manual_seed(0)
    g, d = model.Net(k=4), model.Net(k=1)
    optimizers = [torch.optim.Adam(net.parameters(), lr=1e-3) for net in (d, g)]
    softplus = nn.functional.softplus
    seen, gap, turns = torch.zeros(4), torch.zeros(()), 0
    for step in range(12):
        if step % 4 == 0:
            draws = torch.Generator().manual_seed(1000 * (1 + step // 4) + 500)
        rows = batch_of(x, 0, step)
        real, made = d(rows), d(g(torch.randn(24, 4, generator=draws)).detach())
        loss = softplus(-real).mean() + softplus(made).mean()
        take(loss, optimizers[0], d)
        gap = 0.9 * gap + 0.1 * (real.mean() - made.mean()).detach()
        if step % 2 == 1:
            loss = softplus(-d(g(torch.randn(24, 4, generator=draws)))).mean()
            take(loss, optimizers[1], g)
            turns, gap = turns + 1, 0.5 * gap
        seen = 0.9 * seen + 0.1 * g(0.1 * rows).mean(0).detach()
    check_state(folder, seen=seen, gap=gap, turns=torch.tensor(turns))
    record = read_metrics(folder / "out" / "metrics.jsonl")[-1]
    assert record["val.distance"] == pytest.approx(gap.item(), rel=1e-5)


def take(loss: Tensor, optimizer: torch.optim.Optimizer, net: nn.Module) -> None:
    optimizer.zero_grad()
    loss.backward(inputs=list(net.parameters()))
    optimizer.step()


@pytest.mark.parametrize("spec", [DINO, MOCO, SINGLE, GAN])
def test_two_processes_give_what_one_gives(spec: str, tmp_path: Path) -> None:
    folder = write_shared(spec.replace("epochs 5", "epochs 2"), tmp_path)
    lint(folder)
    assert_two_processes_agree(folder, "val.loss" if spec is not GAN else "val.critic.loss")


def test_what_processes_cannot_share_is_told(tmp_path: Path) -> None:
    shared = share(GAN)
    assert find_codes(shared, tmp_path) == set()
    drawn = shared.replace("mean(g(0.1 * x), axis=0)", "mean(normal([batch, 4]), axis=0)")
    assert find_codes(drawn, tmp_path) == {"W1507"}
    number = DINO.replace("mean(concat(t, axis=0), axis=0, keep=true)", "total(x)")
    number = number.replace(
        "train fit", "model Total {\n input x: f32[batch, 4]\n output y = max(x)\n}\ntrain fit"
    )
    number = number.replace("buffer center", "net total = Total()\n    buffer center")
    assert find_codes(number, tmp_path) == set()
    assert find_codes(share(number), tmp_path) == {"W1507"}


PARTED = GAN.replace("g(normal_like(x))", "g(0.1 * x)").replace(
    "mean(g(0.1 * x), axis=0)", "cast(turns, f32) * ones([4])"
)


@pytest.mark.parametrize("spec", [DINO, SINGLE, PARTED])
def test_updates_of_parts_are_those_of_the_batch(spec: str, tmp_path: Path) -> None:
    spec = spec.replace("epochs 5", "epochs 2")
    folders = tmp_path / "whole", tmp_path / "parts"
    for folder in folders:
        folder.mkdir()
    whole = train(spec, folders[0])
    parts = train(spec.replace("batch 24", "batch 24  accumulate 4"), folders[1])
    expected, found = (load_state(folder / "out")["model"] for folder in (whole, parts))
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("spec", [DINO, SINGLE])
def test_processes_share_parts_with_updates(spec: str, tmp_path: Path) -> None:
    spec = spec.replace("epochs 5", "epochs 2").replace("batch 24", "batch 24  accumulate 3")
    assert_two_processes_agree(write_shared(spec, tmp_path), "val.loss")


def test_a_counter_counts_steps_and_no_parts(tmp_path: Path) -> None:
    counted = SINGLE.replace("rows + batch + sum(label)", "rows + 1")
    folder = train(counted.replace("batch 24", "batch 24  accumulate 4"), tmp_path)
    check_state(folder, rows=torch.tensor(8))


def test_what_parts_do_not_give_is_told(tmp_path: Path) -> None:
    divided = GAN.replace("batch 24", "batch 24  accumulate 4")
    assert find_codes(divided, tmp_path) == {"W1491"}, "of rows, beside steps"
    beside = divided.replace("mean(g(0.1 * x), axis=0)", "seen")
    assert find_codes(beside, tmp_path) == set()
    drawn = divided.replace("mean(g(0.1 * x), axis=0)", "mean(normal([batch, 4]), axis=0)")
    assert find_codes(drawn, tmp_path) == {"W1491"}


@pytest.mark.parametrize("spec", [DINO, MOCO, GAN])
def test_a_killed_run_goes_on_to_the_same_end(spec: str, tmp_path: Path) -> None:
    folder = write(spec.replace("epochs 5", "epochs 3"), tmp_path)
    assert run(folder, "whole").returncode == 0
    kill_after(folder, "killed", 1, signal.SIGKILL)
    assert run(folder, "killed", "--resume").returncode == 0
    check_equal(folder / "whole", folder / "killed")


REFUSED = [
    ("batch 24", "buffer student: f32[] = 0\n    batch 24", "W0511"),
    ("batch 24", "buffer label: f32[] = 0\n    batch 24", "W0511"),
    ("views =", "buffer label: f32[] = 0\n    views =", "W0511"),
    ("views =", "buffer n: f32[] = 0\n    net n = Net()\n    views =", "W0511"),
    ("0.9 * center + 0.1", "0.9 * center + val.loss + 0.1", "W1509"),
    ("= 0.1\n", "= mean(x) + zeros([1, k])\n", "W0505"),
    ("= 0.1\n", "= normal([k])\n", "W0225"),
    ("= 0.1\n", "= l2_normalize(normal([k]))\n", "W1505"),
    ("update center", "update centre", "W1503"),
    ("update center", "update student", "W1503"),
    ("update center", "update x", "W1503"),
    ("update center", "update views", "W1503"),
    ("batch 24", "update center = center\n    batch 24", "W1504"),
    ("0.9 * center + 0.1 * mean(concat(t, axis=0), axis=0, keep=true)", "t[0]", "W1505"),
    ("update center = 0.9", "update center = 3 #", "W1505"),
    ("0.9 * center + 0.1 * mean(concat(t, axis=0), axis=0, keep=true)", "[1, 2]", "W1505"),
    ("0.9 * center + 0.1 * mean(concat(t, axis=0), axis=0, keep=true)", "center > 0", "W1505"),
    ("sgd(lr=0.3)", "lbfgs()", "W1508"),
]


@pytest.mark.parametrize(("old", "new", "code"), REFUSED)
def test_what_cannot_be_updated_is_told(old: str, new: str, code: str, tmp_path: Path) -> None:
    assert old in DINO
    assert find_codes(DINO.replace(old, new), tmp_path) == {code}


def test_buffers_of_one_number_become_numbers(tmp_path: Path) -> None:
    spec = f"""{VIEWS}
train fit of Net(k=3) on iris {{
    buffer whole: i64[] = zeros
    buffer part: f32[] = zeros
    buffer half: f16[] = zeros
    buffer said: bool[] = zeros
    buffer many: f32[2, 2] = ones
    minimize cross_entropy(code, label) + 0 * part with adamw(lr=1e-2)
    update whole = 7
    update part = 2
    update half = cast(0.75, f16)
    update said = true
    update many = full([2, 2], 0.5)
    batch 24  epochs 1  seed 0
}}
"""
    train(spec, tmp_path)
    check_state(
        tmp_path,
        whole=torch.tensor(7),
        part=torch.tensor(2.0),
        half=torch.tensor(0.75, dtype=torch.float16),
        said=torch.tensor(True),
        many=torch.full((2, 2), 0.5),
    )


@pytest.mark.parametrize(
    ("start", "update", "code", "said"),
    [
        ("i64[] = 0", "0.5", "W1505", "`cast(x, i64)` converts"),
        ("i64[2] = 0", "3", "W1505", "`full([2], 1, dtype=i64)`"),
        ("f32[2] = 0", "mean(x, axis=0)", "W1505", "keep=true"),
        ("f32[3] = [1, 2]", "n", "W1495", "a number for each entry"),
        ("f32[2, 2] = [1, 2, 3]", "n", "W1495", "a number for each entry"),
    ],
)
def test_what_would_fit_a_buffer_is_said(
    start: str, update: str, code: str, said: str, tmp_path: Path
) -> None:
    text = DINO.replace("batch 24", f"buffer n: {start}\n    update n = {update}\n    batch 24")
    save_data(tmp_path)
    (tmp_path / "spec.weft").write_text(text)
    sink = Sink()
    check(tmp_path / "spec.weft", sink=sink)
    (message,) = sink.messages
    assert message.code == code
    assert said in str(message.text.help)


def test_a_value_is_handed_on_once_and_numbers_are_spelled_as_such(tmp_path: Path) -> None:
    """What figures and several updates read; a number that follows from the epoch; whole ones."""
    spec = f"""{VIEWS}
train fit of Net(k=3) on iris {{
    buffer whole: i64[] = 3
    buffer pair: i64[2] = [4, 5]
    buffer gap: f32[] = 0.5
    buffer two: f32[] = 0
    strength = clip(epoch / 3, 0.5, 0.9)
    level = mean(code)
    far = max(code)
    minimize strength * cross_entropy(code, label) with adamw(lr=1e-2)
    update whole = whole + 1
    update pair = pair + 1
    update gap = level
    update two = level + gap
    metric height = level, better="lower"
    metric top = far, better="lower"
    batch 24  epochs 3  seed 0
}}
"""
    text = (train(spec, tmp_path) / "train.py").read_text()
    assert "torch.tensor(3, dtype=torch.int64)" in text
    assert "torch.tensor([4, 5], dtype=torch.int64)" in text
    assert "torch.tensor(0.5)" in text
    assert "return min(max(epoch / 3, 0.5), 0.9)" in text
    returned = re.findall(r"return loss, .*", text)
    assert returned in (["return loss, level, far"], ["return loss, far, level"])
    state = load_state(tmp_path / "out")["model"]
    assert (int(state["whole"]), state["pair"].tolist()) == (15, [16, 17])
    assert state["two"] == 2 * state["gap"]
    assert state["gap"] != 0.5


def find_codes(spec: str, folder: Path) -> set[str]:
    save_data(folder)
    path = folder / "spec.weft"
    path.write_text(spec)
    sink = Sink()
    check(path, sink=sink)
    return {m.code for m in sink.messages}


def test_ops_of_several_results_stand_beside_updates_and_ramps(tmp_path: Path) -> None:
    spec = f"""{VIEWS}
train fit of Net(k=4) on iris {{
    buffer center: f32[2] = zeros
    left, right = chunk(code, 2, axis=1)
    cool = linear(1.0, 0.5)
    minimize cross_entropy(code / cool, label) + 0 * mean(left - center) with sgd(lr=1e-2)
    update center = 0.9 * center + 0.1 * mean(right, axis=0)
    batch 24  epochs 1  seed 0
}}
"""
    folder = write(spec, tmp_path)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    assert load_file(tmp_path / "out" / "best.safetensors")["center"].abs().min() > 0


def test_updates_read_numbers_of_the_training_and_parts_of_results(tmp_path: Path) -> None:
    spec = f"""{VIEWS}
train fit on iris {{
    net a = Net()
    buffer c: f32[4] = zeros
    buffer passed: f32[2] = zeros
    k = linear(0.1, 0.9)
    u, v = split(a(x), [2, 4], axis=1)
    minimize mse(u, x[:, 0:2]) + mse(v, x + c) with sgd(lr=0.01)
    update c = k * c + (1 - k) * mean(v, axis=0)
    update passed = passed + step
    batch 24  epochs 2  seed 4
}}
"""
    folder = train(spec, tmp_path)
    (net,), x = begin(folder, 4, "a")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    c = torch.zeros(4)
    for step in range(8):
        rows = batch_of(x, 4, step)
        u, v = net(rows).split([2, 4], dim=1)
        loss = nn.functional.mse_loss(u, rows[:, :2])
        loss = loss + nn.functional.mse_loss(v, rows + c)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        k = 0.1 + 0.8 * step / 8
        c = k * c + (1 - k) * v.detach().mean(0)
    check_state(folder, c=c, passed=torch.full((2,), 36.0))


@pytest.mark.parametrize(
    "update",
    [
        "center + mean(normal_like(x), axis=0)",
        "center + mean(0.1 * normal([batch, 4]) + net_of(x), axis=0)",
        "center + uniform([4])",
    ],
)
def test_updates_may_draw_where_no_objective_does(update: str, tmp_path: Path) -> None:
    spec = f"""{VIEWS}
train fit on iris {{
    net net_of = Net(k=4)
    buffer center: f32[4] = zeros
    minimize cross_entropy(net_of(x), label) with sgd(lr=0.1)
    update center = {update}
    batch 24  epochs 2  seed 0
}}
"""
    folder = write(spec, tmp_path)
    lint(folder)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    assert load_file(tmp_path / "out" / "best.safetensors")["center"].abs().min() > 0


def test_updates_beside_steps_may_draw(tmp_path: Path) -> None:
    plain = GAN.replace("fake = g(normal_like(x))", "fake = g(x)")
    folder = write(
        plain.replace("mean(g(0.1 * x), axis=0)", "mean(g(normal_like(x)), axis=0)"), tmp_path
    )
    lint(folder)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
