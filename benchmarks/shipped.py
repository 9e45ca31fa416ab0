"""The README's table of shipped models, from their stored numbers: `python -m benchmarks.shipped`.

The numbers were computed by `scripts/make_pretrained.sh`; `tests/test_shipped.py` computes them again.
"""

from aevae import checkpoints
from aevae.figures.palette import family_title


def main() -> None:
    print("| model | run | recon | KL | −ELBO | squared error | PSNR (dB) |\n|---|---|---|---|---|---|---|")
    for run in checkpoints.list_runs():
        if not run.shipped:
            continue
        model, numbers = run.config["model"], run.metrics["mnist"]
        what = f"{family_title(run.family)} d={run.latent_dim}" + (" conv" if model["network"] == "conv" else "")
        what += f" β={model['beta']:g}" if "beta" in model else ""
        kl = f"{numbers['kl']:.1f}" if "kl" in numbers else "–"
        elbo = f"{-numbers['elbo']:.1f}" if "elbo" in numbers else "–"
        row = (
            what,
            f"`{run.fingerprint}`",
            f"{numbers['recon']:.1f}",
            kl,
            elbo,
            f"{numbers['sse']:.2f}",
            f"{numbers['psnr']:.1f}",
        )
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
