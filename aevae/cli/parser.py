"""The parser of the command line: commands, their options and help texts."""

import argparse

from aevae.cli import measuring, store, training
from aevae.cli.arguments import (
    MAX_COUNT,
    MAX_PROCESS_ID,
    MAX_SEED,
    Parser,
    device_name,
    lane_name,
    name_list,
    non_empty,
    readable_file,
    readable_path,
    whole_number,
    writable_file,
)
from aevae.cli.settings import NAMED_OPTIONS
from aevae.config import PRESETS
from aevae.launch import COMMAND

DEVICE_HELP = "where to compute: auto (a working GPU, else the CPU), cpu, cuda, cuda:1 or mps; default: auto"


def build_parser() -> argparse.ArgumentParser:
    """The parser; `args.command(args)` runs the command that was given."""
    parser = Parser(prog=COMMAND, description="Train, store, explore and compare autoencoders.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)
    _add_training(commands)
    _add_evaluation(commands)
    _add_arrays(commands)
    _add_store(commands)
    _add_machine(commands)
    return parser


def _add(commands, name: str, function, help: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=help, description=help)
    command.set_defaults(command=function)
    command.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return command


def _add_with_run(commands, name: str, function, help: str) -> argparse.ArgumentParser:
    command = _add(commands, name, function, help)
    command.add_argument("run", metavar="RUN", help="a run's name, a prefix of its fingerprint, or a path")
    return command


def _add_with_model(commands, name: str, function, help: str) -> argparse.ArgumentParser:
    command = _add_with_run(commands, name, function, help)
    _add_device(command)
    return command


def _add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", type=device_name, default="auto", help=DEVICE_HELP)


def _add_seed(command: argparse.ArgumentParser, what: str) -> None:
    help = f"seed of {what}, a whole number; default: 0"
    command.add_argument("--seed", type=whole_number(0, MAX_SEED), default=0, help=help)


def _add_training(commands) -> None:
    command = _add(
        commands, "train", training.train, "train a run that is not in the store yet; an interrupted run is resumed"
    )
    _add_config(command)
    command = _add(
        commands,
        "sweep",
        training.sweep,
        "train every combination of listed values (--beta 1,4 --latent-dim 2,10 --set hidden=100,400)",
    )
    _add_config(command)
    command.add_argument(
        "--seeds",
        type=whole_number(0, MAX_COUNT),
        default=1,
        help="number of seeds per combination, from --seed on; default: 1",
    )


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--family", required=True, help="the model family: a name that `families` lists")
    for name, help in NAMED_OPTIONS.items():
        command.add_argument("--" + name.replace("_", "-"), help=help)
    _add_seed(command, "the first weights and the order of the images")
    _add_device(command)
    command.add_argument(
        "--preset",
        default="fast",
        choices=PRESETS,
        help="source of the training options that are not given; default: fast",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any other option of model, data or training; repeatable",
    )
    either = command.add_mutually_exclusive_group()
    either.add_argument("--force", action="store_true", help="train again even if the run is in the store")
    either.add_argument("--resume", action="store_true", help="resume a diverged run from its last checkpoint")


def _add_evaluation(commands) -> None:
    command = _add_with_model(commands, "eval", measuring.evaluate, "compute metrics on the test images")
    command.add_argument("--dataset", type=non_empty, help="source of the test images; default: the run's own data set")
    command.add_argument(
        "--metrics", type=name_list, help="names with commas between them, or all; default: the fast ones (1 second)"
    )
    command.add_argument(
        "--samples",
        type=whole_number(1, MAX_COUNT),
        help="number of samples of z per image; default: 500 for nll, 1 for other metrics",
    )
    command.add_argument(
        "--temperatures", type=whole_number(1, MAX_COUNT), help="number of temperatures of ais; default: 500"
    )
    command.add_argument(
        "--chains", type=whole_number(1, MAX_COUNT), help="number of chains per image of ais; default: 4"
    )
    command.add_argument(
        "--n",
        "--limit",
        type=whole_number(0, MAX_COUNT),
        default=0,
        help="number of test images, the first ones; default: 0, which means all",
    )
    _add_seed(command, "the random samples")


def _add_arrays(commands) -> None:
    for name, function, help in (
        ("encode", measuring.encode, "encode images (N,1,28,28) of an .npy or .npz file to codes (N,D)"),
        ("decode", measuring.decode, "decode codes (N,D) of an .npy or .npz file to images (N,1,28,28)"),
    ):
        command = _add_with_model(commands, name, function, help)
        command.add_argument(
            "--in", dest="input", type=readable_file, required=True, help="the .npy or .npz file to read"
        )
        command.add_argument(
            "--array", type=non_empty, metavar="NAME", help="the array to read; needed if the .npz file has several"
        )
        command.add_argument("--out", type=writable_file, required=True, help="the .npy file to write")

    command = _add_with_model(commands, "embed", measuring.embed, "a two-dimensional map of the test codes")
    command.add_argument(
        "--method",
        default="tsne",
        choices=("latent", "pca", "tsne", "umap"),
        help="latent: the first two numbers of the code; pca, tsne, umap: a map of all its numbers; default: tsne",
    )
    command.add_argument("--dataset", type=non_empty, help="source of the test images; default: the run's own data set")
    command.add_argument(
        "--n",
        type=whole_number(1, MAX_COUNT),
        help=f"number of test images, up to all; default: the first {measuring.DEFAULT_CODES}",
    )
    _add_seed(command, "the random numbers of tsne and umap")
    command.add_argument("--out", type=writable_file, required=True, help="the .npz file to write")


def _add_store(commands) -> None:
    commands.add_parser("app", help="open the laboratory in the browser; flags of `streamlit run` may follow")
    _add(commands, "runs", store.list_runs, "list the runs in the store")
    _add(commands, "families", store.list_families, "list the families with their objectives and options")
    _add(commands, "datasets", store.list_datasets, "list the data sets with sources and licences")
    _add_with_run(commands, "show", store.show, "show config, state and metrics of a run")
    _add_with_run(commands, "delete", store.delete, "delete one of your runs")
    command = _add_with_run(
        commands, "export", store.export, "export a run as zip, ONNX decoder, TensorBoard events, or folder"
    )
    command.add_argument(
        "--format",
        default="zip",
        choices=("zip", "onnx", "tensorboard", "folder"),
        help="zip: the whole run; onnx: its decoder; tensorboard: its history; folder: the run folder; default: zip",
    )
    command.add_argument("--half", action="store_true", help="with --format folder: weights in half precision")
    command.add_argument(
        "--out", help="the file or folder to write; default: RUN.zip, RUN.onnx, tensorboard or the current folder"
    )
    command = _add(
        commands,
        "report",
        store.report,
        "write one self-contained HTML page about runs: figures, metrics, configs, commands",
    )
    command.add_argument("run", metavar="RUN", nargs="+", help="names, prefixes of fingerprints, or paths")
    command.add_argument(
        "--dataset",
        type=non_empty,
        help="data set of the test images in the first table; default: the one with numbers of most runs",
    )
    command.add_argument("--out", type=writable_file, required=True, help="the HTML file to write")
    command = _add(commands, "import", store.import_run, "import a run that `export` wrote, as zip or folder")
    command.add_argument("file", type=readable_path, help="a zip or folder, even if it was packed again")


def _add_machine(commands) -> None:
    _add(commands, "check", measuring.check, "check all identities that need no data, and print their residuals")
    command = _add(
        commands, "bench", training.bench, "measure how long the usual trainings take on this machine (a minute)"
    )
    _add_device(command)
    command = _add(commands, "worker", training.worker, "run the jobs of the queue")
    command.add_argument("--device", type=lane_name, default="auto", help=DEVICE_HELP + ". tasks: maps and metrics")
    command.add_argument(
        "--parent", type=whole_number(1, MAX_PROCESS_ID), help="end when the process with this id has ended"
    )
    command.add_argument("--once", action="store_true", help="end when the queue is empty")
