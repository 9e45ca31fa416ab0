"""The registry of metrics. docs/adding.md explains how to add one."""

from aevae.metrics import basics, codes, denoising, disentanglement, interpolation, jacobian, nll, samples
from aevae.metrics.metric import Extra, Metric

FILES = (basics, nll, codes, jacobian, denoising, samples, disentanglement, interpolation)
METRICS: dict[str, Metric] = {metric.name: metric for file in FILES for metric in file.METRICS}
EXTRAS: dict[str, Extra] = {name: extra for metric in METRICS.values() for name, extra in metric.extras.items()}
