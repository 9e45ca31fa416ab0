"""Autoencoded flow: min E_q[-log p(x_t | warp(x_s, F))] + KL(q(z|x_s, x_t) || N(0, I)) + w ||grad F||^2, F = g(z).

Yeh et al. 2016, arXiv:1611.09961 (semantic facial expression editing using autoencoded flow). The model never paints:
it says for each pixel of the target where in the source to look, out(p) = x_s(p + F(p)). So what it makes is as sharp
as the source, and arithmetic on codes, z + a (mean of a kind of change - mean of none), edits any image. Differs
from the VAE: the code is of a pair of images, the decoder yields a flow, and the image comes from the source.

Expressions of faces become ways to write a digit: x_t is x_s turned, scaled, slanted and shifted by chance, or another
image of the same class. -(recon + kl) is a bound on log p(x_t | x_s).
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

# kinds of change -> the largest drawn: radians clockwise; log of the factor; columns a row leans to the right, upwards;
# pixels to the right; pixels down
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
    """The code of a pair (x_s, x_t), two maps of one image (B, 2, 28, 28), is what makes x_t out of x_s."""

    Config = FlowVAEConfig
    title = "Autoencoded flow"
    objective = "-log p(x_t | warp(x_s, F)) + KL(q(z|x_s, x_t) || N(0, I)) + w ||grad F||^2"
    paper = "Yeh et al. 2016"
    input = "pair"
    batched = False  # pairs of a class need the classes of a batch
    units: ClassVar[dict[str, str]] = VAE.units | {
        "identity_sse": "squared error / image, of the unchanged source",
        "warp_sse": "squared error / image, of the source warped",
        "edges": "gradient energy of the warped image / of the target",
        "edges_blurred": "gradient energy of the target blurred over 3 x 3 pixels / of the target",
    }

    has_objective_per_image = False  # the mean roughness of the flows is added

    @property
    def extra_inputs(self) -> tuple[str, ...]:
        return ("labels",) if self.config.pairs == "class" else ()

    def build(self) -> None:
        self.encoder, width = pair_encoder(self.config.network, self.config.hidden)
        self.build_code(width)
        self.decoder = decoder(self.config)

    def init_from_mean(self, mean: Tensor) -> None:
        """Begin at the mean image of the input; the flow begins near 0, whatever the images are."""
        self.encoder[0].set_offset(-mean)

    def pair(self, x: Tensor, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
        """Sources x (B, 1, 28, 28) and their targets, (B, 2, 28, 28). Where no classes are known, targets are warps.

        Without generator: one change for all, and the first other image of the class.
        """
        if self.config.pairs == "class" and labels is not None:
            draws = uniform((len(x), len(x)), generator, x) if generator is not None else x.new_zeros(len(x), len(x))
            target = x[partners(labels, draws)]
        else:
            draws = uniform((len(x), len(CHANGES)), generator, x) if generator is not None else 0.75
            target = warp(x, affine_flow((2 * draws - 1) * x.new_ones(len(x), len(CHANGES))))
        return torch.cat([x, target], dim=1)

    def flow(self, z: Tensor) -> Tensor:
        """F (B, 2, 28, 28) of z (B, D): pixels to the right and down to where a pixel of the target looks."""
        return self.params(z)

    def decode(self, z: Tensor, source: Tensor | None = None) -> Tensor:
        """Sources (B, 1, 28, 28) warped by the flow of z (B, D); by default the source is a grid, which shows it."""
        flow = self.flow(z)
        return self.mean(warp(lines(z).expand(len(z), -1, -1, -1) if source is None else source, flow))

    def forward(self, x: Tensor, generator: Generator | None = None) -> Output:
        """One pass of pairs x (B, 2, 28, 28); `params` are the warped sources (B, 1, 28, 28)."""
        mu, logvar = self.posterior(x)
        z = self.draw(mu, logvar, generator)[0]
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
        """Objective of sources x (B, 1, 28, 28), each with a target that is drawn here."""
        return super().loss(self.pair(x, generator, labels), generator=generator, epoch=epoch)

    def direction(self, x: Tensor, kind: str) -> Tensor:
        """What the full change `kind` of CHANGES adds to a code (D,): its mean over images x (N, 1, 28, 28).

        Mean code of (x, x changed) less mean code of (x, x). Raises ValueError for an unknown kind.
        """
        return (self.encode(torch.cat([x, changed(x, kind)], 1)) - self.encode(x.expand(-1, 2, -1, -1))).mean(0)

    def edit(self, x: Tensor, direction: Tensor, amount: float) -> Tensor:
        """Images x (B, 1, 28, 28) changed by `amount` times a direction (D,) of codes; 0 leaves them nearly so."""
        return self.decode(self.encode(x.expand(-1, 2, -1, -1)) + amount * direction, x)

    def preview_rows(self, x: Tensor) -> Tensor:
        """Sources, targets, warped sources, the flow drawn as a grid; then edits by EDITS: (12, N, 28, 28)."""
        pair = self.pair(x, torch.Generator(x.device).manual_seed(0))
        z = self.encode(pair)
        rows = [pair[:, :1], pair[:, 1:], self.decode(z, x), self.decode(z)]
        ways = {kind: self.direction(x, kind) for kind, _ in EDITS}
        rows += [self.edit(x, ways[kind], amount) for kind, amount in EDITS]
        return torch.stack(rows).squeeze(2)

    @torch.no_grad()
    def metrics(self, x: Tensor, labels: Tensor, generator: Generator) -> dict[str, float]:
        """How near warping comes to the targets of x (N, 1, 28, 28), and how much of their edges is kept."""
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
    """(x_s, x_t) (B, 2, 28, 28) -> h (B, width), like `blocks.encoder` with two maps. The net, its width."""
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
    """out(p) = x(p + F(p)): bilinear between pixels, black outside. x: (B, 1, H, W); flow: (B, 2, H, W) in pixels.

    The grid is that of align_corners=True, where -1 and 1 are the centres of the outermost pixels: F = 0 returns x.
    """
    height, width = x.shape[-2:]
    column = torch.arange(width, dtype=x.dtype, device=x.device) + flow[:, 0]  # (B, H, W)
    row = torch.arange(height, dtype=x.dtype, device=x.device).unsqueeze(1) + flow[:, 1]
    grid = torch.stack([(2 * column - width + 1) / (width - 1), (2 * row - height + 1) / (height - 1)], dim=-1)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def roughness(field: Tensor) -> Tensor:
    """||grad||^2: squared differences of neighbours down and across, summed. (B, C, H, W) -> (B,); 0 iff constant."""
    return field.diff(dim=-1).square().flatten(1).sum(1) + field.diff(dim=-2).square().flatten(1).sum(1)


def affine_flow(amounts: Tensor, side: int = 28) -> Tensor:
    """The flow (B, 2, side, side) of changes by amounts (B, 5), each -1..1 times what CHANGES has at most.

    Scaled, slanted, turned about the middle, then shifted: the target's pixel p looks at A (p - c - t) + c.
    """
    largest = torch.tensor(list(CHANGES.values()), dtype=amounts.dtype, device=amounts.device)
    turn, scale, slant, *shift = (amounts * largest).unbind(1)  # (B,) each
    cos, sin, one, none = turn.cos(), turn.sin(), torch.ones_like(turn), torch.zeros_like(turn)
    turned = torch.stack([cos, sin, -sin, cos], 1).unflatten(1, (2, 2))  # what was turned clockwise is found so
    slanted = torch.stack([one, slant, none, one], 1).unflatten(1, (2, 2))  # rows above lean right: look left there
    matrix = (-scale).exp().view(-1, 1, 1) * slanted @ turned  # (B, 2, 2)
    line = torch.arange(side, dtype=amounts.dtype, device=amounts.device) - (side - 1) / 2
    place = torch.stack(torch.meshgrid(line, line, indexing="xy")).flatten(1)  # (2, side * side): x, y from the middle
    return (matrix @ (place - torch.stack(shift, 1).unsqueeze(2)) - place).unflatten(2, (side, side))


def changed(x: Tensor, kind: str, amount: float = 1.0) -> Tensor:
    """Images x (B, 1, 28, 28) under `amount` times the full change `kind`. Raises ValueError for an unknown one."""
    if kind not in CHANGES:
        raise ValueError(f"change must be one of {', '.join(CHANGES)}, got {kind}")
    amounts = x.new_zeros(len(x), len(CHANGES))
    amounts[:, list(CHANGES).index(kind)] = amount
    return warp(x, affine_flow(amounts))


def partners(labels: Tensor, draws: Tensor) -> Tensor:
    """Numbers (B,) of images of the same class, not itself if there is another; uniform draws (B, B) choose."""
    same = (labels.unsqueeze(1) == labels).to(draws.dtype)
    others = same - torch.eye(len(labels), dtype=draws.dtype, device=draws.device)
    return (same + others * (1 + draws)).argmax(1)


def lines(like: Tensor) -> Tensor:
    """An image (1, 1, 28, 28) of white lines every four pixels."""
    on = (torch.arange(28, device=like.device) % 4 == 1).to(like.dtype)
    return torch.maximum(on.view(1, 1, 1, 28), on.view(1, 1, 28, 1))
