"""Programs for the browser: built for every family, refused in one sentence for what the interpreter cannot do."""

import re
import threading

import numpy as np
import pytest
import torch
from js_fixtures import VARIANTS, Decoder, Function, small
from torch import nn
from torch.nn import functional as F

from aevae.browser.blob import unpack
from aevae.browser.program import MAX_DECODE_ERROR, Unsupported, half_is_enough, program
from aevae.models import build_model, family_class
from aevae.paths import ROOT


def known_operations() -> set[str]:
    """Names in the table OPS of the browser's interpreter."""
    text = (ROOT / "aevae/ui/live/program.js").read_text("utf-8")
    table = re.search(r"^const OPS = \{\n(.*?)^\};", text, re.DOTALL | re.MULTILINE)[1]
    return set(re.findall(r"^  (\w+)[,:]", table, re.MULTILINE))


@pytest.mark.slow
@pytest.mark.parametrize(("family", "network", "likelihood"), VARIANTS)
def test_every_family_has_a_program_that_the_browser_knows(family, network, likelihood, js_fixtures):
    model = small(family, network, likelihood)
    name = "-".join((family, network, likelihood))
    header, arrays = unpack((js_fixtures / f"{name}.program").read_bytes())
    size = model.config.latent_dim
    assert header["family"] == family and header["latent_dim"] == size and header["format"] == 1
    assert set(header["functions"]) == ({"encode", "decode"} if model.has_encoder else {"decode"})
    decode = header["functions"]["decode"]
    assert decode["shapes"][decode["input"]] == [size] and np.prod(decode["shapes"][decode["outputs"][0]]) == 784
    for function in header["functions"].values():
        assert {op["op"] for op in function["ops"]} <= known_operations()
        for op in function["ops"]:
            assert all(op[k] in arrays for k in ("w", "b") if k in op)
    if model.has_encoder:
        encode = header["functions"]["encode"]
        shapes = [encode["shapes"][i] for i in encode["outputs"] if i is not None]
        assert shapes in ([[size]], [[size]] * 2)


def test_the_prior_travels():
    priors = {"vae": 1.0, "ae": 0.0, "vq_vae": 0.0, "variational_auto_decoder": 1.0}
    assert {family: unpack(program(small(family)))[0]["prior"] for family in priors} == priors
    narrow = build_model(family_class("vae").Config(latent_dim=3, hidden=16, prior_std=0.1)).requires_grad_(False)
    assert unpack(program(narrow))[0]["prior"] == 0.1


def test_the_weights_of_both_ways_travel_once():
    header, arrays = unpack(program(small("vae")))
    assert len(arrays) == len(header["arrays"]) == 2 * 5 + 2  # two layers each way, one head more, and two shifts
    assert {a.dtype.name for a in arrays.values()} == {header["dtype"]}


def test_half_precision_only_where_it_changes_nothing_to_see():
    fine = small("vae")
    assert half_is_enough(fine) and unpack(program(fine))[0]["dtype"] == "float16"
    steep = small("vae")
    for p in steep.parameters():
        p.data *= 40
    assert not half_is_enough(steep)
    header, arrays = unpack(program(steep))
    assert header["dtype"] == "float32"
    assert np.array_equal(arrays["model.decoder.2.w"], steep.decoder[2].weight.numpy().T)


@pytest.mark.parametrize("value", [1e6, float("inf"), float("nan")])
def test_weights_that_half_precision_cannot_hold_stay_single(value):
    model = small("ae")
    model.decoder[2].bias.data[5] = value
    assert unpack(program(model))[0]["dtype"] == "float32"


def test_half_precision_is_judged_on_the_decoder_too():
    model = small("ae")
    model.decoder[2].weight.data *= 300
    z = torch.randn(64, 3)
    rounded = small("ae")
    rounded.load_state_dict({k: v.half().float() for k, v in model.state_dict().items()})
    assert float((rounded.decode(z) - model.decode(z)).abs().max()) > MAX_DECODE_ERROR
    assert not half_is_enough(model)


def test_the_model_is_left_as_it_was():
    model = small("vae", "conv")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    assert program(model) == program(model)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


REFUSED = {
    "a layer it does not know": nn.Softplus(),
    "a layer of another kind": nn.Sequential(nn.Unflatten(1, (1, 2, 3)), nn.MaxPool2d(2)),
    "a function it does not know": Function(lambda z: z.cos()),
    "a number added": Function(lambda z: z + 1),
    "a scaled sum": Function(lambda z: torch.add(z, z, alpha=2)),
    "broadcasting": Function(lambda z: z - z.reshape(-1, 6, 1)),
    "a tensor bound": Function(lambda z: torch.clamp(z, max=z)),
    "two rows made of one": Function(lambda z: torch.cat([z, z])),
    "the batch folded in": Function(lambda z: z.reshape(-1, 3)),
    "maps joined by rows": Function(lambda z: torch.cat([z.reshape(-1, 1, 2, 3)] * 2, -1)),
    "a layer on every row": nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Linear(3, 4)),
    "grouped": nn.Sequential(nn.Unflatten(1, (2, 1, 3)), nn.Conv2d(2, 2, 1, groups=2)),
    "dilated": nn.Sequential(nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 1, 2, dilation=2, padding=2)),
    "padded by name": nn.Sequential(nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 1, 3, padding="same")),
    "padded by reflection": nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")
    ),
    "a way that depends on the code": Function(lambda z: z if z.sum() > 0 else -z),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_browser_cannot_do_is_refused_in_a_sentence(name):
    with pytest.raises(Unsupported, match=r"^(its|the family) [^\n]+[^.]$"):
        program(Decoder(6, REFUSED[name]))


def test_a_parameter_in_the_forward_pass_is_refused():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(6))

        def forward(self, z):
            return F.relu(z) * self.scale

    with pytest.raises(Unsupported, match="its layer"):
        program(Decoder(6, Scaled()))


def test_other_threads_use_their_models_while_a_program_is_made():
    """torch.fx patches nn.Module for the whole process; thirty students decode meanwhile."""
    model, others = small("vae"), [small("ae"), small("vae", "conv")]
    calls = nn.Module.__call__
    stop, errors = threading.Event(), []

    def busy(own):
        while not stop.is_set():
            try:
                own.encode(torch.rand(1, 1, 28, 28))
                program(own)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=busy, args=(own,)) for own in others]
    for thread in threads:
        thread.start()
    expected = program(model)
    assert all(program(model) == expected for _ in range(10))
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == [] and nn.Module.__call__ is calls
