"""A replayed step equals the eager step bit for bit; operations that cannot be replayed are detected."""

import dataclasses
import gc
import sys
import weakref

import pytest
import torch
import torch.nn.functional as F
from conftest import fitting

from aevae import datasets, losses
from aevae.config import DataConfig, TrainConfig
from aevae.models import FAMILIES, build_model, family_class
from aevae.training import steps
from aevae.training.tape import Tape, Unforeseen
from aevae.training.trainer import Trainer, TrainingData, fit

CPU = torch.device("cpu")
DIGITS = datasets.load(DataConfig("mnist-5k")).train.images[::44][:90]
RECIPE = TrainConfig(epochs=3, batch_size=32, lr=3e-3)  # two full batches an epoch and a smaller one


def trainers(family, count=1, recipe=RECIPE):
    config = family_class(family).Config(**fitting(family, latent_dim=3, hidden=16))
    return [Trainer(build_model(config, s), TrainingData(DIGITS, DIGITS[:20]), recipe, s, CPU) for s in range(count)]


def state(trainer):
    return {k: v for k, v in trainer.state()[0].items() if k != "sums"}


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("family", [name for name in FAMILIES if family_class(name).batched])
def test_played_back_is_as_written(family, count, monkeypatch):
    """Weights, moments and the noise generator at the end, one alone and two side by side."""
    played = trainers(family, count)
    fit(played)
    monkeypatch.setattr(steps, "TapeStep", lambda work: work.gradients)
    written = trainers(family, count)
    fit(written)
    assert {t.launch for t in played} == {"recorded"} and {t.launch for t in written} == {"eager"}
    for one, other in zip(played, written, strict=True):
        mine, theirs = state(one), state(other)
        assert mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)
        assert [line["test"] for line in one.history] == [line["test"] for line in other.history]


def trainer_with_changed_loss(change):
    """A trainer whose loss does something else besides, in every step."""
    (trainer,) = trainers("ae")
    real, calls = trainer.model.loss, []

    def loss(x, **inputs):
        calls.append(1)
        found = real(x, **inputs)
        return dataclasses.replace(found, total=found.total * change(found, len(calls)))

    trainer.model.loss = loss
    return trainer


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda loss, calls: 1.0 if loss.total.item() > 0 else 2.0, "eager: aten._local_scalar_dense"),
        (lambda loss, calls: len(loss.total.reshape(1).nonzero()), "eager: aten.nonzero"),
        (lambda loss, calls: 1.0 + 0.1 * calls, "eager: a replayed step gives other numbers"),  # seen by the proof
    ],
)
def test_what_a_tape_cannot_hold_goes_on_as_written(change, reason, monkeypatch):
    tried = trainer_with_changed_loss(change)
    assert tried.fit() and tried.launch.startswith(reason)
    monkeypatch.setattr(steps, "TapeStep", lambda work: work.gradients)
    written = trainer_with_changed_loss(change)
    written.fit()
    if "played" not in reason:  # which called the loss once more than there are steps
        assert all(torch.equal(v, state(written)[k]) for k, v in state(tried).items())


def test_a_tape_that_fails_is_left(monkeypatch):
    def fails(tape):
        raise TypeError("add_() has no such argument\nand more")

    with monkeypatch.context() as broken:
        broken.setattr(Tape, "play", fails)
        (tried,) = trainers("vae")
        assert tried.fit() and tried.launch == "eager: add_() has no such argument"
    (played,) = trainers("vae")
    played.fit()
    assert all(torch.equal(v, state(played)[k]) for k, v in state(tried).items())


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("family", ["vae", "k_sparse"])
def test_a_tape_is_compared_with_the_eager_step_in_each_epoch(family, count, monkeypatch, capsys):
    """Its results are wrong from the first batch of the second epoch: the run ends as if there were no tape."""
    real, plays = Tape.play, []

    def play(tape):
        real(tape)
        plays.append(tried[0].step)
        if tried[0].step >= tried[0].steps_per_epoch:
            tape.results[-1].view(-1)[:1].add_(1e-7)

    recipe = dataclasses.replace(RECIPE, batch_size=20, epochs=4)
    tried = trainers(family, count, recipe)
    with monkeypatch.context() as broken:
        broken.setattr(Tape, "play", play)
        assert fit(tried)
    steps_per_epoch = tried[0].steps_per_epoch
    assert plays == [2, 3, steps_per_epoch], "the first two steps and the short last one are eager"
    assert {t.launch for t in tried} == {"eager: a replayed step gives other numbers"}
    said = capsys.readouterr().err
    assert said.count("tape_left") == 1 and f"step={steps_per_epoch} " in said
    monkeypatch.setenv("AEVAE_TAPE", "0")
    eager = trainers(family, count, recipe)
    fit(eager)
    for one, other in zip(tried, eager, strict=True):
        assert all(torch.equal(v, state(other)[k]) for k, v in state(one).items())


