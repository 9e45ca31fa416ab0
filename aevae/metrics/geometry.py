"""Jacobians of encoders and decoders, and the manifold's tangent planes, metric and magnification.

Goodfellow et al. 2016, section 14.6 (tangent planes); Arvanitidis et al. 2018, arXiv:1710.11379 (the pull-back metric).
Functions map rows (B, n) to rows (B, m), each row independently.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


def jacobians(f: Function, x: Tensor) -> Tensor:
    """Jacobians df/dx (B, m, n) at each row of x (B, n); outputs are flattened to m numbers.

    Computed by min(m, n) products for the whole batch: m rows v^T J, or n columns J v. The map v -> v^T J is linear, so
    its transpose gives J v.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = f(x).flatten(1)
        if y.shape[1] < x.shape[1]:
            return torch.stack([_product(y, x, j) for j in range(y.shape[1])], 1)
        v = torch.zeros_like(y, requires_grad=True)
        (pulled,) = torch.autograd.grad(y, x, v, create_graph=True)
        return torch.stack([_product(pulled, v, i) for i in range(x.shape[1])], 2)


def _product(y: Tensor, x: Tensor, i: int) -> Tensor:
    """dy_i/dx (B, n) of every row."""
    return torch.autograd.grad(y[:, i].sum(), x, retain_graph=True)[0]


def metric(jacobian: Tensor) -> Tensor:
    """G = J^T J (B, n, n) of a decoder's J (B, m, n): a step dz changes the image by sqrt(dz^T G dz)."""
    return jacobian.mT @ jacobian


def magnification(jacobian: Tensor) -> Tensor:
    """sqrt det G (B,): factor by which a decoder scales areas (volumes) of codes; 0 at folds."""
    return torch.linalg.svdvals(jacobian.cpu()).prod(1).to(jacobian)


def tangents(jacobian: Tensor) -> tuple[Tensor, Tensor]:
    """(orthonormal tangent directions (B, m, n), singular values (B, n)) of a decoder's J (B, m, n)."""
    u, s, _ = torch.linalg.svd(jacobian.cpu(), full_matrices=False)
    return u.to(jacobian), s.to(jacobian)
