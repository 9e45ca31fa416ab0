"""Every argument of every command: a wrong value gives one sentence on stderr and exit code 2.

The arguments are read from the parser: a new one without bad values here fails a test.
"""

import argparse
import os
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest

from aevae import paths
from aevae.cli import main
from aevae.cli.parser import build_parser
from aevae.store import checkpoints, files

LONG = "x" * 5000
NUMBERS = ["", " ", "-1", "1.5", "nan", "inf", "1e3", "ten", "0x10", "9" * 30, "9" * 5000, "\udcff", "1\n2", "½"]
NAMES = ["", " ", "nope", LONG, "\udcff", "é", "a\nb"]
FIELDS = ["", " ", "0", "-1", "nan", "inf", "1e999", "ten", "9" * 5000, "\udcff", "1\n2", "½"]
BAD = {
    "seed": NUMBERS, "seeds": [*NUMBERS, "0", "1001"], "samples": [*NUMBERS, "0"], "temperatures": [*NUMBERS, "0"],
    "chains": [*NUMBERS, "0"], "n": [*NUMBERS, "1" * 11], "parent": [*NUMBERS, "0"],
    "device": [*NAMES, "CPU", "cpu:0", "cuda:", "cuda:-1", "cuda:x", "cuda:²", "cuda:99", "auto,cpu"],
    "preset": NAMES, "method": NAMES, "format": NAMES, "family": [*NAMES, "VAE"],
    "dataset": [*NAMES, "MNIST", "images:", "images:/nowhere", f"images:{LONG}", "moving-digits"],
    "metrics": [*NAMES, ",", " , ", "all,nope", "sse,nope", "quick,fid", "kl;elbo"],
    "latent_dim": [*FIELDS, "785"], "beta": FIELDS[:2] + FIELDS[3:], "epochs": FIELDS, "batch_size": FIELDS,
    "lr": FIELDS,
    "set": ["", "x", "=", "=1", "nope=1", "hidden=", "hidden=nan", "hidden=0", "limit=-1", "binarise=x", "name=x",
            "centre=perhaps", "seed=1", "digest=x", "family=ae", "\udcff=1", "hid\nden=1", f"{LONG}=1",
            "hidden=" + "9" * 5000],
    "run": [*NAMES, ".", "..", "/", "@best", "vae", "FOLDER", "FILE", "FILE/x", f"{LONG}/x",
            f"{'a' * 300}-mnist-0123456789ab"],
    "input": ["", " ", "FOLDER", "FOLDER/", "FILE/x", "FOLDER/no/x.npy", "nowhere.npy", "no\nwhere.npy", LONG, "TEXT",
              "\udcff"],
    "file": ["", " ", "FOLDER", "FILE/x", "nowhere.zip", "no\nwhere.zip", LONG, "TEXT", "\udcff"],
    "array": ["", " ", "nope", LONG],
    "out": ["", " ", "FOLDER", "FOLDER/", "FOLDER/no/a", "FOLDER/no/", "FILE/a", LONG, f"FOLDER/{LONG}",
            "/proc/none/a"],
    "json": ["=1"], "force": ["=1"], "resume": ["=1"], "half": ["=1"], "once": ["=1"],
}  # fmt: skip
BASE = {  # a right request of each command, without the positional argument
    "train": ["--family=beta_vae"], "sweep": ["--family=beta_vae"], "eval": [], "encode": ["--in=IMAGES", "--out=OUT"],
    "decode": ["--in=CODES", "--out=OUT"], "embed": ["--method=pca", "--out=OUT"], "runs": [], "families": [],
    "datasets": [], "show": [], "delete": [], "export": [], "report": ["--out=OUT"], "import": [], "check": [],
    "bench": [], "worker": [], "app": [],
}  # fmt: skip


