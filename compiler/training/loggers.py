"""What a training tells of its epochs besides `metrics.jsonl`: trackers of experiments, by their
own libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compiler.records import dataclass


@dataclass(frozen=True)
class Logger:
    """A tracker of experiments.

    - `package`: what is imported, and is missing where it is not installed.
    - `install`: what `pip install` takes.
    - `begin`: lines of the script before the first epoch; `out` is the folder of the training,
      `history` what the finished epochs gave, `NAME` the name of the train.
    - `note`: lines behind an epoch, with its `record` of figures.
    - `end`: lines behind the last epoch.
    """

    package: str
    install: str
    begin: Sequence[str]
    note: Sequence[str]
    end: Sequence[str]


LOGGERS: Mapping[str, Logger] = {
    "tensorboard": Logger(
        "tensorboard",
        "tensorboard",
        ['board = SummaryWriter(out / "tensorboard", purge_step=len(history) + 1)'],
        [
            "for name, value in record.items():",
            '    board.add_scalar(name.replace(".", "/"), value, epoch)',
            "board.flush()",
        ],
        ["board.close()"],
    ),
    "mlflow": Logger(
        "mlflow",
        "mlflow-skinny",
        [
            'if "MLFLOW_TRACKING_URI" not in os.environ:  # of a server or a database',
            '    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # files are meant',
            '    mlflow.set_tracking_uri((out / "mlruns").resolve().as_uri())',
            "mlflow.set_experiment(NAME)",
            'known = out / "mlflow-run"',
            "tracked = mlflow.start_run(known.read_text() if history and known.exists() else None)",
            "known.write_text(tracked.info.run_id)",
            "if not history:",
            "    mlflow.log_params({name: text[:500] for name, text in SETTINGS.items()})",
        ],
        ["mlflow.log_metrics(record, step=epoch)"],
        ["mlflow.end_run()"],
    ),
    "trackio": Logger(
        "trackio",
        "trackio",
        ['trackio.init(project=NAME, name=out.resolve().name, config=SETTINGS, resume="allow")'],
        ["trackio.log(record, step=epoch)"],
        ["trackio.finish()"],
    ),
    "wandb": Logger(
        "wandb",
        "wandb",
        [
            'os.environ.setdefault("WANDB_MODE", "offline")  # `wandb sync` sends what lies here',
            "wandb.init(project=NAME, name=out.resolve().name, dir=out, config=SETTINGS)",
        ],
        ["wandb.log(record, step=epoch)"],
        ["wandb.finish()"],
    ),
}
"""By the word that `log` takes."""
