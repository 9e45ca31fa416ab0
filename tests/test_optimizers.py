"""Optimizers: the step against its formula, what the damping is for, resume."""

import dataclasses

import numpy as np
import pytest
import torch

from aevae.config import TrainConfig
from aevae.training.optimizers import Adam, SparseRowAdam

CPU = torch.device("cpu")
PLAIN = TrainConfig(lr=3e-3, damping=0.0)


def reference(p, gradients, lr, beta1, beta2, damping):
    """The docstring's formula in float64, step by step."""
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(gradients, 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        p = p - lr * m_hat / (np.sqrt(v_hat) + damping * np.sqrt(v_hat.mean()) + 1e-8)
    return p


def moved(shape, gradients, damping, scale=1.0, models=None, written_out=False):
    """Parameters of this shape after these gradients (steps, *shape), from 0."""
    p = torch.nn.Parameter(torch.zeros(shape))
    adam = Adam([p], dataclasses.replace(PLAIN, damping=damping), CPU, models=models)
    adam._kernel &= not written_out
    for g in gradients:
        p.grad = scale * torch.tensor(g, dtype=torch.float32)
        adam.step_fused()
    return p.detach()


@pytest.mark.parametrize("written_out", [False, True])  # the latter is what runs where there is no fused kernel
@pytest.mark.parametrize("damping", [0.0, 0.3, 1.0, 10.0])
def test_a_step_is_its_formula(damping, written_out):
    draw = np.random.default_rng(0)
    gradients = draw.normal(size=(60, 5, 7)) * 10.0 ** draw.uniform(-4, 1, (1, 5, 7))
    found = moved((5, 7), gradients, damping, written_out=written_out)
    known = reference(np.zeros((5, 7)), gradients, PLAIN.lr, 0.9, PLAIN.beta2, damping)
    assert np.allclose(found, known, atol=2e-6)


@pytest.mark.parametrize("models", [None, 5])
@pytest.mark.parametrize("damping", [0.0, 0.3])
@pytest.mark.parametrize("change", ["gone", "other arguments", "other numbers"])
def test_without_private_functions_of_torch_the_step_is_the_same(change, damping, models, monkeypatch):
    draw = np.random.default_rng(0)
    gradients = draw.normal(size=(60, 5, 7)) * 10.0 ** draw.uniform(-4, 1, (1, 5, 7))
    fused = moved((5, 7), gradients, damping, models=models)
    private = [name for name in dir(torch) if name.startswith("_foreach_")]
    assert len(private) > 50 and Adam([torch.nn.Parameter(torch.zeros(1))], PLAIN, CPU)._kernel
    for name in private:
        monkeypatch.delattr(torch, name)
    if change == "gone":
        monkeypatch.delattr(torch, "_fused_adam_")
    else:
        other = {"other arguments": lambda: None, "other numbers": lambda *args, **options: None}[change]
        monkeypatch.setattr(torch, "_fused_adam_", other)
    assert not Adam([torch.nn.Parameter(torch.zeros(1))], PLAIN, CPU)._kernel
    plain = moved((5, 7), gradients, damping, models=models)
    assert fused.abs().max() > 0.01 and torch.allclose(plain, fused, atol=2e-6)


def test_models_upon_each_other_have_an_rms_of_their_own():
    draw = np.random.default_rng(0)
    gradients = draw.normal(size=(40, 3, 6)) * np.array([1e-3, 1.0, 50.0])[:, None]
    for written_out in (False, True):
        together = moved((3, 6), gradients, 1.0, models=3, written_out=written_out)
        for i in range(3):
            assert torch.allclose(together[i], moved((6,), gradients[:, i], 1.0), atol=1e-6)


def test_a_factor_on_the_loss_changes_nothing():
    gradients = np.random.default_rng(0).normal(size=(50, 4, 8))
    ends = [moved((4, 8), gradients, 1.0, scale) for scale in (1e-2, 1.0, 1e3)]
    assert torch.allclose(ends[0], ends[1], atol=1e-5) and torch.allclose(ends[1], ends[2], atol=1e-5)


def test_a_weight_whose_gradient_is_a_thousandth_hardly_moves():
    """As of a pixel that one image in a thousand lights: Adam moves it as far as the others, damping 1 a thousandth."""
    draw = np.random.default_rng(0)
    gradients = (1 + 0.1 * draw.normal(size=(200, 1, 50))) * np.where(np.arange(50) == 0, 1e-3, 1.0)
    plain, damped = (moved((1, 50), gradients, damping)[0].abs() for damping in (0.0, 1.0))
    assert plain[0] / plain[1:].mean() > 0.9
    assert damped[0] / damped[1:].mean() < 3e-3


def test_parameters_without_a_gradient_stay_and_the_others_go_on():
    """Each counts its own steps."""
    draw = np.random.default_rng(0)
    gradients = draw.normal(size=(30, 2, 4))
    for damping in (0.0, 1.0):
        a, b = (torch.nn.Parameter(torch.zeros(4)) for _ in range(2))
        adam = Adam([a, b], dataclasses.replace(PLAIN, damping=damping), CPU)
        for step, g in enumerate(gradients):
            a.grad = torch.tensor(g[0], dtype=torch.float32)
            b.grad = torch.tensor(g[1], dtype=torch.float32) if step % 3 == 0 else None
            adam.step_fused()
        assert torch.allclose(a.detach(), moved((4,), gradients[:, 0], damping), atol=1e-6)
        assert torch.allclose(b.detach(), moved((4,), gradients[::3, 1], damping), atol=1e-6)


@pytest.mark.slow
def test_adam_is_torchs():
    """... and moments of a unit that died long ago are 0, not subnormal, while no weight is another."""
    draw = torch.Generator().manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(4, 3, generator=draw)), torch.nn.Parameter(torch.randn(5, generator=draw))]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    mine, other = Adam(ours, PLAIN, CPU), torch.optim.Adam(theirs, PLAIN.lr, (0.9, PLAIN.beta2))
    subnormal = 0
    for step in range(1100):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=draw)
            if step > 50:
                a.grad[0] = 0  # dead from now on
            b.grad = a.grad.clone()
        mine.step_fused()
        other.step()
        moments = [mine.state[p]["exp_avg"].abs() for p in ours]
        assert not any(((m > 0) & (m < torch.finfo(torch.float32).tiny)).any() for m in moments)
        subnormal += sum(
            int(((m != 0) & (m.abs() < torch.finfo(torch.float32).tiny)).sum())
            for m in (other.state[p]["exp_avg"] for p in theirs)
        )
    assert subnormal > 0, "without the sweep there were some"
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours, theirs, strict=True))
    assert not mine.state[ours[0]]["exp_avg"][0].any() and mine.state[ours[0]]["exp_avg"][1].all()


