"""What PyTorch, Keras and scikit-learn call the things that have another name here."""

from __future__ import annotations

from collections.abc import Collection, Mapping

_LAYERS: Mapping[str, tuple[str, ...]] = {
    "linear": ("dense",),
    "batchnormalization": ("batch_norm",),
    "layernormalization": ("layer_norm",),
    "depthwiseconv": ("conv",),
    "separableconv": ("conv",),
    "convtranspose": ("conv_transpose",),
    "deconv": ("conv_transpose",),
    "convolution": ("conv",),
    "maxpooling": ("max_pool",),
    "averagepooling": ("avg_pool",),
    "meanpool": ("avg_pool",),
    "adaptiveavgpool": ("adaptive_avg_pool",),
    "globalaveragepooling": ("global_avg_pool",),
    "globalmaxpooling": ("global_max_pool",),
    "featuredropout": ("channel_dropout",),
    "stochasticdepth": ("drop_path",),
    "heaviside": ("unit_step",),
    "zeropadding": ("pad",),
    "upsampling": ("resize",),
    "upsample": ("resize",),
    "interpolate": ("resize",),
    "multiheadattention": ("self_attention", "scaled_dot_product_attention"),
    "view": ("reshape",),
    "concatenate": ("concat",),
    "expanddims": ("unsqueeze",),
    "dot": ("matmul",),
    "mm": ("matmul",),
    "bmm": ("matmul",),
    "reducemean": ("mean",),
    "reducesum": ("sum",),
    "reducemax": ("max",),
    "movedim": ("permute",),
    "maskedfill": ("where",),
    "tofloat": ("cast",),
    "astype": ("cast",),
}
_LOSSES_AND_METRICS: Mapping[str, tuple[str, ...]] = {
    "crossentropyloss": ("cross_entropy",),
    "categoricalcrossentropy": ("cross_entropy",),
    "sparsecategoricalcrossentropy": ("cross_entropy",),
    "softmaxcrossentropy": ("cross_entropy",),
    "bceloss": ("bce",),
    "binarycrossentropy": ("bce",),
    "meansquarederror": ("mse",),
    "mseloss": ("mse",),
    "meanabsoluteerror": ("l1", "mae"),
    "rootmeansquarederror": ("rmse",),
    "kldivloss": ("kl",),
    "nllloss": ("nll",),
    "topkcategoricalaccuracy": ("top_k",),
    "binaryaccuracy": ("binary_accuracy",),
}
_SCHEDULES: Mapping[str, tuple[str, ...]] = {
    "cosineannealinglr": ("cosine",),
    "cosinedecay": ("cosine",),
    "steplr": ("step",),
    "exponentiallr": ("exponential",),
    "exponentialdecay": ("exponential",),
    "constantlr": ("constant",),
}
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "units": ("out",),
    "filters": ("out",),
    "outchannels": ("out",),
    "outfeatures": ("out",),
    "kernelsize": ("kernel",),
    "poolsize": ("kernel",),
    "dilationrate": ("dilation",),
    "rate": ("p",),
    "prob": ("p",),
    "dropout": ("p",),
    "learningrate": ("lr",),
    "dim": ("axis",),
    "dims": ("axis", "axes"),
    "keepdim": ("keep",),
    "keepdims": ("keep",),
    "numgroups": ("groups",),
    "numembeddings": ("count",),
    "vocabsize": ("count",),
    "embeddingdim": ("size",),
    "outputdim": ("size",),
    "epsilon": ("eps",),
    "usebias": ("bias",),
    "elementwiseaffine": ("affine",),
    "gamma": ("factor",),
    "stepsize": ("every",),
    "decayrate": ("factor",),
    "warmupsteps": ("warmup",),
    "warmupepochs": ("warmup",),
    "scalefactor": ("scale",),
    "attnmask": ("mask",),
    "iscausal": ("causal",),
    "enablegqa": ("grouped",),
    "numclasses": ("classes",),
    "delimiter": ("separator",),
    "sep": ("separator",),
    "imagesize": ("size",),
}
_CLAUSES: Mapping[str, tuple[str, ...]] = {
    "batchsize": ("batch",),
    "numepochs": ("epochs",),
    "maxepochs": ("epochs",),
    "loss": ("minimize",),
    "criterion": ("minimize",),
    "objective": ("minimize",),
    "earlystopping": ("until",),
    "patience": ("until",),
    "randomstate": ("seed",),
    "randomseed": ("seed",),
    "gradientclip": ("clip",),
    "clipgradnorm": ("clip",),
    "clipnorm": ("clip",),
    "amp": ("precision",),
    "mixedprecision": ("precision",),
    "memoryformat": ("layout",),
    "dynamicaxes": ("dynamic",),
    "opsetversion": ("opset",),
    "classnames": ("labels",),
    "outputnames": ("outputs",),
    "dataset": ("source",),
    "load": ("source",),
    "trainvalsplit": ("split",),
    "traintestsplit": ("split",),
}
_RENAMED: Mapping[str, tuple[str, ...]] = {
    **_LAYERS,
    **_LOSSES_AND_METRICS,
    **_SCHEDULES,
    **_ARGUMENTS,
    **_CLAUSES,
}

