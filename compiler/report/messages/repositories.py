"""Messages about weights from repositories of Hugging Face, shards, and other layouts."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.wording import SHOWN, list_words
from compiler.report.sessions import FC, load_weights, save_weights
from compiler.report.source import Span

_NET = "model M {\n    input x: f32[n, 4]\n    output y = x -> dense(2) as fc\n}\n"

_HUB = f"""\
$ cat net.weft
{_NET}net loaded = M() -> load("hf:acme/tiny")
"""
_PICKLE = """\
$ cat save.py
import torch

torch.save({"fc.weight": torch.zeros(2, 3), "fc.bias": torch.zeros(2)}, "fc.pt")
$ python save.py
"""
_CONVERT = """\
$ cat convert.py
import torch
from safetensors.torch import save_file

state = torch.load("fc.pt", map_location="cpu", weights_only=True)
save_file({k: v.clone() for k, v in state.items()}, "fc.safetensors")
$ python convert.py
"""


@message(
    "W1383",
    console=_PICKLE + load_weights("", "fc.pt"),
    mended=_CONVERT + load_weights(""),
)
def weights_pickled(span: Span | None, file: str) -> Text:
    """Weights are in a pickle: what `torch.save` writes, `.bin`, `.pt`, `.pth` or `.ckpt`.

    To load a pickle is to run what stands in it, so Weft reads none. PyTorch reads one without
    running code (`weights_only=True`) and safetensors writes it again; the names stay. Of tensors
    that share memory, such as a head that is tied to an embedding, `clone()` makes two.
    """
    return Text(
        f"`{file}` is a pickle, which Weft does not read",
        help="convert it once in Python: `from safetensors.torch import save_file; "
        'state = torch.load(FILE, map_location="cpu", weights_only=True); '
        'save_file({k: v.clone() for k, v in state.items()}, "model.safetensors")`',
    )


@message(
    "W1384",
    bad=f'{_NET}net m = M() -> load("hf:gpt2")\n',
    good=f'{_NET}net m = M() -> load("hf:openai-community/gpt2")\n',
)
def bad_repository(span: Span | None, text: str) -> Text:
    """What `load` reads from Hugging Face is `hf:OWNER/NAME`, or `hf:OWNER/NAME/FILE` where a
    repository has several files of weights."""
    return Text(
        f"`{text}` does not name a repository of Hugging Face",
        label="expected `hf:OWNER/NAME` or `hf:OWNER/NAME/FILE`",
        help="the page of a model has its owner and name in its address: "
        '`load("hf:openai-community/gpt2")`',
    )


@message(
    "W1385",
    bad=f'{_NET}net m = M() -> load("m.safetensors", revision="main")\n',
    good=f'{_NET}net m = M() -> load("hf:acme/m", revision="main")\n',
)
def bad_revision(span: Span | None, revision: str, *, of_file: bool) -> Text:
    """`revision=` of `load` is a branch, a tag or a commit of a repository; files have none."""
    if of_file:
        title = "`revision=` is of a repository, and a file has none"
        return Text(title, help='leave it out, or load from a repository: `load("hf:OWNER/NAME")`')
    return Text(
        f"`{revision}` is no revision",
        help="give a branch, a tag or a commit: letters, digits, `.`, `_`, `-` and `/`",
    )


@message(
    "W1386",
    console=_HUB
    + """\
$ pip uninstall -y huggingface_hub
$ weft compile net.weft -o out --item loaded --pytorch
""",
)
def hub_not_installed(span: Span | None) -> Text:
    """`load("hf:…")` downloads through the package `huggingface_hub`, which is not installed."""
    return Text(
        "weights of a repository are downloaded with `huggingface_hub`, which is not installed",
        help="install it: `pip install 'weft[hub]'`, or `pip install huggingface_hub`",
    )


@message(
    "W1395",
    console=_HUB
    + """\
