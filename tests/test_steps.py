"""Steps of one model and of several side by side, the recipe, and the path that only a GPU takes."""

import dataclasses
import math

import pytest
import torch
from conftest import fitting
from model_helpers import choices

from aevae import datasets, noise, runs
from aevae.config import DataConfig, TrainConfig, preset
from aevae.models import FAMILIES, build_model, family_class
from aevae.run_config import build_config
from aevae.schedules import one_cycle, warmup
from aevae.training import steps
from aevae.training.device import busy_cores, pick_device, set_threads
from aevae.training.trainer import Trainer, TrainingData, TrainingDiverged, fit

CPU = torch.device("cpu")
DIGITS = datasets.load(DataConfig("mnist-5k")).train.images[::44][:90]  # of all classes
RECIPE = TrainConfig(epochs=2, batch_size=32, lr=3e-3)  # 90 = 32 + 32 + 26: the last batch is smaller


def trainer(family="vae", seed=0, recipe=RECIPE, **model):
    config = family_class(family).Config(**fitting(family, latent_dim=3, hidden=16) | model)
    return Trainer(build_model(config, seed), TrainingData(DIGITS, DIGITS[:20]), recipe, seed, CPU)


def weights(of):
    return torch.cat([p.detach().flatten() for p in of.model.parameters()])


def near(a, b):
    """The same weights up to rounding. Where a gradient is all rounding, Adam takes a full step of its sign: a few."""
    return float((a - b).abs().mean()) < 1e-4 and float((a - b).abs().max()) < 2 * RECIPE.lr


BATCHED = [
    (family, network)
    for family in FAMILIES
    if family_class(family).batched
    for network in choices(family, "network") or ("",)
]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "network"), BATCHED)
def test_side_by_side_equals_alone(family, network):
    """Each of three seeds ends where it ends alone, up to rounding: weights, history, and Adam's moments."""
    alone = [trainer(family, seed, **fitting(family, network=network)) for seed in range(3)]
    for each in alone:
        assert each.fit()
    team = [trainer(family, seed, **fitting(family, network=network)) for seed in range(3)]
    assert fit(team)
    for one, other in zip(alone, team, strict=True):
        assert near(weights(one), weights(other))
        for a, b in zip(one.history, other.history, strict=True):
            assert a["step"] == b["step"]
            for part in ("train", "test"):
                assert a.get(part, {}) == pytest.approx(b.get(part, {}), rel=5e-3, abs=2e-3)
        mine, theirs = one.state()[0], other.state()[0]
        assert mine.keys() == theirs.keys()
        assert torch.allclose(mine["adam.0.exp_avg"], theirs["adam.0.exp_avg"], atol=1e-3)
        assert torch.equal(mine["noise"], theirs["noise"]), "each drew its own noise, as much as alone"
    assert not torch.allclose(weights(team[0]), weights(team[1]), atol=1e-2)


def test_drawn_pixels_are_drawn_anew_at_each_step_by_each_its_own_noise():
    def drawn(seed):
        model = build_model(family_class("vae").Config(latent_dim=3, hidden=16), seed)
        return Trainer(model, TrainingData(DIGITS, DIGITS[:20], resample=True), RECIPE, seed, CPU)

    one, index = drawn(0), torch.arange(len(DIGITS))
    looks = torch.stack([one.images(index) for _ in range(200)])
    assert set(looks.unique().tolist()) == {0.0, 1.0}
    grey = torch.tensor(DIGITS).float() / 255
    sure = (grey == 0) | (grey == 1)
    assert torch.equal(looks[0][sure], grey[sure])
    assert looks[:, ~sure].std(0).max() > 0.4
    assert abs(float((looks.mean(0) - grey)[~sure].mean())) < 0.005  # 4 standard errors
    alone = [drawn(seed) for seed in (0, 1)]
    for each in alone:
        assert each.fit()
    team = [drawn(seed) for seed in (0, 1)]
    assert fit(team)
    for one, other in zip(alone, team, strict=True):
        assert near(weights(one), weights(other))