_SCAN = "a recurrent layer is a loop over time, with any cell: `scan x_t in x, axis=1 { … }`"
_FOUND = "the sizes of inputs are found: leave it out"
_MODULE = "layers and functions are written without a module: `dense(10)`, `relu`, `sigmoid(x)`"
_NOTES: Mapping[str, str] = {
    "sequential": "stages follow one another with `->`: `conv(8, kernel=3) -> relu -> flatten`",
    "activation": "an activation is a stage of its own: `-> relu`",
    "lstm": _SCAN,
    "gru": _SCAN,
    "rnn": _SCAN,
    "lstmcell": _SCAN,
    "grucell": _SCAN,
    "simplernn": _SCAN,
    "inputshape": _FOUND,
    "inputdim": _FOUND,
    "inchannels": _FOUND,
    "infeatures": _FOUND,
    "numfeatures": _FOUND,
    "normalizedshape": _FOUND,
    "nn": _MODULE,
    "f": _MODULE,
    "torch": _MODULE,
    "tf": _MODULE,
    "keras": _MODULE,
    "layers": _MODULE,
    "np": _MODULE,
    "numpy": _MODULE,
    "optimizer": "the optimizer comes after the objective: `minimize … with adamw(lr=1e-3)`",
    "scheduler": "the schedule belongs to the optimizer: `adamw(lr=1e-3, schedule=cosine)`",
    "learningrate": "the rate belongs to the optimizer: `minimize … with adamw(lr=1e-3)`",
    "lr": "the rate belongs to the optimizer: `minimize … with adamw(lr=1e-3)`",
    "weightdecay": "it belongs to the optimizer: `with adamw(lr=1e-3, weight_decay=0.01)`",
    "device": "where to run is said by the command: `weft build --device cuda`",
    "callbacks": "`until stalled(val.loss, epochs=8)` stops early; the best weights are kept",
    "checkpoint": "the best and the last weights are kept anyway",
    "shuffle": "training rows come in a new order in every epoch",
    "numworkers": "the data is loaded once and held on the device",
    "testsize": "write `split random(seed=0), train=80%, test=20%`",
    "validationsplit": "write `split random(seed=0), train=80%, val=20%`",
}


def translate(word: str, known: Collection[str]) -> str | None:
    """The known word that means what another framework calls `word`: `out` for `units`."""
    return next((name for name in _RENAMED.get(_normalize(word), ()) if name in known), None)


def advise(word: str) -> str | None:
    """How to say what another framework has a word for and Weft has none: `Sequential`."""
    return _NOTES.get(_normalize(word))


def _normalize(word: str) -> str:
    """`MaxPooling2D` and `max_pooling` are one word."""
    lowered = word.lower().replace("_", "")
    return lowered[:-2] if lowered.endswith(("1d", "2d", "3d")) else lowered
