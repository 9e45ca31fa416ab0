"""Autoencoded flow: min E_q[-log p(x_t | warp(x_s, F))] + KL(q(z|x_s, x_t) || N(0, I)) + w ||grad F||^2, F = g(z).

Yeh et al. 2016, arXiv:1611.09961 (semantic facial expression editing using autoencoded flow). The model generates no
pixels: it predicts for each target pixel from where in the source to copy, out(p) = x_s(p + F(p)). So its images are as
sharp as the source, and arithmetic on codes, z + a (mean code of a change - mean code of no change), edits any image.
Differs from the VAE: the code describes a pair of images, the decoder yields a flow, and pixels come from the source.

Ways to write a digit replace facial expressions: x_t is x_s, randomly rotated, scaled, slanted and shifted, or another
image of the same class. -(recon + kl) is a lower bound on log p(x_t | x_s).
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from aevae import losses
from aevae.config import option
from aevae.models.blocks import CONV_FEATURES, PIXELS, FixedOffset, batches, decoder
from aevae.models.vae import VAE, VAEConfig
from aevae.noise import uniform
from aevae.outputs import Loss, Output
from aevae.units import SQUARED_ERROR

# Kind of change -> its largest amount: radians clockwise; log of the factor; shift to the right per row upwards, in
# pixels; pixels to the right; pixels down.
CHANGES = {"rotation": 0.4, "scale": 0.2, "slant": 0.4, "right": 3.0, "down": 3.0}
EDITS = (("slant", -1.0), ("slant", -0.5), ("slant", 0.5), ("slant", 1.0), ("rotation", -1.0), ("rotation", 1.0),
         ("scale", -1.0), ("scale", 1.0))  # fmt: skip


@dataclass(frozen=True)
class FlowVAEConfig(VAEConfig):
    """Autoencoded flow (Yeh et al. 2016)."""

    family: ClassVar[str] = "flow_vae"
    recipe: ClassVar[dict] = {"epochs": 20, "batch_size": 64}
    grey_levels: ClassVar[int] = 16
    likelihood: str = option(
        "gaussian",
        "p(x_t|z, x_s) of a pixel: gaussian (squared error, fixed sigma), gaussian_learned (one learnt sigma)",
        choices=("gaussian", "gaussian_learned"),
    )
    pairs: str = option(
        "warp",
        "the target: warp (the source, randomly rotated, scaled, slanted and shifted) or class (another image of its "
        "class)",
        choices=("warp", "class"),
    )
    roughness: float = option(
        0.02, "w: weight of ||grad F||^2 (F in pixels), which keeps the flow smooth", min=0.0, max=100.0
    )

    @property
    def channels(self) -> int:
        """A flow has two numbers for each pixel."""
        return 2


class FlowVAE(VAE):
    """A VAE of pairs (x_s, x_t), two channels of (B, 2, 28, 28). Its code describes the change from x_s to x_t."""

    Config = FlowVAEConfig
    config: FlowVAEConfig
    objective = "-log p(x_t | warp(x_s, F)) + KL(q(z|x_s, x_t) || N(0, I)) + w ||grad F||^2"
    paper = "Yeh et al. 2016"
    input = "pair"
    batched = False  # pairs of one class depend on the labels of the batch
    units: ClassVar[dict[str, str]] = VAE.units | {
        "identity_sse": f"{SQUARED_ERROR}, of the unchanged source",
        "warp_sse": f"{SQUARED_ERROR}, of the source warped",
        "edges": "gradient energy of the warped image / of the target",
        "edges_blurred": "gradient energy of the target blurred over 3 x 3 pixels / of the target",
    }

    has_objective_per_image = False  # the objective contains a batch mean, the roughness of the flows

    @property
    def extra_inputs(self) -> tuple[str, ...]:  # ty: ignore[incompatible-property-override]
        return ("labels",) if self.config.pairs == "class" else ()

    def build(self) -> None:
        self.encoder, width = pair_encoder(self.config.network, self.config.hidden)
        self.build_code(width)
        self.decoder = decoder(self.config)

    def init_from_mean(self, mean: Tensor) -> None:
        """Centre the encoder's inputs at the mean image. The initial flow is near 0 for all images."""
        self.encoder[0].set_offset(-mean)

    def pair(self, x: Tensor, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
        """Pairs (B, 2, 28, 28) of the sources x (B, 1, 28, 28) with targets. Without labels all targets are warps of x.

        Without a generator: the same change for all, and the first other image of the class.
        """
        if self.config.pairs == "class" and labels is not None:
            draws = uniform((len(x), len(x)), generator, x) if generator is not None else x.new_zeros(len(x), len(x))
            target = x[partners(labels, draws)]
        else:
            draws = uniform((len(x), len(CHANGES)), generator, x) if generator is not None else 0.75
            target = warp(x, affine_flow((2 * draws - 1) * x.new_ones(len(x), len(CHANGES))))
        return torch.cat([x, target], dim=1)

    def flow(self, z: Tensor) -> Tensor:
        """The flow F (B, 2, 28, 28) of z (B, D): offsets to the right and down, in pixels, from target to source."""
        return self.params(z)

    def decode(self, z: Tensor, source: Tensor | None = None) -> Tensor:
        """Sources (B, 1, 28, 28) warped by the flow of z (B, D). The default source is a grid, which shows the flow."""
        flow = self.flow(z)
        return self.mean(warp(lines(z).expand(len(z), -1, -1, -1) if source is None else source, flow))

    def forward(self, x: Tensor, generator: Generator | None = None) -> Output:
        """The Output for pairs x (B, 2, 28, 28); `params` are the warped sources (B, 1, 28, 28)."""
        mu, logvar = self.posterior(x)
        z = self.reparameterize(mu, logvar, generator)[0]
        return Output(params=warp(x[:, :1], self.flow(z)), z=z, mu=mu, logvar=logvar)

    def nll_of(self, x: Tensor, z: Tensor) -> Tensor:
        """-log p(x_t|z, x_s) (R, B) of pairs x (B, 2, 28, 28) and codes z (R, B, D)."""
        return torch.stack([self.nll(x[:, 1:], warp(x[:, :1], self.flow(each))) for each in z])

    def code_cost(self, kl: Tensor, z: Tensor, mu: Tensor, logvar: Tensor, epoch: float | Tensor) -> tuple:
        cost, terms = super().code_cost(kl, z, mu, logvar, epoch)
        rough = roughness(self.flow(z)).mean()
        return cost + self.config.roughness * rough, terms | {"roughness": rough}

    def loss(
        self,
        x: Tensor,
        *,
        generator: Generator | None = None,
        epoch: float = math.inf,
        labels: Tensor | None = None,
    ) -> Loss:
        """The Loss of sources x (B, 1, 28, 28), each paired with a random target."""
        return super().loss(self.pair(x, generator, labels), generator=generator, epoch=epoch)

    def direction(self, x: Tensor, kind: str) -> Tensor:
        """The mean change of the code (D,) for the largest change `kind` of CHANGES, over images x (N, 1, 28, 28).

        Mean code of (x, changed x) minus mean code of (x, x). Raises ValueError for an unknown kind.
        """
        return (self.encode(torch.cat([x, changed(x, kind)], 1)) - self.encode(x.expand(-1, 2, -1, -1))).mean(0)

    def edit(self, x: Tensor, direction: Tensor, amount: float) -> Tensor:
        """Images x (B, 1, 28, 28), edited by `amount` times a direction (D,) of codes; nearly x at 0."""
        return self.decode(self.encode(x.expand(-1, 2, -1, -1)) + amount * direction, x)

    def preview_rows(self, x: Tensor) -> Tensor:
        """Sources, targets, warped sources, warped grids; then the images edited by EDITS: (12, N, 28, 28)."""
        pair = self.pair(x, torch.Generator(x.device).manual_seed(0))
        z = self.encode(pair)
        rows = [pair[:, :1], pair[:, 1:], self.decode(z, x), self.decode(z)]
        ways = {kind: self.direction(x, kind) for kind, _ in EDITS}
        rows += [self.edit(x, ways[kind], amount) for kind, amount in EDITS]
        return torch.stack(rows).squeeze(2)

    @torch.no_grad()
    def metrics(self, x: Tensor, labels: Tensor, generator: Generator) -> dict[str, float]:
        """Error of the warped images against the targets of x (N, 1, 28, 28), and the share of edges that is kept."""
        pair = self.pair(x, generator, labels)
        source, target = pair.split(1, dim=1)
        warped = torch.cat([self.decode(self.encode(part), part[:, :1]) for part in batches(pair)])
        energy = roughness(target).mean()
        return super().metrics(pair, labels, generator) | {
            "identity_sse": float(losses.sse(target, source).mean()),
            "warp_sse": float(losses.sse(target, warped).mean()),
            "edges": float(roughness(warped).mean() / energy),
            "edges_blurred": float(roughness(functional.avg_pool2d(target, 3, 1, 1)).mean() / energy),
        }


def pair_encoder(network: str, hidden: int) -> tuple[nn.Module, int]:
    """(network, width), like `blocks.encoder` with two input channels: pairs (B, 2, 28, 28) -> h (B, width)."""
    if network == "mlp":
        return nn.Sequential(FixedOffset(), nn.Flatten(), nn.Linear(2 * PIXELS, hidden), nn.ReLU()), hidden
    net = nn.Sequential(
        FixedOffset(),
        nn.Conv2d(2, 32, 4, 2, 1),  # (B, 32, 14, 14)
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, 2, 1),  # (B, 64, 7, 7)
        nn.ReLU(),
        nn.Flatten(),
    )
    return net, CONV_FEATURES


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """out(p) = x(p + F(p)), bilinear between pixels, black outside. x: (B, 1, H, W); flow: (B, 2, H, W) in pixels.

    With align_corners=True, -1 and 1 are the centres of the outermost pixels, so F = 0 returns x.
    """
    height, width = x.shape[-2:]
    column = torch.arange(width, dtype=x.dtype, device=x.device) + flow[:, 0]  # (B, H, W)
    row = torch.arange(height, dtype=x.dtype, device=x.device).unsqueeze(1) + flow[:, 1]
    grid = torch.stack([(2 * column - width + 1) / (width - 1), (2 * row - height + 1) / (height - 1)], dim=-1)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def roughness(field: Tensor) -> Tensor:
    """Sum (B,) of squared differences of pixels that are neighbours in field (B, C, H, W); 0 iff it is constant."""
    return field.diff(dim=-1).square().flatten(1).sum(1) + field.diff(dim=-2).square().flatten(1).sum(1)