def test_one_batch_of_each_epoch_is_also_eager(monkeypatch):
    """... and a model that diverged beside another is no fault of the tape."""
    eager, real = [], steps.BatchedStep.gradients
    monkeypatch.setattr(
        steps.BatchedStep, "gradients", lambda own, *a: eager.append(own.trainers[0].step) or real(own, *a)
    )
    tried = trainers("beta_vae", 2, dataclasses.replace(RECIPE, batch_size=30, epochs=4))

    def spoil_one() -> bool:
        if tried[0].step == 4:
            next(tried[0].model.parameters()).data.fill_(float("nan"))
        return False

    assert fit(tried, should_stop=spoil_one) and tried[0].diverged and tried[1].finished
    assert eager == [0, 1, 2, 3, 6, 9] and tried[1].launch == "recorded"


@pytest.mark.parametrize("change", ["AEVAE_TAPE=0", "no dispatch mode", "no tags", "no schema", "other mode"])
def test_without_private_interfaces_of_torch_steps_are_eager(change, monkeypatch):
    (played,) = trainers("vae")
    played.fit()
    assert played.launch == "recorded"
    if change == "AEVAE_TAPE=0":
        monkeypatch.setenv("AEVAE_TAPE", "0")
    elif change == "no schema":
        monkeypatch.setattr(torch._ops.OpOverload, "_schema", property(lambda op: op.no_such_attribute), raising=False)
    else:
        monkeypatch.delitem(sys.modules, "aevae.training.tape")
        if change == "no dispatch mode":
            monkeypatch.setitem(sys.modules, "torch.utils._python_dispatch", None)
        elif change == "no tags":
            monkeypatch.delattr(torch, "Tag")
        else:
            monkeypatch.setattr("torch.utils._python_dispatch.TorchDispatchMode", dict)
    (eager,) = trainers("vae")
    assert eager.fit() and eager.launch.startswith("eager")
    assert all(torch.equal(v, state(eager)[k]) for k, v in state(played).items())


def test_convolutions_and_half_precision_are_not_recorded():
    config = family_class("ae").Config(latent_dim=3, network="conv")
    conv = Trainer(build_model(config, 0), TrainingData(DIGITS, DIGITS[:20]), RECIPE, 0, CPU)
    conv.fit()
    assert "convolution" in conv.launch and "has no out= version" in conv.launch
    (mixed,) = trainers("ae", recipe=dataclasses.replace(RECIPE, precision="bfloat16"))
    mixed.fit()
    assert mixed.launch == "eager"


def test_the_tape_ends_with_the_training(monkeypatch):
    (trainer,), kept = trainers("ae"), []
    real = Tape.play
    monkeypatch.setattr(Tape, "play", lambda tape: kept.append(weakref.ref(tape)) or real(tape))
    gc.disable()
    try:
        trainer.fit()
        assert kept and all(ref() is None for ref in kept), "its memory is free at once"
    finally:
        gc.enable()


