"""Words of the language whose meaning a later version brings: refused, never left out."""

from __future__ import annotations

from compiler.report.diagnostics import Message
from compiler.report.messages.names import not_available
from compiler.text.tree.syntax import Name

LATER: dict[str, str] = {
    "training": "tell training from evaluation when compiling",
    "step": "be the number of the training step at run time",
    "epoch": "be the number of the epoch at run time",
    "normal": "draw normal random numbers, one draw per call",
    "uniform": "draw uniform random numbers, one draw per call",
    "randint": "draw random whole numbers, one draw per call",
    "bernoulli": "draw random booleans, one draw per call",
    "normal_like": "draw normal random numbers in the shape of a tensor",
    "uniform_like": "draw uniform random numbers in the shape of a tensor",
    "sample_categorical": "draw from a categorical distribution",
    "permutation": "draw a random order",
    "grad": "differentiate one tensor by another",
    "ema": "keep a moving average of a net's weights",
    "linear": "change a number over the course of a training",
    "prune": "change a net outside of the `apply` of a variant",
    "quantize": "change a net outside of the `apply` of a variant",
    "low_rank": "change a net outside of the `apply` of a variant",
    "finetune": "change a net outside of the `apply` of a variant",
    "distill": "change a net outside of the `apply` of a variant",
    "search": "change a net outside of the `apply` of a variant",
    "random_flip": "flip images at random while training",
    "random_crop": "crop images at random while training",
    "random_resized_crop": "crop and resize images at random while training",
    "random_gray": "drop the colours of images at random while training",
    "color_jitter": "change the colours of images at random while training",
    "gaussian_blur": "blur images at random while training",
    "elastic": "deform images at random while training",
    "lookahead": "wrap an optimizer that looks ahead",
}
"""Names in expressions, and what each will do."""

OTHER_WORDS: dict[str, str] = {"linear": "for the layer, write `dense(n)`"}
"""What to write where another meaning of such a word was meant."""


def refuse_later(name: Name) -> Message:
    """The message about a word of `LATER`."""
    word, other = name.text, OTHER_WORDS.get(name.text)
    if other is not None:
        return not_available(name.span, word, LATER[word], other)
    return not_available(name.span, word, LATER[word])
