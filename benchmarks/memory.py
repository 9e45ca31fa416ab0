"""Peak resident memory of a training on full MNIST, in a separate process.

python -m benchmarks.memory [--family vae] [--epochs 1]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile

from benchmarks import results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="vae")
    parser.add_argument("--epochs", default="1")
    args = parser.parse_args()
    command = [sys.executable, "-m", "aevae", "train", "--family", args.family, "--dataset", "mnist", "--device", "cpu"]
    with tempfile.TemporaryDirectory() as store:
        env = os.environ | {"AEVAE_RUNS": store}
        done = subprocess.run(
            [*command, "--epochs", args.epochs, "--force"], env=env, capture_output=True, encoding="utf-8"
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # KiB on Linux, bytes on macOS
    peak /= 1024 if sys.platform != "darwin" else 1024**2
    results.save("memory", {"family": "", "epochs": "", "peak (MiB)": ".0f"}, [(args.family, args.epochs, peak)])


if __name__ == "__main__":
    main()
