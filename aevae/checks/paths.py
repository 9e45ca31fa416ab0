"""Interpolation between codes and between frames. Sources: Shoemake 1985; Berthelot et al. 2019 (ACAI)."""

import numpy as np

from aevae.checks import check, digits, randn
from aevae.datasets import lines, moving_digits
from aevae.latent import interpolation, traversal
from aevae.metrics.interpolation import NUM_STEPS, judge


def codes(count: int = 50, size: int = 6, seed: int = 0) -> np.ndarray:
    return randn(count, size, seed=seed).numpy().astype(np.float32)


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    return list(zip(codes(), codes(seed=1), strict=True))


@check("a linear and a spherical path start and end at their two codes, bit for bit", 0)
def ends_are_met():
    found = [(interpolation.path(a, b, 7, kind), a, b) for a, b in pairs() for kind in interpolation.KINDS]
    return max(max(np.abs(path[0] - a).max(), np.abs(path[-1] - b).max()) for path, a, b in found)


@check("the spherical path between codes of equal length keeps this length, relative", 1e-6)
def length_is_kept():
    turned = [interpolation.path(a, b * np.linalg.norm(a) / np.linalg.norm(b), 9, "spherical") for a, b in pairs()]
    lengths = np.linalg.norm(np.stack(turned).astype(np.float64), axis=2)
    return np.abs(lengths / lengths[:, :1] - 1).max()


@check("the spherical path becomes the linear path when the angle goes to 0: largest distance / step^2", 1)
def small_angles():
    worst = 0.0
    for size in (1e-1, 1e-2):
        for a, step in pairs():
            b = (a + np.float32(size) * step).astype(np.float32)
            apart = np.abs(interpolation.path(a, b, 9, "spherical") - interpolation.path(a, b, 9)).max()
            worst = max(worst, apart / (size * np.linalg.norm(step)) ** 2)
    return worst


@check("the linear middle of two samples of N(0, I) has E |z|^2 = D / 2, in standard errors", 4)
def the_middle_is_short():
    a, b = codes(20_000, 20, 2), codes(20_000, 20, 3)
    squares = np.square(interpolation.lerp(a, b, 0.5).astype(np.float64)).sum(1)
    return abs(squares.mean() - 10) / (squares.std() / len(squares) ** 0.5)


@check("a traversal changes only its own dimension", 0)
def traversal_moves_one():
    z = codes(1)[0]
    moved = [traversal.traverse(z, d, np.linspace(-3, 3, 7)) for d in range(len(z))]
    return max(np.abs(np.delete(walk, d, axis=1) - np.delete(z, d)).max() for d, walk in enumerate(moved))


@check(
    "a path of true lines, rotated in equal steps, has distance 0 from all lines and perfect smoothness: both numbers",
    5e-3,
)
def perfect_walk():
    angles = np.linspace([0.3, 2.0], [1.1, 0.5], NUM_STEPS, axis=1)  # (2, NUM_STEPS)
    distance, smoothness, _ = judge(np.stack([lines.render_lines(walk) for walk in angles]))
    jump = judge(lines.render_lines(np.repeat([0.3, 1.1], NUM_STEPS // 2))[None])[1]
    return max(100 * distance, smoothness) if jump > 0.9 else np.inf


@check("moving digits: frame t is frame 0 rolled by t pixels, left or right", 0)
def frames_are_rolled():
    images = (255 * digits(6).numpy()).astype(np.uint8)
    moves = moving_digits.motion(images)
    found, wrong = moving_digits.sequences(images, moves), 0
    for frames, way in zip(found, moves.direction, strict=True):
        wrong += sum(int((frames[t] != np.roll(frames[0], way * t, -1)).sum()) for t in range(len(frames)))
    both = len(set(moving_digits.directions(found).tolist())) == 2
    return wrong if both else np.inf
