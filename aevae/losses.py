"""Loss terms: pure functions, per image, in nats; sums over pixels or latents. Batch means are taken elsewhere."""

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

GROUP = 98  # pixels per product: 98 factors >= 1/2 do not underflow in float32; an eighth of an image


def tensor_sum(terms: Iterable[Tensor]) -> Tensor:
    """The sum of the terms. For type checkers the built-in `sum` may also be the number 0."""
    return cast(Tensor, sum(terms))


def sse(x: Tensor, x_hat: Tensor) -> Tensor:
    """Squared error summed over pixels. x, x_hat: (B, ...). Returns (B,)."""
    return (x - x_hat).square().flatten(1).sum(1)


def bernoulli_nll(x: Tensor, logits: Tensor) -> Tensor:
    """-log Bernoulli(x; sigmoid(logits)) summed over pixels (B,), in nats.

    For grey x in [0, 1] this is the cross-entropy, a pseudo-likelihood: its floor is the entropy of the grey pixels,
    not 0. Kingma & Welling 2014, arXiv:1312.6114, appendix C.1.
    """
    return _BernoulliNLL.apply(x, logits)[0]


class _SavesDerivative(torch.autograd.Function):
    """A loss whose forward pass also returns, without gradient, a tensor from which the backward pass is computed.

    For second derivatives the backward pass recomputes that tensor.
    """

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, output[1])


