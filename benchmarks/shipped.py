"""The README's table of shipped models, from their stored numbers: `python -m benchmarks.shipped`.

The numbers were computed by `scripts/make_pretrained.sh`; `tests/test_shipped.py` computes them again.
"""

from aevae import checkpoints
from aevae.figures.palette import family_title

SAID = {  # numbers that only some families have, and how they are written
    "perplexity": "perplexity {:.0f}",
    "perplexity_top": "perplexity {:.0f} (top)",
    "perplexity_bottom": "{:.0f} (bottom)",
    "units_on": "{:.0f} units on",
    "above_pca": "{:.2f} above PCA",
    "class_from_content": "class from content {:.0%}",
    "class_from_style": "from style {:.0%}",
    "near_10": "within a pixel after a jump of 4: {:.0%}",
    "warp_sse": "warped {:.1f}",
    "identity_sse": "unwarped {:.1f} (squared error)",
    "iwae": "L_5 {:.1f}",
}


def main() -> None:
    print("| model | run | recon | KL | −ELBO | squared error | PSNR (dB) | besides |")
    print("|---|---|---|---|---|---|---|---|")
    for run in checkpoints.list_runs():
        if run.shipped:
            print("| " + " | ".join(row(run)) + " |")


def row(run: checkpoints.RunInfo) -> tuple[str, ...]:
    model, numbers = run.config["model"], run.metrics[run.dataset]
    what = f"{family_title(run.family)} d={run.latent_dim}" + (" conv" if model.get("network") == "conv" else "")
    what += f" β={model['beta']:g}" if run.family == "beta_vae" else ""
    what += f" ({run.dataset})" if run.dataset != "mnist" else ""

    def say(name: str, form: str, sign: int = 1) -> str:
        return format(sign * numbers[name], form) if name in numbers else "–"

    besides = ", ".join(text.format(numbers[name]) for name, text in SAID.items() if name in numbers)
    return (
        what, f"`{run.fingerprint}`", say("recon", ".1f"), say("kl", ".1f"), say("elbo", ".1f", -1), say("sse", ".2f"),
        say("psnr", ".1f"), besides,
    )  # fmt: skip


if __name__ == "__main__":
    main()