@pytest.mark.parametrize("damping", [0.0, 1.0])
@pytest.mark.parametrize("stop", [698, 699, 700, 701])
def test_adam_resumed_is_adam(stop, damping):
    """... whatever step the stop was at: what has faded is gone at the same steps."""

    def moved(stops):
        draw = torch.Generator().manual_seed(0)
        p = torch.nn.Parameter(torch.randn(6, generator=draw))
        recipe = dataclasses.replace(PLAIN, damping=damping)
        adam = Adam([p], recipe, CPU)
        for step in range(750):
            p.grad = torch.randn(6, generator=draw) * (step < 20)  # then it fades
            adam.step_fused()
            if step + 1 == stops:
                saved, adam = adam.state_dict(), Adam([p], recipe, CPU)
                adam.load_state_dict(saved)
        return [p.detach(), *adam.state[p].values()]

    assert all(torch.equal(a, b) for a, b in zip(moved(None), moved(stop), strict=True))


def test_the_sum_of_v_is_its_sum():
    """... also of a state saved before it was kept, and of models upon each other."""
    draw, recipe = torch.Generator().manual_seed(0), dataclasses.replace(PLAIN, damping=1.0)
    for models in (None, 3):
        p = torch.nn.Parameter(torch.zeros(3, 4))
        adam = Adam([p], recipe, CPU, models=models)
        for step in range(300):
            p.grad = torch.randn(3, 4, generator=draw) * 10.0 ** (step % 5 - 2)
            adam.step_fused()
        slot = adam.state[p]
        known = slot["exp_avg_sq"].sum() if models is None else slot["exp_avg_sq"].sum(1)
        assert slot["sum_sq"].shape == known.shape
        assert torch.allclose(slot["sum_sq"], known, rtol=1e-5)
    saved, one = adam.state_dict(), Adam([p], recipe, CPU)
    del saved["state"][0]["sum_sq"]
    one.load_state_dict(saved)
    assert torch.allclose(one.state[p]["sum_sq"], slot["exp_avg_sq"].sum())


def test_rows_without_sparse_tensors_move_as_those_with():
    draw, recipe = torch.Generator().manual_seed(0), TrainConfig(lr=0.01)
    start, ends = torch.randn(6, 3, generator=draw), []
    for sparse in (True, False):
        table = torch.nn.Parameter(start.clone())
        rows = SparseRowAdam([table], recipe, 2.0)
        for step in range(8):
            found = torch.nn.functional.embedding(torch.tensor([step % 5, 1, 1]), table, sparse=sparse)
            found.square().sum().backward()
            rows.step_fused()
        ends.append(table.detach())
    assert torch.allclose(*ends, atol=1e-6) and torch.equal(ends[1][5], start[5])


@pytest.mark.parametrize("sparse", [True, False])
def test_the_first_step_of_a_row_is_the_rate_times_the_scale_and_clears_the_gradient(sparse):
    table = torch.nn.Parameter(torch.full((3, 2), 5.0))
    rows = SparseRowAdam([table], TrainConfig(lr=0.01), 2.0)
    torch.nn.functional.embedding(torch.tensor([0, 2]), table, sparse=sparse).sum().backward()
    rows.step_fused()
    assert torch.allclose(table.detach(), torch.tensor([[4.98] * 2, [5.0] * 2, [4.98] * 2])) and table.grad is None


def test_a_step_clears_the_gradients():
    p = torch.nn.Parameter(torch.zeros(2))
    p.grad = torch.ones(2)
    adam = Adam([p], PLAIN, CPU)
    adam.step_fused()
    assert p.grad is None
