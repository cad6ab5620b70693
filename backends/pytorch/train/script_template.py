"""The text of a generated training script, with switches and slots.

A line that ends in `#? NAME` (or `#? not NAME`) stands only where that switch is on (off). `$name`
is a slot; on a line of its own it takes any number of lines at its indentation. Lines are written
long: what passes 88 columns is broken where `ruff format` would break it.
"""

CONSTANTS = '''
SEED = $seed
BATCH = $batch  # rows a step, of all processes together
EPOCHS = $epochs
$rate_constants
CLIP = $clip  #? clip
PATIENCE = $patience  # epochs without a better $monitor  #? until
$settings_lines
RESULTS = $results
CHARTS = $charts  # in results.json alone  #? charts

RANK = int(os.environ.get("RANK", "0"))  # torchrun sets these
WORLD = int(os.environ.get("WORLD_SIZE", "1"))


@dataclass
class Training:
    """What changes while training: a checkpoint holds all of it."""

    model: $model_type
    optimizer: torch.optim.Optimizer  #? not optimizers
    optimizers: list[torch.optim.Optimizer]  #? optimizers
    scaler: torch.amp.GradScaler  #? scaler
    $plateau_fields
    settings: dict[str, object]
    epoch: int = 0
    best_epoch: int = 0
    best: tuple[float, ...] = (float("-inf"),)
'''

LOAD_COLUMNS = """
def load_columns($folder_parameter) -> dict[str, np.ndarray]:
    $load_lines
"""

CHECK_RANGE = '''
def check_range(
    name: str, column: Tensor, low: float, high: float, ignored: float | None = None
) -> None:
    """Ends the process where data that has changed does not fit the objective."""
    slack = 1e-6 if column.is_floating_point() else 0  # shares are rounded
    inside = (column >= low - slack) & (column <= high + slack)
    if ignored is not None:
        inside |= column == ignored
    if not inside.all():
        found = column[~inside][0].item()
        sys.exit(f"the column {name!r} holds {found:g}: {low:g} to {high:g} are taken")
'''

CHECK_VALUES = '''
def check_values(name: str, column: Tensor, values: tuple[float, ...]) -> None:
    """Ends the process where data that has changed does not fit the objective."""
    inside = torch.stack([column == value for value in values]).any(0)
    if not inside.all():
        found = column[~inside][0].item()
        taken = " or ".join(f"{value:g}" for value in values)
        sys.exit(f"the column {name!r} holds {found:g}: {taken} are taken")
'''

LOAD_SPLITS = '''
def load_splits($load_parameters) -> dict[str, list[Tensor]]:
    """The columns $column_names of every split, on the device."""
    raw = {name: torch.tensor(values) for name, values in loaded.items()}
    $columns_lines
    return {
        split: [column[rows].to(device) for column in columns]
        for split, rows in splits.items()
    }
'''

MEASURE = '''
def measure(training: Training, batch: list[Tensor]) -> Tensor:
    """The loss of a batch over all processes, whose gradients the parameters have then. The
    optimizer asks for it several times a step."""
    model, device = training.model, batch[0].device  #? autocast
    model = training.model  #? not autocast
    $loss_lines
    $gradient_lines
    return all_sum(loss.detach()) / WORLD
'''

TRAIN_EPOCH = '''
def train_epoch($epoch_parameters, columns: list[Tensor]) -> float:
    """Trains on every row once and returns the mean loss.

    $drawn_lines
    """
    replica.train()  #? replica
    model = training.model  #? not replica
    model.train()  #? not replica
    $frozen_lines
    epoch, rows, device = training.epoch, len(columns[0]), columns[0].device
    torch.manual_seed(SEED + 1000 * epoch + RANK)  #? random
    steps = max(1, rows // BATCH)
    order = np.random.default_rng([SEED, epoch]).permutation(rows)[: steps * BATCH]
    batches = torch.from_numpy(order).to(device).split(BATCH)
    losses = torch.zeros(steps, device=device)
    hidden = True if RANK > 0 or sys.stderr is None else None  # None: if no terminal
    bar = tqdm(batches, f"epoch {epoch}", leave=False, disable=hidden)
    for step, chosen in enumerate(bar):
        batch = [column[chosen[RANK::WORLD]] for column in columns]
        $loss_lines
        $step_lines
        losses[step] = loss.detach()  # read once an epoch: reading makes a GPU wait
    losses = all_sum(losses) / WORLD
    if not losses.isfinite().all():
        step = int(losses.isfinite().logical_not().nonzero()[0])
        sys.exit(f"the loss is {losses[step]:g} at epoch {epoch}, step {step + 1}")
    return losses.mean().item()
'''

