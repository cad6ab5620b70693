"""What PyTorch, Keras and scikit-learn call the things that have another name here."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_LAYERS: Mapping[str, tuple[str, ...]] = {
    "linear": ("dense",),
    "batchnormalization": ("batch_norm",),
    "layernormalization": ("layer_norm",),
    "depthwiseconv": ("conv",),
    "separableconv": ("conv",),
    "convtranspose": ("conv_transpose",),
    "deconv": ("conv_transpose",),
    "deconvolution": ("conv_transpose",),
    "dilated": ("conv",),
    "dilatedconv": ("conv",),
    "dilatedconvolution": ("conv",),
    "positionalencoding": ("sinusoidal_positions", "add_sinusoidal"),
    "convolution": ("conv",),
    "maxpooling": ("max_pool",),
    "averagepooling": ("avg_pool",),
    "meanpool": ("avg_pool",),
    "adaptiveavgpool": ("adaptive_avg_pool",),
    "globalaveragepooling": ("global_avg_pool",),
    "globalmaxpooling": ("global_max_pool",),
    "featuredropout": ("channel_dropout",),
    "dropout1d": ("channel_dropout",),
    "dropout2d": ("channel_dropout",),
    "dropout3d": ("channel_dropout",),
    "spatialdropout": ("channel_dropout",),
    "stochasticdepth": ("drop_path",),
    "heaviside": ("unit_step",),
    "zeropadding": ("pad",),
    "upsampling": ("resize",),
    "upsample": ("resize",),
    "interpolate": ("resize",),
    "multiheadattention": ("multi_head_attention", "scaled_dot_product_attention"),
    "transformerencoderlayer": ("transformer_encoder_layer",),
    "transformerdecoderlayer": ("transformer_decoder_layer",),
    "lstm": ("lstm",),
    "gru": ("gru",),
    "rnn": ("rnn",),
    "simplernn": ("rnn",),
    "indrnn": ("rnn",),
    "peepholelstm": ("lstm",),
    "spectralnormalization": ("spectral_norm",),
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
    "randn": ("normal",),
    "randnlike": ("normal_like",),
    "randlike": ("uniform_like",),
    "rand": ("uniform",),
    "randperm": ("permutation",),
    "multinomial": ("categorical",),
    "samplecategorical": ("categorical",),
    "tofloat": ("cast",),
    "astype": ("cast",),
}
_LOSSES_AND_METRICS: Mapping[str, tuple[str, ...]] = {
    "crossentropyloss": ("cross_entropy",),
    "labelsmoothing": ("cross_entropy",),
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
    "kldivergence": ("kl",),
    "nllloss": ("nll",),
    "topkcategoricalaccuracy": ("top_k",),
    "binaryaccuracy": ("binary_accuracy",),
    "sensitivity": ("recall", "binary_recall"),
    "f1score": ("f1",),
    "dicescore": ("dice",),
    "jaccard": ("iou",),
    "jaccardindex": ("iou",),
    "meaniou": ("iou",),
    "auc": ("auroc",),
    "rocauc": ("auroc",),
    "rocaucscore": ("auroc",),
    "averageprecisionscore": ("average_precision",),
    "ece": ("calibration_error",),
    "expectedcalibrationerror": ("calibration_error",),
    "meanabsolutepercentageerror": ("mape",),
    "peaksignalnoiseratio": ("psnr",),
    "structuralsimilarity": ("ssim",),
    "fid": ("frechet_distance",),
    "focalloss": ("focal",),
    "sigmoidfocalloss": ("binary_focal",),
    "diceloss": ("soft_dice",),
    "jaccardloss": ("soft_iou",),
    "tripletmarginloss": ("triplet",),
    "gaussiannllloss": ("gaussian_nll",),
    "poissonnllloss": ("poisson_nll",),
    "hingeembeddingloss": ("hinge_embedding",),
    "softmarginloss": ("soft_margin",),
    "multilabelmarginloss": ("multi_label_margin",),
    "multilabelsoftmarginloss": ("multi_label_soft_margin",),
    "ctcloss": ("ctc",),
    "cosineembeddingloss": ("cosine_embedding",),
    "marginrankingloss": ("margin_ranking",),
    "multimarginloss": ("multi_margin",),
    "infonce": ("info_nce",),
}
_SCHEDULES: Mapping[str, tuple[str, ...]] = {
    "cosineannealinglr": ("cosine",),
    "cosinedecay": ("cosine",),
    "steplr": ("step",),
    "exponentiallr": ("exponential",),
    "exponentialdecay": ("exponential",),
    "constantlr": ("constant",),
    "multisteplr": ("multi_step",),
    "polynomiallr": ("polynomial",),
    "polynomialdecay": ("polynomial",),
    "inversetimedecay": ("inverse_time",),
    "cosineannealingwarmrestarts": ("cosine_restarts",),
    "warmrestarts": ("cosine_restarts",),
    "cosinedecayrestarts": ("cosine_restarts",),
    "onecyclelr": ("one_cycle",),
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
    "milestones": ("at",),
    "pctstart": ("peak",),
    "annealstrategy": ("shape",),
    "divfactor": ("start",),
    "initialdivfactor": ("start",),
    "finaldivfactor": ("end",),
    "maxlr": ("lr",),
    "etamin": ("minimum",),
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
    "gradientclipping": ("clip",),
    "clipgradnorm": ("clip",),
    "clipnorm": ("clip",),
    "clipvalue": ("clip",),
    "clipgradvalue": ("clip",),
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
_RELATED: Mapping[str, tuple[str, ...]] = {
    "specificity": ("recall", "binary_recall", "roc"),
}
"""Words that are near what there is, and no other name of it: to be found, never proposed."""

_RENAMED: Mapping[str, tuple[str, ...]] = {
    **_LAYERS,
    **_LOSSES_AND_METRICS,
    **_SCHEDULES,
    **_ARGUMENTS,
    **_CLAUSES,
}

_SCAN = (
    "a cell goes over time in a loop: `scan x_t in x, axis=1 { … }`; `lstm` and `gru` are layers"
)
_FOUND = "the sizes of inputs are found: leave it out"
_MODULE = "layers and functions are written without a module: `dense(10)`, `relu`, `sigmoid(x)`"
_NOTES: Mapping[str, str] = {
    "sequential": "stages follow one another with `->`: `conv(8, kernel=3) -> relu -> flatten`",
    "activation": "an activation is a stage of its own: `-> relu`",
    "lstmcell": _SCAN,
    "grucell": _SCAN,
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
    exact = _RENAMED.get(_flatten(word), ())  # `Dropout2d` is no `Dropout`
    return next((n for n in (*exact, *_RENAMED.get(_normalize(word), ())) if n in known), None)


def find_meant(words: str) -> frozenset[str]:
    """All that the usual name of a thing means: `mse` for "mean squared error"."""
    word = _flatten("".join(re.findall(r"\w+", words)))
    return frozenset((*_RENAMED.get(word, ()), *_RELATED.get(word, ())))


def advise(word: str) -> str | None:
    """How to say what another framework has a word for and Weft has none: `Sequential`."""
    return _NOTES.get(_normalize(word))


def _normalize(word: str) -> str:
    """`MaxPooling2D` and `max_pooling` are one word."""
    lowered = _flatten(word)
    return lowered[:-2] if lowered.endswith(("1d", "2d", "3d")) else lowered


def _flatten(word: str) -> str:
    return word.lower().replace("_", "")
