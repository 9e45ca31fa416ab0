"""The identities of `aevae check` hold, each on its own line."""

import pytest

from aevae import checks, losses


@pytest.mark.slow
@pytest.mark.parametrize(("name", "function", "tolerance"), checks.CHECKS, ids=[c[0] for c in checks.CHECKS])
def test_identity(name, function, tolerance):
    assert checks.residual(function) <= tolerance


def test_a_false_identity_is_noticed(monkeypatch):
    monkeypatch.setattr(losses, "gaussian_kl", lambda mu, logvar: (mu**2).sum(1))  # a KL without its variance
    some = [each for each in checks.CHECKS if "KL" in each[0] or "pPCA" in each[0]]
    monkeypatch.setattr(checks, "CHECKS", some)
    failed = [name for name, residual, tolerance in checks.run() if residual > tolerance]
    assert any("torch.distributions" in name for name in failed)
    assert any("pPCA" in name for name in failed)