SOLVE_EPOCH = '''
def train_epoch(training: Training, columns: list[Tensor]) -> float:
    """Solves for the weights with the least loss over all rows, in double precision, and returns
    that loss."""
    model, epoch = training.model, training.epoch
    $count_lines
    model.double().eval()  # features are what they will be once the weights are used
    batch = [c.double() if c.is_floating_point() else c for c in columns]
    $step_lines
    model.float()
    if not loss.isfinite():
        sys.exit(f"the loss is {loss:g} at epoch {epoch}")
    return loss.item()
'''

AVERAGE_GRADIENTS = '''
def average_gradients(model: $model_type) -> None:
    """Gives every process the mean of the gradients of all."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    sizes = [gradient.numel() for gradient in gradients]
    means = all_sum(flat).div_(WORLD).split(sizes)
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))
'''

EVALUATE = '''
@torch.no_grad()
def evaluate(model: $model_type, columns: list[Tensor]) -> dict[str, $figure_type]:
    """$evaluated over a split."""
    model.eval()
    $size_lines
    columns = [column[RANK::WORLD] for column in columns]
    $sum_lines
    for start in range(0, len(columns[0]), BATCH):
        batch = [column[start : start + BATCH] for column in columns]
        with torch.autocast(device.type, $autocast):  #? autocast
            $outputs = compute_loss($model, *batch)  #? autocast
        $outputs = compute_loss($model, *batch)  #? not autocast
        $addition_lines
    $figure_lines


def all_sum(tensor: Tensor) -> Tensor:
    """The tensor, added up over all processes."""
    if WORLD > 1:
        dist.all_reduce(tensor)
    return tensor
'''

CHECKPOINTS = '''
def save(path: Path, tensors: dict[str, Tensor], training: Training) -> None:
    """Writes the file whole or not at all."""
    progress = {"epoch": training.epoch, "best": training.best}
    progress["best_epoch"] = training.best_epoch
    progress["settings"] = training.settings
    progress["scaler"] = training.scaler.state_dict()  #? scaler
    $kept_lines
    progress["tensors"] = checksum_tensors(tensors)
    progress["checksum"] = zlib.crc32(json.dumps(progress).encode())
    tensors = {name: value.contiguous() for name, value in tensors.items()}  #? layout
    part = path.with_suffix(".part")
    save_file(tensors, part, {"progress": json.dumps(progress)})
    part.replace(path)


def save_checkpoint(path: Path, training: Training) -> None:
    """Saves what `--resume` needs: weights, state of the optimizer, progress."""
    tensors = {f"model/{name}": value for name, value in training.model.state_dict().items()}
    parameters = dict(training.model.named_parameters())  #? plain
    for name, parameter in parameters.items():  #? plain
        for key, value in training.optimizer.state[parameter].items():  #? plain
            tensors[f"{key}/{name}"] = value  #? plain
    for key, value in find_state(training).items():  #? remembers
        if key != "al":  # scratch  #? remembers
            tensors[f"{key}/optimizer"] = pack(value)  #? remembers
    names = {value: name for name, value in training.model.named_parameters()}  #? optimizers
    for optimizer in training.optimizers:  #? optimizers
        for parameter, state in optimizer.state.items():  #? optimizers
            for key, value in state.items():  #? optimizers
                tensors[f"{key}/{names[parameter]}"] = value  #? optimizers
    save(path, tensors, training)


def checksum_tensors(tensors: dict[str, Tensor]) -> int:
    """A checksum of the bytes of all tensors, by name."""
    found = 0
    for _, value in sorted(tensors.items()):
        found = zlib.crc32(value.cpu().flatten().view(torch.uint8).numpy(), found)
    return found


def find_state(training: Training) -> dict[str, object]:  #? remembers
    """The state of the optimizer, which it has for all parameters together."""  #? remembers
    (group,) = training.optimizer.param_groups  #? remembers
    return training.optimizer.state[group["params"][0]]  #? remembers
  #? remembers
  #? remembers
def pack(value: Tensor | list[Tensor] | float) -> Tensor:  #? remembers
    """A part of the state as a tensor: lists are stacked, numbers have no axes."""  #? remembers
    if isinstance(value, list):  #? remembers
        return torch.stack(value) if value else torch.empty(0)  #? remembers
    kind = torch.float64 if isinstance(value, float) else None  #? remembers
    return torch.as_tensor(value, dtype=kind)  #? remembers
  #? remembers
  #? remembers
def unpack(key: str, value: Tensor) -> Tensor | list[Tensor] | float:  #? remembers
    """What `pack` was given."""  #? remembers
    if key in ("old_dirs", "old_stps", "ro"):  #? remembers
        return [part.clone() for part in value]  # sums depend on alignment  #? remembers
    whole = value.dtype in (torch.int64, torch.float64) and not value.dim()  #? remembers
    return value.item() if whole else value.clone()  #? remembers
  #? remembers
  #? remembers
def load_checkpoint(path: Path, training: Training) -> None:
    """Restores what `save_checkpoint` saved."""
    parameters = dict(training.model.named_parameters())  #? direct
    device = next(training.model.parameters()).device  #? remembers
    owners = {p: o for o in training.optimizers for p in o.param_groups[0]["params"]}  #? optimizers
    weights = {}  #? not stateless
    for full_name, value in load_file(path).items():  #? not stateless
        key, name = full_name.split("/", 1)  #? not stateless
        if key == "model":  #? not stateless
            weights[name] = value  #? not stateless
        else:  #? not stateless
            find_state(training)[key] = unpack(key, value.to(device))  #? remembers
            parameter = parameters[name]  #? direct
            value = value.to(parameter.device)  #? direct
            if value.shape == parameter.shape:  # a fused step needs its layout  #? laid_out
                value = torch.empty_like(parameter).copy_(value)  #? laid_out
            training.optimizer.state[parameter][key] = value  #? plain
            owners[parameter].state[parameter][key] = value  #? optimizers
    weights = {k.removeprefix("model/"): v for k, v in load_file(path).items()}  #? stateless
    training.model.load_state_dict(weights)
    with safe_open(path, "pt") as file:
        progress = json.loads(file.metadata()["progress"])
    training.scaler.load_state_dict(progress["scaler"])  #? scaler
    $restored_lines
    training.epoch, training.best = progress["epoch"], tuple(progress["best"])
    training.best_epoch = progress["best_epoch"]


def restore_rates(  #? plateau
    plateau: torch.optim.lr_scheduler.ReduceLROnPlateau, state: dict[str, object]  #? plateau
) -> None:  #? plateau
    """Restores what follows a figure, and the learning rates that it has set."""  #? plateau
    plateau.load_state_dict(state)  #? plateau
    groups = plateau.optimizer.param_groups  #? plateau
    for group, rate in zip(groups, plateau.get_last_lr(), strict=True):  #? plateau
        group["lr"] = rate  #? plateau
  #? plateau
  #? plateau
def restore(path: Path, training: Training) -> None:
    """Goes on from a checkpoint; ends the process where it is none of this training."""
    try:
        load_checkpoint(path, training)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
        sys.exit(f"{path} is damaged: give --overwrite or another --out")
'''

