"""Disentanglement scores in 0..1, measured on sprites, whose factors are known.

MIG (Chen et al. 2018, arXiv:1802.04942, section 4): mutual information of a factor with its best dimension minus that
with the second best; here of mu in 20 bins, as in Locatello et al. 2019, arXiv:1811.12359; the paper integrates over
q(z|x). FactorVAE score (Kim & Mnih 2018, arXiv:1802.05983, section 3): accuracy of predicting the fixed factor from the
dimension with the least variance. DCI (Eastwood & Williams 2018): importances of predictors of a factor; here of random
forests; the paper has lasso and random forests, Locatello et al. have boosted trees. SAP (Kumar et al. 2018,
arXiv:1711.00848): gap of the two best predictors from a single dimension; here, as in the paper, squared correlation
for a quantity; for a category (shape) a decision tree, in the paper a linear SVM.
"""

import numpy as np

from aevae.metrics.metric import HIGHER, Extra, Metric, Sample, Values, both, trained_on, with_encoder

NUM_BINS = 20  # bins of equal width from the smallest to the largest value
NUM_VOTES, IMAGES_PER_VOTE = 800, 64  # FactorVAE score; the images of a vote share the value of one factor
NUM_REPEATS = 5  # FactorVAE score: repetitions with different seeds
MIN_VARIANCE_SHARE = 0.01  # dimensions with less than this share of the largest variance are ignored
NUM_TREES, TREE_DEPTH = 10, 10
MAX_TRAINING_CODES = 6000  # codes to which predictors are fitted, at most two thirds; the others are for testing


def information(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Mutual information (D, K), in nats, of each binned dimension of codes (N, D) with each factor (N, K)."""
    binned = np.stack([np.digitize(c, np.histogram_bin_edges(c, NUM_BINS)[1:-1]) for c in codes.T], 1)
    return np.array([[_mutual(b, f) for f in factors.T] for b in binned.T])


def _mutual(a: np.ndarray, b: np.ndarray) -> float:
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    apart = np.outer(joint.sum(1), joint.sum(0))
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())


def entropy(factor: np.ndarray) -> float:
    """Entropy, in nats, of a factor (N,) of integers."""
    return _mutual(factor, factor)


def _gap(scores: np.ndarray) -> np.ndarray:
    """Largest minus second largest value of each column of scores (D, K); for one row, the value itself."""
    ranked = np.sort(np.vstack([scores, np.zeros((1, scores.shape[1]))]), 0)
    return ranked[-1] - ranked[-2]


def mig(codes: np.ndarray, factors: np.ndarray) -> float:
    """Mutual information gap of codes (N, D) and factors (N, K), divided by the entropy, mean over factors."""
    return float(np.mean(_gap(information(codes, factors)) / [entropy(f) for f in factors.T]))


def factor_vae_score(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> float:
    """Accuracy of predicting the fixed factor of a vote from the dimension that varies least in it.

    codes (N, D), factors (N, K) integers. Dimensions are divided by their standard deviation; those that hardly vary
    are excluded. Half of the votes fit the mapping from dimension to factor, the others measure its accuracy.
    """
    draw = np.random.default_rng(seed)
    deviation = codes.std(0)
    used = np.flatnonzero(deviation**2 > MIN_VARIANCE_SHARE * max(deviation.max() ** 2, 1e-12))
    if not len(used):
        return 0.0
    scaled = codes[:, used] / deviation[used]
    votes = np.empty((NUM_VOTES, 2), np.int64)
    for i in range(NUM_VOTES):
        k = draw.integers(factors.shape[1])
        same = np.flatnonzero(factors[:, k] == factors[draw.integers(len(factors)), k])
        votes[i] = scaled[draw.choice(same, IMAGES_PER_VOTE)].var(0).argmin(), k
    table = np.zeros((len(used), factors.shape[1]))
    np.add.at(table, tuple(votes[::2].T), 1)
    return float((table.argmax(1)[votes[1::2, 0]] == votes[1::2, 1]).mean())


def dci(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """(disentanglement, completeness, informativeness).

    1 - entropy of the importances over factors; 1 - entropy over dimensions; accuracy of the forests on test codes.
    """
    from sklearn.ensemble import RandomForestClassifier

    train, test = _halves(len(codes), seed)
    importance, right = [], []
    for factor in factors.T:
        forest = RandomForestClassifier(NUM_TREES, max_depth=TREE_DEPTH, max_features=None, random_state=seed)
        forest.fit(codes[train], factor[train])
        importance.append(forest.feature_importances_)
        right.append(forest.score(codes[test], factor[test]))
    matrix = np.stack(importance, 1)  # (D, K)
    return _unmixed(matrix), _unmixed(matrix.T), float(np.mean(right))


def _halves(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(count)
    train = min(MAX_TRAINING_CODES, 2 * count // 3)
    return order[:train], order[train:]


def _unmixed(matrix: np.ndarray) -> float:
    """1 - normalised entropy of the rows, averaged with the rows' sums as weights."""
    if matrix.shape[1] < 2 or not matrix.sum():
        return float(matrix.sum() > 0)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1e-12)
    entropies = -(share * np.log(np.maximum(share, 1e-12))).sum(1) / np.log(matrix.shape[1])
    return float(((1 - entropies) * matrix.sum(1)).sum() / matrix.sum())