class _BernoulliNLL(_SavesDerivative):
    """log(1 + exp(l)) - x l, l the logits, with the explicit derivative p - x, which needs fewer passes over memory."""

    @staticmethod
    def forward(x: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        p = logits.sigmoid()
        # log(1 + exp(l)) = relu(l) - log max(p, 1 - p), exact to 1e-7 nats, like a sum over pixels in float32. softplus
        # and log1p take four times as long. One log of a product of GROUP maxima (each >= 1/2) is faster still.
        likelier = torch.maximum(p, torch.sub(1, p)).flatten(1)
        likelier = likelier.unflatten(1, (-1, math.gcd(likelier.shape[1], GROUP))).prod(2).log_()
        return torch.addcmul(logits.relu(), x, logits, value=-1).flatten(1).sum(1) - likelier.sum(1), p

    @staticmethod
    def backward(ctx, *grads: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        grad = grads[0]
        if grad is None:
            return None, None
        x, logits, p = ctx.saved_tensors
        p = logits.sigmoid() if torch.is_grad_enabled() else p
        grad = grad.view(-1, *[1] * (x.ndim - 1))
        return -logits * grad if ctx.needs_input_grad[0] else None, (p - x) * grad


def gaussian_nll(x: Tensor, mean: Tensor, logvar: Tensor | float) -> Tensor:
    """-log N(x; mean, exp(logvar)) summed over pixels (B,), in nats. `logvar`: scalar, or like x.

    Minimal in one shared variance at s^2 = SSE / D (Rybkin et al. 2021, arXiv:2006.13202).
    """
    logvar = torch.as_tensor(logvar, dtype=x.dtype, device=x.device)
    return (0.5 * ((x - mean).square() * torch.exp(-logvar) + logvar + math.log(2 * math.pi))).flatten(1).sum(1)


def gaussian_kl_per_dim(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu_j, exp logvar_j) || N(0, 1)) of each latent. mu, logvar: (B, D). Returns (B, D), >= 0."""
    if mu.dtype == torch.bfloat16:  # from products under autocast; losses are computed in float32
        mu, logvar = mu.float(), logvar.float()
    return _GaussianKL.apply(mu, logvar)[0]


class _GaussianKL(_SavesDerivative):
    """(e - logvar + mu^2) / 2 with e = exp(logvar) - 1, and its derivatives mu and e / 2."""

    @staticmethod
    def forward(mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
        e = logvar.expm1()
        return (e - logvar).add_(mu.square()).mul_(0.5), e

    @staticmethod
    def backward(ctx, *grads: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        grad = grads[0]
        if grad is None:
            return None, None
        mu, logvar, e = ctx.saved_tensors
        e = logvar.expm1() if torch.is_grad_enabled() else e
        return grad * mu, grad * e * 0.5


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, diag exp logvar) || N(0, I)) per image, in nats.

    mu, logvar: (B, D). Returns (B,), >= 0, zero iff mu = 0 and logvar = 0.
    Closed form: Kingma & Welling 2014, arXiv:1312.6114, appendix B.
    """
    return gaussian_kl_per_dim(mu, logvar).sum(1)


def gaussian_kl_between(mu1: Tensor, logvar1: Tensor, mu2: Tensor, logvar2: Tensor) -> Tensor:
    """KL(N(mu1, diag exp logvar1) || N(mu2, diag exp logvar2)) per image (B,), in nats. All (B, D)."""
    ratio = torch.exp(logvar1 - logvar2) + (mu1 - mu2).square() * torch.exp(-logvar2)
    return 0.5 * (ratio - 1 + logvar2 - logvar1).sum(1)


def laplace_nll(x: Tensor, mean: Tensor, scale: float = 1.0) -> Tensor:
    """-log Laplace(x; mean, scale) summed over pixels (B,), in nats: the absolute error, up to scale and constant."""
    return ((x - mean).abs() / scale + math.log(2 * scale)).flatten(1).sum(1)


def l1(h: Tensor) -> Tensor:
    """sum_j |h_j| of h (B, D). Returns (B,). lam * l1(h) - D log(lam / 2) is -log Laplace(h; 0, 1 / lam)."""
    return h.abs().sum(1)


def soft_threshold(a: Tensor, lam: float) -> Tensor:
    """argmin_h (h - a)^2 / 2 + lam |h|, elementwise, of a's shape; exactly 0 where |a| <= lam."""
    return a.sign() * (a.abs() - lam).clamp(min=0)


def bernoulli_kl(rho: Tensor | float, rho_hat: Tensor) -> Tensor:
    """KL(Bernoulli(rho) || Bernoulli(rho_hat)) in nats, of rho_hat's shape; >= 0, and 0 iff they are equal."""
    rho = torch.as_tensor(rho, dtype=rho_hat.dtype, device=rho_hat.device)
    return torch.xlogy(rho, rho / rho_hat) + torch.xlogy(1 - rho, (1 - rho) / (1 - rho_hat))


def sigmoid_contraction(h: Tensor, weight: Tensor) -> Tensor:
    """||dh/dx||_F^2 of h = sigmoid(W x + b). h: (B, D), weight: (D, pixels). Returns (B,).

    Rifai et al. 2011, section 5.3: sum_j (h_j (1 - h_j))^2 ||W_j||^2, without a Jacobian.
    """
    return (h * (1 - h)).square() @ weight.square().sum(1)


def sigmoid_contraction_change(h: Tensor, h_near: Tensor, weight: Tensor) -> Tensor:
    """||J(x) - J(x')||_F^2 of h = sigmoid(W x + b) with codes h at x and h_near at x', both (B, D). Returns (B,).

    The gradients of unit j at x and x' are both multiples of W_j; only the factors h_j (1 - h_j) differ.
    """
    return (h * (1 - h) - h_near * (1 - h_near)).square() @ weight.square().sum(1)


def two_layer_contraction(w1: Tensor, w2: Tensor, d1: Tensor, d2: Tensor | None = None) -> Tensor:
    """||dh/dx||_F^2 (B,) of h = s2(W2 s1(W1 x)), J = diag(d2) W2 diag(d1) W1, d: derivatives of the activations.

    w1: (H, pixels), w2: (D, H), d1: (B, H), d2: (B, D), or None for linear codes, which is D times cheaper. Computed as
    trace(J J^T) with M = W1 W1^T, which is the same for all images.
    """
    half = w1 @ w1.detach().T
    gram = 2 * half - half.detach()  # (H, H): w1 w1^T; twice the gradient of one factor saves a product, by symmetry
    if d2 is None:
        return ((d1 @ (gram * (w2.T @ w2))) * d1).sum(1)
    rows = w2 * d1.unsqueeze(1)  # (B, D, H): W2 diag(d1)
    return ((rows @ gram * rows).sum(2) * d2.square()).sum(1)


TAYLOR = 0.2  # for smaller |logit| Taylor series are used, because the closed forms lose digits by cancellation


def log_normaliser(logits: Tensor) -> Tensor:
    """log C(lambda), lambda = sigmoid(logits), of the continuous Bernoulli density C lambda^x (1 - lambda)^(1-x).

    Returns the logits' shape. C = 2 artanh(1 - 2 lambda) / (1 - 2 lambda) = eta / tanh(eta / 2), eta the logit; 2 at
    lambda = 1/2. Loaiza-Ganem & Cunningham 2019, arXiv:1907.06845, eq. 7.
    """
    near = logits.abs() < TAYLOR
    eta = torch.where(near, TAYLOR, logits.abs())
    far_value = eta.log() - torch.tanh(eta / 2).log()
    u2 = torch.where(near, logits / 2, 0.0).square()
    return torch.where(near, math.log(2) + u2 * (1 / 3 - u2 * (7 / 90 - u2 * 62 / 2835)), far_value)


def continuous_bernoulli_nll(x: Tensor, logits: Tensor) -> Tensor:
    """-log CB(x; sigmoid(logits)) summed over pixels (B,), in nats: `bernoulli_nll` minus log C; may be < 0."""
    return bernoulli_nll(x, logits) - log_normaliser(logits).flatten(1).sum(1)


def continuous_bernoulli_mean(logits: Tensor) -> Tensor:
    """E[x] = 1 / (1 - exp(-eta)) - 1 / eta, of the logits' shape. It differs from lambda: for lambda = .01 it is .21.

    arXiv:1907.06845, eq. 8. Computed as 1/2 + (coth u - 1/u) / 2, u = eta / 2, which is symmetric and stays finite.
    """
    near = logits.abs() < TAYLOR
    u = torch.where(near, TAYLOR, logits / 2)
    s = torch.where(near, logits / 2, 0.0)
    series = s / 3 * (1 - s.square() * (1 / 15 - s.square() * 2 / 315))
    return 0.5 + 0.5 * torch.where(near, series, 1 / torch.tanh(u) - 1 / u)


def categorical_nll(x: Tensor, logits: Tensor) -> Tensor:
    """-log p(level of x) summed over pixels (B,), in nats. x: (B, 1, H, W), rounded to the nearest of L levels in 0..1.

    logits: (B, L, H, W). van den Oord et al. 2016, arXiv:1601.06759, section 3.3.
    """
    level = (x * (logits.shape[1] - 1)).round().long()
    return -logits.log_softmax(1).gather(1, level).flatten(1).sum(1)


def expected_level(logits: Tensor) -> Tensor:
    """Mean of a pixel's level, in [0, 1]. logits: (B, L, H, W). Returns (B, 1, H, W)."""
    levels = torch.linspace(0, 1, logits.shape[1], dtype=logits.dtype, device=logits.device)
    return torch.einsum("blhw,l->bhw", logits.softmax(1), levels).unsqueeze(1)


def gaussian_log_prob(z: Tensor, mu: Tensor | float, logvar: Tensor | float) -> Tensor:
    """log N(z; mu, diag exp logvar) summed over the last dimension, in nats. z: (..., D). Returns (...)."""
    return -0.5 * ((z - mu).square() * _exp(-logvar) + logvar + math.log(2 * math.pi)).sum(-1)


def _exp(value: Tensor | float) -> Tensor | float:
    return value.exp() if isinstance(value, Tensor) else math.exp(value)


def log_mean_exp(log_w: Tensor) -> Tensor:
    """log (1/K) sum_k w_k over the first dimension. log_w: (K, ...). Returns (...), >= the mean of log_w.

    For log w = log p(x, z) - log q(z|x) it is the bound L_K of Burda et al. 2016, arXiv:1509.00519, eq. 8.
    """
    return log_w.logsumexp(0) - math.log(len(log_w))