$ HF_HUB_OFFLINE=1 weft compile net.weft -o out --item loaded --pytorch
""",
)
def hub_unreachable(span: Span | None, name: str, reason: str) -> Text:
    """Hugging Face cannot be reached, or may not be (`HF_HUB_OFFLINE`), and the cache does not have
    what is asked for.

    What was downloaded once is used offline too, in the commit that the revision stood for then.
    """
    return Text(
        f"the repository `{name}` cannot be reached, and the cache does not have it",
        label=reason,
        help=f"download it where there is a network, with `hf download {name}`, and give its "
        "folder to `load`, or set `HF_HOME` to that cache",
    )


@message(
    "W1396",
    console=_HUB.replace("tiny", "tinny")
    + """\
$ weft compile net.weft -o out --item loaded --pytorch
""",
)
def hub_not_found(span: Span | None, name: str, what: str) -> Text:
    """A repository, a revision or a file of it is not on Hugging Face, or only for those who may
    see it."""
    if what:
        return Text(f"the repository `{name}` has not {what}", help=f"look at hf.co/{name}")
    return Text(
        f"there is no repository `{name}`, or it is private or gated",
        help="look at its name; for a private or gated one, log in with `hf auth login` or set "
        "`HF_TOKEN`",
    )


@message(
    "W1397",
    console="$ mkdir parts\n"
    + save_weights(FC, "parts/one.safetensors")
    + save_weights(FC, "parts/two.safetensors")
    + load_weights("", "parts"),
    mended=load_weights("", "parts/one.safetensors"),
)
def hub_file_unclear(
    span: Span | None, name: str, found: tuple[str, ...], pickles: tuple[str, ...]
) -> Text:
    """A repository or a folder has several files of weights, none of which has the usual name
    `model.safetensors`, or none at all."""
    if found:
        return Text(
            f"`{name}` has several files of weights: {list_words(found)}",
            help=f'name one: `load("{name}/{found[0]}")`',
        )
    if pickles:
        return Text(
            f"`{name}` has no safetensors file, only {list_words(pickles)}, which Weft does not "
            "read: a pickle can run code",
            help="`weft explain W1383` says how to convert one",
        )
    return Text(f"`{name}` has no safetensors file", help="give the path of one")


@message(
    "W1398",
    console="""\
$ cat parts/model.safetensors.index.json
{"weight_map": {"fc.weight": "model-1.safetensors", "fc.bias": "model-2.safetensors"}}
$ cat net.weft
model Net {
    input x: f32[batch, 3]
    output y = x -> dense(2) as fc
}
net loaded = Net() -> load("parts")
$ weft compile net.weft -o out --item loaded --pytorch
""",
    mended="""\
$ cat save.py
import numpy as np
from safetensors.numpy import save_file