@pytest.mark.parametrize(("knob", "values"), [("prior_std", (1.0, 2.0)), ("free_bits", (0.0, 0.5))])
def test_a_knob_that_does_nothing_in_one_works_in_the_other(knob, values):
    alone, team = ([trainer("vae", **{knob: value}) for value in values] for _ in range(2))
    fit(team)
    for one, other in zip(alone, team, strict=True):
        assert one.fit()
        assert near(weights(one), weights(other))


def test_each_keeps_its_own_knob():
    """beta = 0 and beta = 50 side by side: what the KL costs is not shared."""
    recipe = dataclasses.replace(RECIPE, epochs=8)
    team = [trainer("beta_vae", recipe=recipe, beta=beta) for beta in (0.0, 50.0)]
    fit(team)
    free, dear = (each.history[-1]["test"] for each in team)
    assert free["kl"] > 10 * dear["kl"]
    assert dear["objective"] == pytest.approx(dear["recon"] + 50 * dear["kl"], rel=1e-5)
    assert free["objective"] == pytest.approx(free["recon"], rel=1e-5)


def test_a_team_stops_and_goes_on_alone_or_together():
    whole = [trainer(seed=seed) for seed in range(2)]
    fit(whole)
    team, asked = [trainer(seed=seed) for seed in range(2)], []
    assert not fit(team, should_stop=lambda: asked.append(1) or len(asked) > 4)
    states = [each.state() for each in team]
    assert [meta["step"] for _, meta in states] == [4, 4]
    alone = trainer(seed=1)
    alone.load_state(*states[1])
    alone.fit()
    again = [trainer(seed=seed) for seed in range(2)]
    for each, state in zip(again, states, strict=True):
        each.load_state(*state)
    fit(again)
    for end in (alone, again[1]):
        assert near(weights(end), weights(whole[1]))
        assert end.history[-1]["train"] == pytest.approx(whole[1].history[-1]["train"], rel=1e-4)


def test_one_that_diverges_leaves_the_others_alone():
    alone = trainer("beta_vae", seed=1, beta=1.0)
    alone.fit()
    team = [trainer("beta_vae", seed=0, beta=1.0), trainer("beta_vae", seed=1, beta=1.0)]
    team[0].model.beta.fill_(math.nan)
    heard = []
    assert fit(team, lambda i, event: heard.append(i))
    assert isinstance(team[0].diverged, TrainingDiverged) and "objective became nan" in str(team[0].diverged)
    assert team[1].diverged is None and team[1].finished and 0 not in heard
    assert near(weights(alone), weights(team[1]))


def test_a_single_one_that_diverges_stops():
    one = trainer("beta_vae")
    one.model.beta.fill_(math.nan)
    with pytest.raises(TrainingDiverged, match="objective became nan"):
        one.fit()


def test_a_sweep_makes_ordinary_runs(empty_store):
    points = [{"beta": "1"}, {"beta": "4"}, {"beta": "4", "latent_dim": "2"}]
    base = {"hidden": "8", "limit": "150", "epochs": "1", "latent_dim": "3"}
    configs = [build_config("beta_vae", base | point, seed) for point in points for seed in (0, 1)]
    groups = runs.side_by_side(configs, CPU)
    assert [len(group) for group in groups] == [4, 2], "another shape is another group"
    first = runs.train_or_load(configs[0], "cpu")
    heard = set()
    results = runs.sweep([*configs, configs[1]], "cpu", lambda i, event: heard.add(i))
    assert [r.cached for r in results] == [True, *[False] * 5, False] and heard == {1, 2, 3, 4, 5}
    assert results[0].name == first.name and results[-1].name == results[1].name
    for config, result in zip(configs, results, strict=False):
        assert result.finished and result.name == config.name
        run = runs.load_run(result.name)
        assert run.config == config and run.film["recon"].shape[1:] == (16, 28, 28)
    again = runs.sweep(configs, "cpu")
    assert all(result.cached for result in again)


def test_convolutions_take_turns_on_a_cpu():
    configs = [build_config("vae", {"network": "conv"}, seed) for seed in (0, 1)]
    assert [len(group) for group in runs.side_by_side(configs, CPU)] == [1, 1]
    assert [len(group) for group in runs.side_by_side(configs, torch.device("cuda"))] == [2]


