"""Weights as functions of the training time in epochs (with fractions), so that a resumed run finds them again."""


def warmup(epoch: float, length: float) -> float:
    """Linear rise from 0 at the start to 1 after `length` epochs; 1 throughout where `length` is 0.

    Bowman et al. 2016, arXiv:1511.06349, section 3.1 (KL annealing); Sonderby et al. 2016, arXiv:1602.02282.
    """
    return 1.0 if length <= 0 else min(1.0, epoch / length)
