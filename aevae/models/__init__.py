"""The registry of model families. A family is imported at its first use, so listings need no torch.

docs/adding.md explains how to add a family.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from aevae.config import brief

if TYPE_CHECKING:
    from aevae.models.base import Model

MAX_SEARCHED_IMAGES = 1000  # test images of a model without an encoder, which optimizes the code of each image
FAMILIES = {
    "ae": "aevae.models.ae:Autoencoder",
    "linear_ae": "aevae.models.linear_ae:LinearAutoencoder",
    "deep_ae": "aevae.models.deep_ae:DeepAutoencoder",
    "denoising": "aevae.models.denoising:DenoisingAutoencoder",
    "sparse": "aevae.models.sparse:SparseAutoencoder",
    "sparse_kl": "aevae.models.sparse_kl:KLSparseAutoencoder",
    "k_sparse": "aevae.models.k_sparse:KSparseAutoencoder",
    "contractive": "aevae.models.contractive:ContractiveAutoencoder",
    "vae": "aevae.models.vae:VAE",
    "beta_vae": "aevae.models.beta_vae:BetaVAE",
    "iwae": "aevae.models.iwae:IWAE",
    "skip_vae": "aevae.models.skip_vae:SkipVAE",
    "vq_vae": "aevae.models.vq_vae:VQVAE",
    "vq_vae2": "aevae.models.vq_vae2:VQVAE2",
    "td_vae": "aevae.models.td_vae:TDVAE",
    "flow_vae": "aevae.models.flow_vae:FlowVAE",
    "auto_decoder": "aevae.models.auto_decoder:AutoDecoder",
    "variational_auto_decoder": "aevae.models.variational_auto_decoder:VariationalAutoDecoder",
    "ml_vae": "aevae.models.ml_vae:MLVAE",
}


def family_class(name: str) -> "type[Model]":
    """The model class of a family; its `Config` is the config class. Raises ValueError for an unknown name."""
    if not isinstance(name, str) or name not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {brief(name)}")
    module, _, attribute = FAMILIES[name].partition(":")
    return getattr(import_module(module), attribute)


def build_model(config, seed: int = 0) -> "Model":
    """A new model of `config.family` with weights initialised from `seed`. The global random state does not change."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return family_class(config.family)(config)


def check_input_kind(config, dataset) -> None:
    """Raise ValueError if the family needs sequences and the data set contains single images, or vice versa."""
    takes_sequences = family_class(config.family).input == "sequence"
    has_sequences = dataset.train.images.ndim == 5
    if takes_sequences and not has_sequences:
        raise ValueError(
            f"{config.family} needs sequences, but {dataset.name} has single images; use the data set {config.dataset}"
        )
    if has_sequences and not takes_sequences:
        raise ValueError(f"{dataset.name} has sequences, but {config.family} needs single images")