TRAIN = '''
def train(training: Training, splits: dict[str, list[Tensor]], out: Path) -> None:
    """Trains with a line in metrics.jsonl and a checkpoint after every epoch."""
    model = training.model
    $replica_lines
    while $unfinished:
        started = time.perf_counter()
        training.epoch += 1
        record = {"epoch": training.epoch}
        record["train.loss"] = train_epoch(training, replica, splits["train"])  #? replica
        record["train.loss"] = train_epoch(training, splits["train"])  #? not replica
        $buffer_lines
        $evaluation_lines
        $rate_lines
        record["seconds"] = time.perf_counter() - started
        score = $score
        better = score > training.best
        if better:
            training.best, training.best_epoch = score, training.epoch
        $plateau_lines
        if RANK == 0:
            with (out / "metrics.jsonl").open("a") as log:
                log.write(json.dumps(record) + "\\n")
            print(*(f"{$shown_name} {value:.4g}" for name, value in record.items()), flush=True)
            if better:
                save(out / "best.safetensors", model.state_dict(), training)
            save_checkpoint(out / "last.safetensors", training)
'''

MAIN = '''
def start_process(device: str | None) -> torch.device:
    """The device of this process, which is connected to the others."""
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no CUDA device")
    if BATCH % WORLD:
        sys.exit(f"a batch of {BATCH} does not divide among {WORLD} processes")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if WORLD > 1:
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    return torch.device(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=$description)
    parser.add_argument("--data", type=Path, default=".", help="folder of the data")  #? folder
    parser.add_argument("--out", type=Path, default="run", help="folder for results")
    begun = parser.add_mutually_exclusive_group()
    begun.add_argument("--resume", action="store_true", help="go on where it stopped")
    begun.add_argument("--overwrite", action="store_true", help="start anew, delete results")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="cuda where there is one")
    options = parser.parse_args()
    out = options.out
    loaded = load_columns()  #? not folder
    try:  #? folder
        loaded = load_columns(options.data)  #? folder
    except ($unreadable) as error:  #? folder
        sys.exit(f"the data cannot be read: {error!r}")  #? folder
    settings = SETTINGS | {"data": checksum(loaded)}
    check_folder(out, settings, resume=options.resume, overwrite=options.overwrite)
    device = start_process(options.device)
    out.mkdir(parents=True, exist_ok=True)
    splits = load_splits($load_arguments)

    torch.manual_seed(SEED)
    $model_lines
    $optimizer_lines
    $training_lines
    if options.resume and (out / "last.safetensors").exists():
        restore(out / "last.safetensors", training)
    if RANK == 0:
        clear_folder(out, training.epoch)
    train(training, splits, out)

    if WORLD > 1:
        dist.barrier()  # the best weights are written
    if not training.best_epoch:
        sys.exit($unmeasured)
    model.load_state_dict(load_file(out / "best.safetensors"))
    results = {"epochs": training.epoch, "best_epoch": training.best_epoch}
    for split in $final_splits:
        results[split] = evaluate(model, splits[split])
    if RANK == 0:
        print(json.dumps(results, indent=2))
        (out / "results.json").write_text(json.dumps(results, indent=2) + "\\n")


def checksum(loaded: dict[str, np.ndarray]) -> int:
    """A number that is another one for other data."""
    found = 0
    for values in loaded.values():
        found = zlib.crc32(np.ascontiguousarray(values), found)
    return found


def check_folder(
    out: Path, settings: dict[str, object], *, resume: bool, overwrite: bool
) -> None:
    """Ends the process where results would be lost, or gone on with in another way."""
    stems = {Path(name).stem for name in RESULTS}  # `.part` files are written too
    links = [path for path in out.glob("*") if path.stem in stems and path.is_symlink()]
    if links:
        sys.exit(f"{links[0]} is a symbolic link, and nothing is written there")
    found = [name for name in RESULTS if (out / name).exists()]
    if overwrite or not found:
        return
    if not resume:
        sys.exit(f"{out} holds a training: give --resume, --overwrite or another --out")
    begun, finished = "last.safetensors" in found, "results.json" in found
    if (begun and "best.safetensors" not in found) or (finished and not begun):
        sys.exit(f"{out} lacks what --resume needs: give --overwrite or another --out")
    for name in found:
        if name.endswith(".safetensors"):
            check_settings(out / name, settings)


def check_settings(path: Path, settings: dict[str, object]) -> None:
    """Ends the process where a file was written by a training with other settings."""
    try:
        with safe_open(path, "pt") as file:
            progress = json.loads(file.metadata()["progress"])
        found, known = dict(progress["settings"]), progress.pop("checksum")
        whole = progress["tensors"] == checksum_tensors(load_file(path))
        if not whole or known != zlib.crc32(json.dumps(progress).encode()):
            raise ValueError  # a byte has changed
    except (SafetensorError, KeyError, TypeError, ValueError):
        sys.exit(f"{path} is damaged: give --overwrite or another --out")
    others = [
        f"{name} is {found.get(name)!r} there and {settings.get(name)!r} here"
        for name in settings | found
        if found.get(name) != settings.get(name)
    ]
    if others:
        sys.exit(f"{path} was trained with other settings: {'; '.join(others)}")


def clear_folder(out: Path, epochs: int) -> None:
    """Leaves of an earlier training what belongs to its finished epochs."""
    log = out / "metrics.jsonl"
    if epochs:
        lines = log.read_text().splitlines(keepends=True)
        part = log.with_suffix(".part")
        part.write_text("".join(lines[:epochs]))
        part.replace(log)
        return
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)


def run() -> int | str | None:
    """Runs `main`; the exit status, or why it ended."""
    try:
        main()
    except SystemExit as end:
        return end.code
    except FileNotFoundError as error:
        return f"there is no file {error.filename}"  #? not folder
        return f"there is no file {error.filename}; --data says where paths start"  #? folder
    except (OSError, SafetensorError) as error:  # a full disk, a folder that is a file
        return str(error)
    except IndexError as error:  # what is computed of the data  #? places
        return f"a class number or a place is out of range: {error}"  #? places
    except torch.OutOfMemoryError:
        return f"the GPU is out of memory; a BATCH below {BATCH} takes less"
    except KeyboardInterrupt:
        return "stopped; --resume goes on after the last finished epoch"
    return None


if __name__ == "__main__":
    status = run()
    if dist.is_initialized():
        gc.collect()  # what still holds the process group would let its threads outlive it
        dist.destroy_process_group()
    sys.exit(status)
'''