def affine_flow(amounts: Tensor, side: int = 28) -> Tensor:
    """The flow (B, 2, side, side) of combined changes. amounts: (B, 5) in -1..1, relative to the largest of CHANGES.

    Scale, slant and rotate about the centre c, then shift by t: target pixel p copies from source A (p - c - t) + c.
    """
    largest = torch.tensor(list(CHANGES.values()), dtype=amounts.dtype, device=amounts.device)
    turn, scale, slant, *shift = (amounts * largest).unbind(1)  # (B,) each
    cos, sin, one, none = turn.cos(), turn.sin(), torch.ones_like(turn), torch.zeros_like(turn)
    turned = torch.stack([cos, sin, -sin, cos], 1).unflatten(1, (2, 2))  # inverse of a clockwise turn
    slanted = torch.stack([one, slant, none, one], 1).unflatten(1, (2, 2))  # inverse of a slant to the right
    matrix = (-scale).exp().view(-1, 1, 1) * slanted @ turned  # (B, 2, 2)
    line = torch.arange(side, dtype=amounts.dtype, device=amounts.device) - (side - 1) / 2
    points = torch.stack(torch.meshgrid(line, line, indexing="xy")).flatten(1)  # (2, side * side): x, y from the centre
    return (matrix @ (points - torch.stack(shift, 1).unsqueeze(2)) - points).unflatten(2, (side, side))


def changed(x: Tensor, kind: str, amount: float = 1.0) -> Tensor:
    """Images x (B, 1, 28, 28) after `amount` times the largest change `kind`. Raises ValueError for an unknown kind."""
    if kind not in CHANGES:
        raise ValueError(f"change must be one of {', '.join(CHANGES)}, got {kind}")
    amounts = x.new_zeros(len(x), len(CHANGES))
    amounts[:, list(CHANGES).index(kind)] = amount
    return warp(x, affine_flow(amounts))


def partners(labels: Tensor, draws: Tensor) -> Tensor:
    """Index (B,) of a random other image of the same class, or of itself if there is none; draws: uniform (B, B)."""
    same = (labels.unsqueeze(1) == labels).to(draws.dtype)
    others = same - torch.eye(len(labels), dtype=draws.dtype, device=draws.device)
    return (same + others * (1 + draws)).argmax(1)


def lines(like: Tensor) -> Tensor:
    """An image (1, 1, 28, 28) of white lines every four pixels."""
    on = (torch.arange(28, device=like.device) % 4 == 1).to(like.dtype)
    return torch.maximum(on.view(1, 1, 1, 28), on.view(1, 1, 28, 1))