def test_prepared_draws_are_those_of_each_generator():
    def generator(seed):
        return torch.Generator().manual_seed(seed)

    x = torch.zeros(4, 2)
    noted = noise.RecordingRng(generator(9))
    noise.normal((4, 2), noted, x), noise.uniform((3,), noted, x)
    stacked = noise.predraw(noted.requests, [generator(0), generator(1)], x)
    for m in (0, 1):
        own = generator(m)
        assert torch.equal(stacked[0][m], torch.randn(4, 2, generator=own))
        assert torch.equal(stacked[1][m], torch.rand(3, generator=own))
    handed = noise.ReplayRng([s[0] for s in stacked])
    assert torch.equal(noise.normal((4, 2), handed, x), stacked[0][0])


# -- the recipe ------------------------------------------------------------------------------------------------------


def test_one_cycle_rises_and_falls():
    rates = [one_cycle(step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 80) and max(rates) == 1 and rates.index(1) == 79
    assert rates[-1] == pytest.approx(1 / 920) and sorted(rates[80:], reverse=True) == rates[80:]
    few = [one_cycle(step, 12) for step in range(12)]
    assert few == pytest.approx([(step + 1) / 20 for step in range(12)]), "a run of a few steps never has the peak"


def test_the_rate_reaches_adam():
    one = trainer()
    seen = []
    one.fit(should_stop=lambda: seen.append((one.step, one.optimizers["adam"].param_groups[0]["lr"])) or False)
    assert all(lr == pytest.approx(RECIPE.lr * one_cycle(step - 1, one.steps)) for step, lr in seen if step)


def test_warmup_of_a_tensor_is_that_of_its_number():
    for epoch in (0.0, 0.5, 3.0):
        assert float(warmup(torch.tensor(epoch), 2.0)) == warmup(epoch, 2.0)
    assert warmup(torch.tensor(0.3), 0.0) == 1.0


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_a_centred_model_begins_at_the_mean_image(network, likelihood):
    one = trainer(network=network, likelihood=likelihood)
    mean = torch.tensor(DIGITS).float().mean(0) / 255
    model = one.model.eval()
    seen = []
    model.encoder[0].register_forward_hook(lambda module, x, out: seen.append(out))
    model.encode(mean[None])
    assert seen[0].abs().max() < 1 / 500
    for p in model.decoder.parameters():
        p.data.zero_()
    assert torch.allclose(model.decode(torch.zeros(1, 3))[0], mean.clamp(1 / 510, 1 - 1 / 510), atol=1e-5)


def test_centring_is_kept_with_the_weights(empty_store):
    config = build_config("ae", {"hidden": "8", "limit": "150", "epochs": "1", "latent_dim": "2"})
    run = runs.load_run(runs.train_or_load(config, "cpu").name)
    assert run.model.encoder[0].by.abs().max() > 0.1
    plain = dataclasses.replace(config, train=dataclasses.replace(config.train, centre=False))
    assert not runs.load_run(runs.train_or_load(plain, "cpu").name).model.encoder[0].by.any()


def test_presets():
    classic = preset("classic", DataConfig("mnist"))
    assert (classic.lr, classic.batch_size, classic.epochs, classic.beta2) == (1e-3, 128, 10, 0.999)
    assert classic.schedule == "constant" and not classic.centre
    large, small = preset("fast", DataConfig("mnist")), preset("fast", DataConfig("mnist-5k"))
    assert large.epochs < small.epochs and small == TrainConfig()
    few = preset("fast", DataConfig("mnist", limit=1000))
    assert few == dataclasses.replace(small, lr=few.lr) and few.lr > small.lr, "a part of it is a small data set"
    conv = family_class("vae").Config(network="conv")
    assert preset("fast", DataConfig("mnist"), conv).batch_size == TrainConfig().batch_size < large.batch_size
    assert preset("fast", DataConfig("mnist"), family_class("vae").Config) == large
    with pytest.raises(ValueError, match="preset must be one of fast, classic, got slow"):
        preset("slow", DataConfig())


# -- devices ---------------------------------------------------------------------------------------------------------


def test_bfloat16_changes_little_and_only_if_chosen():
    plain, mixed = trainer(), trainer(recipe=dataclasses.replace(RECIPE, precision="bfloat16"))
    plain.fit()
    mixed.fit()
    assert not torch.equal(weights(plain), weights(mixed))
    assert all(p.dtype == torch.float32 for p in mixed.model.parameters())
    ends = [each.history[-1]["test"]["objective"] for each in (plain, mixed)]
    assert ends[1] == pytest.approx(ends[0], rel=0.02)


def test_threads_follow_the_load(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.delenv("AEVAE_THREADS")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(4)), raising=False)
    monkeypatch.setattr("os.nice", lambda by: 0)
    try:
        for busy, idle, niced in ((0.0, 4, 3), (1.2, 3, 3), (3.9, 1, 1)):
            monkeypatch.setattr("aevae.training.device.busy_cores", lambda busy=busy: busy)
            assert (set_threads(), set_threads(spare=1)) == (idle, niced)
        monkeypatch.setattr("os.nice", lambda by: 15)
        monkeypatch.setattr("aevae.training.device.busy_cores", lambda: 0.0)
        assert set_threads() == 3, "a niced worker leaves a core to the interface"
    finally:
        torch.set_num_threads(before)