def commands() -> dict[str, argparse.ArgumentParser]:
    (choices,) = (a.choices for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return choices


CASES = [
    (name, action)
    for name, parser in commands().items()
    for action in parser._actions
    if not isinstance(action, argparse._HelpAction)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What arguments name: a folder, a file, arrays."""
    root = tmp_path_factory.mktemp("arguments")
    (root / "FOLDER").mkdir()
    for name in ("FILE", "TEXT"):
        (root / name).write_text("no array and no zip", "utf-8")
    np.save(root / "IMAGES", np.zeros((2, 1, 28, 28), np.float32))
    np.savez(root / "CODES", z=np.zeros((2, 3), np.float32))
    for name, there in (("IMAGES", "IMAGES.npy"), ("CODES", "CODES.npz")):
        (root / there).rename(root / name)
    return root


def wrong(capsys, argv: list[str]) -> str:
    code = main(argv)
    out, err = capsys.readouterr()
    said = f"{[word[:80] for word in argv]} -> {code}: {err[:300]!r}"
    assert code == 2, said
    assert out == "" and err.startswith("aevae: ") and err.count("\n") == 1 and len(err) > 12, said
    assert "Traceback" not in err and "Error" not in err and "/." not in err.replace("/..", ""), said
    return err


def test_every_argument_has_bad_values():
    assert {action.dest for _, action in CASES} <= BAD.keys() and commands().keys() == BASE.keys()


@pytest.mark.slow
@pytest.mark.parametrize(("command", "action"), CASES, ids=lambda value: getattr(value, "dest", value))
def test_a_wrong_value_is_one_sentence(store, folder, capsys, monkeypatch, command, action):
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.iterdir())
    runs = sorted(run.name for run in checkpoints.list_runs())
    positional = {"run": store["vae"], "file": "TEXT"}
    words = {a.dest: positional[a.dest] for a in commands()[command]._actions if not a.option_strings}
    for bad in BAD[action.dest]:
        if action.dest == "dataset" and bad == "moving-digits" and command == "sweep":
            continue  # the sweep asks each run
        if command == "encode" and action.dest == "array":
            continue  # IMAGES is an .npy, which has no names: see below
        argv = [command, *BASE[command]]
        if action.option_strings:
            flag = action.option_strings[0]
            argv = [word for word in argv if not word.startswith(f"{flag}=")]
            argv += [*words.values(), f"{flag}{bad}" if action.nargs == 0 else f"{flag}={bad}"]
        else:
            argv += (words | {action.dest: bad}).values()
        wrong(capsys, argv)
    assert sorted(path.name for path in folder.iterdir()) == before, "nothing is left behind"
    assert sorted(run.name for run in checkpoints.list_runs()) == runs


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            ["report", "RUN", "--dataset", "kmnist", "--out", "OUT"],
            "--dataset must be a data set for which a run has numbers (mnist-5k)",
        ),
        (["eval", "RUN", "--dataset", "moving-digits"], "moving-digits has sequences, but vae needs single images"),
        (["embed", "RUN", "--dataset", "moving-digits", "--out", "OUT"], "moving-digits has sequences"),
        (["eval", "RUN", "--metrics", ","], "--metrics must be names"),
        (["eval", "RUN", "--seed", "x"], "--seed must be a whole number in 0..2147483647, got x"),
        (["report", "RUN", "--out", "no/a.html"], "there is no folder"),
        (["report", "RUN", "--out", "FOLDER"], "--out must be a file, FOLDER is a folder"),
        (["report", "RUN", "--out", ""], "--out must be the name of a file"),
        (["export", "RUN", "--out", ""], "--out must be the name of a file"),
        (["export", "RUN", "--half"], "--half is for --format folder only"),
        (["export", "RUN", "--format", "folder", "--out", "FILE/x"], "is a file"),
        (["import", "FOLDER"], "FOLDER"),
        (["encode", "RUN", "--in", "IMAGES", "--array", "x", "--out", "OUT"], "leave out --array"),
        (["train", "--family", "vae", "--a\nb"], "unrecognized arguments: --a\\nb"),
    ],
)
def test_what_the_sentence_says(store, folder, capsys, monkeypatch, argv, words):
    monkeypatch.chdir(folder)
    assert words in wrong(capsys, [store["vae"] if word == "RUN" else word for word in argv])


def test_sequences_and_single_images_do_not_mix(empty_store, monkeypatch, capsys):
    monkeypatch.setenv("AEVAE_PRETRAINED", str(paths.ROOT / "checkpoints" / "pretrained"))
    (name,) = [run.name for run in checkpoints.list_runs() if run.family == "td_vae"]
    assert "td_vae needs sequences" in wrong(capsys, ["eval", name, "--dataset", "mnist-5k"])


def test_an_error_names_the_requested_file_and_not_a_hidden_one(tmp_path):
    with pytest.raises(OSError) as error:
        files.write_atomic(tmp_path / "no" / "a.html", b"")
    assert str(error.value).endswith(f"{str(tmp_path / 'no' / 'a.html')!r}")
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError) as error:
        files.write_atomic(tmp_path / "a", b"")
    assert str(error.value).endswith(f"{str(tmp_path / 'a')!r}") and [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_file_that_cannot_be_read(store, tmp_path, capsys):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (tmp_path / "x.npy").touch(mode=0)
    assert "cannot be read" in wrong(capsys, ["encode", store["vae"], "--in", str(tmp_path / "x.npy"), "--out", "z"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_or_device_is_written_to_and_stays_one(store, tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert main(["report", store["ae"], "--out", str(pipe)]) == 0
    reader.join(20)
    assert stat.S_ISFIFO(pipe.stat().st_mode) and got[0].startswith(b"<!doctype html>")


@pytest.mark.skipif(sys.platform == "win32", reason="there, links need a permission")
def test_a_link_to_a_file_stays_a_link(store, tmp_path):
    (tmp_path / "real.html").write_text("old", "utf-8")
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    assert main(["report", store["ae"], "--out", str(tmp_path / "link.html")]) == 0
    assert (tmp_path / "link.html").is_symlink() and "<!doctype" in (tmp_path / "real.html").read_text("utf-8")


# -- streams ---------------------------------------------------------------------------------------------------------


def shell(line: str, **environment) -> subprocess.CompletedProcess:
    command = line.replace("aevae", f"{sys.executable} -m aevae", 1)
    return subprocess.run(
        ["sh", "-c", command],
        cwd=paths.ROOT,
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs sh")
@pytest.mark.parametrize("close", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams(store, close):
    done = shell(f"aevae runs --json {close}")
    assert done.returncode == 0 and done.stderr == ""
    assert shell(f"aevae show nothing {close}").returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["runs", "runs --json"])
def test_a_full_disk_behind_stdout_is_one_sentence(command):
    done = shell(f"aevae {command} > /dev/full")
    assert done.returncode == 1 and done.stderr.startswith("aevae: the result cannot be written")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_terminal_without_these_letters_shows_escapes(store):
    done = shell("aevae families", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and done.stderr == "" and done.stdout.isascii()
    assert shell("aevae show 数", PYTHONIOENCODING="ascii").stderr.startswith("aevae: no run ")


# -- arrays ----------------------------------------------------------------------------------------------------------


def test_the_npz_of_embed_is_decoded(store, tmp_path, capsys):
    made, out = str(tmp_path / "map.npz"), tmp_path / "out.npy"
    assert main(["embed", store["vae"], "--method", "pca", "--n", "30", "--out", made]) == 0
    assert main(["decode", store["vae"], "--in", made, "--out", str(out)]) == 0
    assert np.load(out).shape == (30, 1, 28, 28)
    capsys.readouterr()
    said = wrong(capsys, ["encode", store["vae"], "--in", made, "--out", str(out)])
    assert "has no array (N, 1, 28, 28)" in said and "z (30, 3), xy (30, 2), labels (30)" in said


def test_of_several_arrays_one_is_named(store, tmp_path, capsys):
    made, out = str(tmp_path / "two.npz"), str(tmp_path / "out.npy")
    first, second = np.zeros((2, 3)), np.ones((4, 3))
    np.savez(made, first=first, second=second, words=np.array(["a"]), objects=np.array([{}], object))
    decode = ["decode", store["vae"], "--in", made, "--out", out]
    said = wrong(capsys, decode)
    assert "--array NAME" in said and "first (2, 3), second (4, 3)" in said
    assert main([*decode, "--array", "second"]) == 0 and len(np.load(out)) == 4
    capsys.readouterr()
    assert "has no array 'third'" in wrong(capsys, [*decode, "--array", "third"])
    assert "must hold numbers" in wrong(capsys, [*decode, "--array", "words"])
    np.savez(made, z=second, other=first)  # of several that fit, the usual name
    assert main(decode) == 0 and len(np.load(out)) == 4


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"PK\5\6" + bytes(18), b"\x93NUMPY", b"\x93NUMPY\1\0\xff\xff"])
def test_what_is_no_array_is_said(store, tmp_path, capsys, content):
    (tmp_path / "x").write_bytes(content)
    wrong(capsys, ["decode", store["vae"], "--in", str(tmp_path / "x"), "--out", str(tmp_path / "z")])


def test_images_are_taken_as_shares_as_bytes_and_in_black_and_white(store, tmp_path, capsys):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (3, 1, 28, 28), dtype=np.uint8)

    def code(array) -> np.ndarray:
        np.save(tmp_path / "x.npy", array)
        argv = ["encode", store["vae"], "--in", str(tmp_path / "x.npy"), "--out", str(tmp_path / "z.npy")]
        assert main(argv) == 0
        return np.load(tmp_path / "z.npy")

    as_shares = code(grey / np.float32(255))
    assert "grey levels" not in capsys.readouterr().err
    for kind in (np.uint8, np.int64, np.uint16):
        assert np.allclose(code(grey.astype(kind)), as_shares, atol=1e-6)
        assert "are read as grey levels 0..255" in capsys.readouterr().err
    lit = grey > 127
    assert np.array_equal(code(lit), code(lit.astype(np.float32)))
    assert np.array_equal(code(lit.astype(np.uint8)), code(lit.astype(np.float32)))
    np.save(tmp_path / "x.npy", grey.astype(np.int64) - 1)
    argv = ["encode", store["vae"], "--in", str(tmp_path / "x.npy"), "--out", str(tmp_path / "z.npy")]
    capsys.readouterr()
    assert "images must be in 0..1, or whole numbers in 0..255" in wrong(capsys, argv)