def sap(codes: np.ndarray, factors: np.ndarray, kinds: np.ndarray, seed: int = 0) -> float:
    """Separated attribute predictability: score gap of the two best single dimensions, mean over factors.

    Score: squared correlation for a quantity; for a category the accuracy of a decision tree with one leaf per
    category. kinds: (K,) bool, True for categories.
    """
    from sklearn.tree import DecisionTreeClassifier

    varies = codes.std(0) > 1e-9
    scores = np.zeros((codes.shape[1], factors.shape[1]))
    train, test = _halves(len(codes), seed)
    for j in np.flatnonzero(varies):
        one = codes[:, [j]]
        for k, factor in enumerate(factors.T):
            if kinds[k]:
                reader = DecisionTreeClassifier(max_leaf_nodes=len(np.unique(factor))).fit(one[train], factor[train])
                scores[j, k] = reader.score(one[test], factor[test])
            else:
                scores[j, k] = np.corrcoef(one[:, 0], factor)[0, 1] ** 2
    return float(_gap(scores).mean())


def disentanglement(run, data: Sample, seed: int) -> Values:
    """All scores on all 9,000 sprites, because the factors must be balanced; `data` is not used."""
    from aevae.datasets import sprites
    from aevae.metrics.metric import diverged

    factors = sprites.every()
    data.beat(0.0)
    codes = run.encode(sprites.atlas().astype(np.float32) / 255).astype(np.float64)
    if not np.isfinite(codes).all():
        raise ValueError(diverged(run.name))
    values = {"mig": mig(codes, factors)}
    data.beat(0.2)
    scores = [factor_vae_score(codes, factors, seed + i) for i in range(NUM_REPEATS)]
    values |= {"factor_vae": float(np.mean(scores)), "factor_vae_se": float(np.std(scores, ddof=1) / NUM_REPEATS**0.5)}
    data.beat(0.4)
    names = ("dci_disentanglement", "dci_completeness", "dci_informativeness")
    values |= dict(zip(names, dci(codes, factors, seed), strict=True))
    data.beat(0.8)
    values["sap"] = sap(codes, factors, np.array([name == "shape" for name in sprites.SIZES]), seed)
    return values


_NEEDS = both(with_encoder, trained_on("sprites"))
FORESTS = "Uses the feature importances of random forests. The paper also uses lasso; other programs use boosted trees."
METRICS = (
    Metric(
        "mig", "MIG (mu in 20 bins)", "0..1", r"\tfrac1K \sum_k \bigl(I(z_{(1)}; v_k) - I(z_{(2)}; v_k)\bigr) / H(v_k)",
        disentanglement, _NEEDS, better=HIGHER,
        help="Whether each factor of the images is in one latent dimension only. "
             "Uses the means mu, each in 20 bins; the paper uses samples of q(z|x).",
    ),
    Metric(
        "factor_vae", "FactorVAE score", "0..1",
        r"p\bigl(\mathrm{vote}(\arg\min_j \mathrm{Var}\, z_j / s_j^2) = k\bigr)",
        disentanglement, _NEEDS, better=HIGHER, since=2, error="factor_vae_se", beside=("factor_vae_se",),
        extras={"factor_vae_se": Extra("± FactorVAE score, standard error over 5 seeds of its votes", "0..1")},
        help="How often the dimension that varies least tells which factor was fixed. "
             "Mean over 5 seeds. Half of 800 votes train the majority vote, the other half test it.",
    ),
    *(
        Metric(name, title, "0..1", formula, disentanglement, _NEEDS, better=HIGHER, help=f"{meaning} {FORESTS}")
        for name, title, formula, meaning in (
            (
                "dci_disentanglement", "DCI disentanglement (random forests)",
                r"\sum_j \rho_j \bigl(1 - H_K(R_{j\cdot})\bigr)",
                "Whether each latent dimension tells about one factor only.",
            ),
            (
                "dci_completeness", "DCI completeness (random forests)",
                r"\sum_k \rho_k \bigl(1 - H_D(R_{\cdot k})\bigr)",
                "Whether each factor is told by one latent dimension only.",
            ),
            (
                "dci_informativeness", "DCI informativeness (random forests)",
                r"\text{accuracy of the forests on other images}",
                "How well the code tells the factors at all.",
            ),
        )
    ),
    Metric(
        "sap", "SAP (squared correlation, tree for shape)", "0..1", r"\tfrac1K \sum_k S_{(1)k} - S_{(2)k}",
        disentanglement, _NEEDS, better=HIGHER,
        help="How much better the best latent dimension tells a factor than the second best. S is the squared "
             "correlation of a dimension with a quantity, as in the paper, and for the shape the "
             "accuracy of a decision tree; the paper uses a linear SVM for the shape.",
    ),
)  # fmt: skip