def test_a_tape_reads_what_lies_there_now():
    x, noise = torch.arange(6.0).reshape(2, 3), torch.Generator().manual_seed(1)

    def work():
        drawn = torch.randn(2, 3, generator=noise)
        return ((x.T @ x).relu().sum(0) * 2, (x + drawn).mul_(3).view(3, 2)[1], x.max(dim=1).values)

    tape = Tape(work)
    x.copy_(torch.tensor([[-1.0, 5, 2], [0, 1, 7]]))
    again = noise.get_state()
    tape.play()
    played = [t.clone() for t in tape.results]
    noise.set_state(again)
    assert all(torch.equal(a, b) for a, b in zip(played, work(), strict=True))


def test_memory_is_used_again_and_results_are_not_written_over():
    x = torch.rand(300, 300)

    def work():
        y = x + 1  # is read again at the end
        for _ in range(5):
            z = (y * 2).exp().neg().T @ x
            y = y + z.sigmoid().t()
        return y, z, x * y

    tape = Tape(work)
    tensors = [value for _, args, kwargs in tape.ops for value in (*args, *kwargs.values())]
    places = {value.data_ptr() for value in tensors if isinstance(value, torch.Tensor)}
    assert len(places) <= 8 < len(tape.ops)
    x.uniform_(-1, 1)
    tape.play()
    assert all(torch.equal(a, b) for a, b in zip(tape.results, work(), strict=True))


def test_what_stays_the_same_is_done_once():
    x, noise = torch.rand(4), torch.Generator().manual_seed(1)

    def work():
        weight = torch.full_like(x, 3) / 4  # of nothing that changes
        counted = torch.zeros_like(x)  # begins at 0 again each time
        counted.add_(x)
        return weight * x, counted, weight.cumsum(0), torch.rand(4, generator=noise)

    tape = Tape(work)
    names = [getattr(function, "__name__", str(function)) for function, _, _ in tape.ops]
    assert not {"full_like", "div", "cumsum"} & set(names) and {"add_", "mul", "rand"} <= set(names)
    x.uniform_()
    again = noise.get_state()
    tape.play()
    tape.play()
    noise.set_state(again)
    work()
    assert all(torch.equal(a, b) for a, b in zip(tape.results, work(), strict=True))


def test_sparse_gradients_are_refused():
    table = torch.nn.Embedding(5, 2, sparse=True)

    def work():
        return torch.autograd.grad(table(torch.tensor([1, 2])).sum(), table.weight)

    with pytest.raises(Unforeseen, match="is not dense"):
        Tape(work)


# -- the fused NLL ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spread", "shape"),
    [(30, (1, 28, 28)), (0.01, (1, 28, 28)), (0.01, (40, 28, 28)), (3, (5, 11))],  # 0.01: the least products there are
)
def test_nll_and_its_slope_are_those_of_the_parts(spread, shape):
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(6, *shape, generator=draw)
    logits = (spread * torch.randn(6, *shape, generator=draw)).requires_grad_()
    written = F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)
    found = losses.bernoulli_nll(x, logits)
    assert torch.allclose(found, written, rtol=1e-6)
    slopes = [torch.autograd.grad(value.square().sum(), logits, retain_graph=True)[0] for value in (written, found)]
    assert torch.allclose(*slopes, rtol=1e-5)


def test_nll_has_all_derivatives():
    draw = torch.Generator().manual_seed(0)
    x, logits = (torch.rand(2, 1, 3, 2, generator=draw, dtype=torch.float64).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(losses.bernoulli_nll, (x, logits))
    assert torch.autograd.gradgradcheck(losses.bernoulli_nll, (x, logits))


def test_kl_has_all_derivatives():
    draw = torch.Generator().manual_seed(0)
    mu, logvar = (torch.randn(3, 2, generator=draw, dtype=torch.float64).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(losses.gaussian_kl_per_dim, (mu, logvar))
    assert torch.autograd.gradgradcheck(losses.gaussian_kl_per_dim, (mu, logvar))


def test_nll_of_certain_pixels_is_finite():
    x, logits = torch.tensor([[0.0, 1.0, 0.0, 1.0]]), torch.tensor([[1e4, -1e4, -1e4, 1e4]], requires_grad=True)
    nll = losses.bernoulli_nll(x, logits)
    nll.sum().backward()
    assert nll.tolist() == [2e4] and logits.grad.tolist() == [[1, -1, 0, 0]]