save_file({"fc.weight": np.zeros((2, 3), "f4")}, "parts/model-1.safetensors")
save_file({"fc.bias": np.zeros(2, "f4")}, "parts/model-2.safetensors")
$ python save.py
$ weft compile net.weft -o out --item loaded --pytorch
""",
)
def index_false(span: Span | None, file: str, reason: str) -> Text:
    """The index of a checkpoint in several files does not say the truth: a file is missing or lies
    elsewhere, or does not hold what the index says.

    `model.safetensors.index.json` names for every tensor the file beside it that holds it.
    """
    return Text(
        f"`{file}` is no index of what lies beside it: {reason}",
        help="get the checkpoint again, whole: the index and every file that it names",
    )


@message(
    "W1399",
    console=save_weights(
        '"fc.weight": np.ones((3, 3)), "fc.bias": np.ones(3), "out": np.ones((2, 3))'
    )
    + load_weights('transpose=["out"], except=["out"]', layer="dense(3)"),
    mended=load_weights('transpose=["!fc.weight"], except=["out"]', layer="dense(3)"),
)
def layout_unclear(span: Span | None, file: str, paths: tuple[str, ...], shape: str) -> Text:
    """Square matrices of a file may be stored transposed, and their shape does not tell.

    This is asked where a `load` says that other matrices of the file lie otherwise than in the
    net: by `transpose=[…]`, or by a matrix that is split or joined along its second axis, as
    those of GPT-2 are. A pattern with `!` in front says that weights are stored as the net has
    them.
    """
    shown = ", ".join(f'"{path}"' for path in paths[:SHOWN])
    kept = ", ".join(f'"!{path}"' for path in paths[:SHOWN])
    return Text(
        f"the shape does not tell whether {list_words(paths)} of `{file}` "
        f"{'is' if len(paths) == 1 else 'are'} transposed",
        label=f"both ways it is {shape}",
        help=f"add {shown} to `transpose=[…]`, or {kept} where the file has them as the net does",
    )


@message(
    "W1468",
    console=save_weights(
        '"a": np.zeros((1, 3), "f4"), "b": np.zeros((2, 3), "f4"), "fc.bias": np.zeros(2, "f4")'
    )
    + load_weights('rename=[["a", "b"] -> "fc.weight"]'),
    mended=save_weights(
        '"a": np.zeros((1, 3), "f4"), "b": np.zeros((1, 3), "f4"), "fc.bias": np.zeros(2, "f4")'
    )
    + load_weights('rename=[["a", "b"] -> "fc.weight"]'),
)
def parts_misfit(
    span: Span | None,
    file: str,
    old: tuple[str, ...],
    new: tuple[str, ...],
    shapes: tuple[str, ...],
    groups: int = 1,
) -> Text:
    """Tensors of a file are not the parts of what they are to be joined to or split into:
    `rename=["in_proj" -> ["q", "k", "v"]]`.

    The parts lie behind one another along one axis, in the order of the list, and along the other
    axes they are as large as the whole. Which axis it is follows from the shapes. Where `groups=`
    says that they alternate, each of them has rows in every group, equally many.
    """
    several = new if len(old) == 1 else old
    one = old[0] if len(old) == 1 else new[0]
    within = f" in {groups} groups" if groups > 1 else ""
    return Text(
        f"{list_words(several)} are not the parts of `{one}`{within}",
        label=f"the shapes are {', '.join(shapes)}",
        help="name every part, in the order in which they lie behind one another",
    )


@message(
    "W1469",
    console="""\
$ cat save.py
import numpy as np
from safetensors.numpy import save_file

weights = {"edges.weight": np.zeros((3, 3, 2, 4), "f4"), "edges.bias": np.zeros(4, "f4")}
save_file(weights, "edges.safetensors")
$ python save.py
$ cat net.weft
model Net {
    input x: f32[batch, 2, 8, 8]
    output y = x -> conv(4, kernel=3) as edges
}
net loaded = Net() -> load("edges.safetensors", transpose=["edges.weight"])
$ weft compile net.weft -o out --item loaded --pytorch
""",
    mended="""\
$ cat turn.py
from safetensors.numpy import load_file, save_file

weights = load_file("edges.safetensors")
weights["edges.weight"] = weights["edges.weight"].transpose(3, 2, 0, 1).copy()
save_file(weights, "edges.safetensors")
$ python turn.py
$ cat net.weft
model Net {
    input x: f32[batch, 2, 8, 8]
    output y = x -> conv(4, kernel=3) as edges
}
net loaded = Net() -> load("edges.safetensors")
$ weft compile net.weft -o out --item loaded --pytorch
""",
)
def not_a_matrix(span: Span | None, file: str, path: str, shape: tuple[int, ...]) -> Text:
    """`transpose=` of `load` swaps the two axes of matrices; what has more axes may lie in many
    other ways. Save such a tensor as the net has it."""
    return Text(
        f"`{path}` has the shape {list(shape)}: `transpose=` is for matrices",
        help="leave it out of `transpose=`",
    )


@message(
    "W1470",
    console=save_weights(FC) + load_weights('rename=["a.*" -> "*.fc.*"]'),
    mended=save_weights('"a.weight": np.zeros((2, 3), "f4"), "a.bias": np.zeros(2, "f4")')
    + load_weights('rename=["a.*" -> "fc.*"]'),
)
def stars_differ(span: Span | None, old: str, new: str) -> Text:
    """A rule of `rename=` or `copy=` has a `*` on the right for which the left has no text. Each
    `*` stands for the same text on both sides, in order."""
    return Text(
        f'"{new}" has more `*` than "{old}"',
        label="each `*` stands for what one of the left side stands for",
    )