def test_the_load_is_a_number_of_cores():
    assert 0 <= busy_cores(0.05) <= 1024


class FakeGraph:
    """Counts what a CUDA graph is asked; replay does what was captured."""

    def __init__(self, fails=False):
        self.fails, self.replays = fails, 0

    def register_generator_state(self, generator):
        pass

    def replay(self):
        self.replays += 1
        self.body()


@pytest.mark.parametrize("fails", [False, True])
def test_a_graph_takes_full_batches_and_falls_back_by_itself(monkeypatch, fails):
    """The logic of the GPU path, with a stand-in for CUDA: the same run as without, and the record says how."""
    import contextlib

    plain = trainer()
    plain.fit()
    graph = FakeGraph()

    @contextlib.contextmanager
    def capture(wanted):
        yield
        if fails:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    class Stream:
        def __init__(self, device=None):
            pass

        def wait_stream(self, other):
            pass

    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())

    one = trainer()
    alone = steps.SingleStep(one)
    alone.optimizers[0].param_groups[0]["lr"] = torch.tensor(RECIPE.lr)
    graphed = steps.CudaGraphStep(alone)
    recording, real = [False], alone.run

    def run(index, epoch, rate):
        """While it is captured nothing happens; afterwards the graph does it with what lies in its inputs then."""
        if recording[0]:
            graph.body = lambda: real(index, float(epoch), float(rate))
        else:
            real(index, float(epoch), float(rate))

    def captured():
        recording[0] = True
        steps.CudaGraphStep._capture(graphed)
        recording[0] = False

    monkeypatch.setattr(alone, "run", run)
    monkeypatch.setattr(graphed, "_capture", captured)
    monkeypatch.setattr("aevae.training.trainer.make_step_fn", lambda trainers: graphed)
    one.fit()
    assert near(weights(one), weights(plain))
    assert one.history[-1]["test"] == pytest.approx(plain.history[-1]["test"], rel=1e-5)
    full = 2 * 2 - steps.WARM_UP_STEPS  # two epochs of two full batches, less those before the capture
    assert graph.replays == (0 if fails else full)
    assert one.launch == ("eager: operation not permitted when stream is capturing" if fails else "graph")


@pytest.mark.skipif(pick_device().type != "cuda", reason="no CUDA here")
def test_graphs_on_a_real_gpu():
    device = torch.device("cuda")
    config = family_class("vae").Config(latent_dim=3, hidden=16)
    recipe = dataclasses.replace(RECIPE, epochs=6)
    graphed = Trainer(build_model(config, 0), TrainingData(DIGITS, DIGITS[:20]), recipe, 0, device)
    graphed.fit()
    assert graphed.launch == "graph"
    eager = Trainer(build_model(config, 0), TrainingData(DIGITS, DIGITS[:20]), recipe, 0, device)
    step_fn = steps.SingleStep(eager)
    for _ in range(eager.steps):
        if eager.step % eager.steps_per_epoch == 0:
            order = eager.order()[None]
        i = eager.step % eager.steps_per_epoch
        step_fn(order[:, i * 32 : (i + 1) * 32])
    assert torch.allclose(weights(graphed), weights(eager), atol=1e-3)
