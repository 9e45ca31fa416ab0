#!/usr/bin/env bash
# Makes checkpoints/pretrained/: the finished runs that are shipped, trained by the project's own command line on the
# full MNIST less the 1,000 test digits of mnist-5k, which the pages show. About half an hour on one core.
#   AEVAE_DATA=/where/MNIST/is scripts/make_pretrained.sh
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python}"
export AEVAE_PRETRAINED="${AEVAE_PRETRAINED:-/nonexistent}" # train what is shipped already, too
keep() { # trains what is asked for and puts it on the shelf
  local run
  run=$("$python" -m aevae train --device cpu --json "$@" | tail -n 1 |
    "$python" -c 'import json, sys; print(json.load(sys.stdin)["run"])')
  "$python" -m aevae export "$run" --format folder --half --out checkpoints/pretrained
}
ship() { keep --dataset mnist --set leave_out_5k=true "$@"; }
ship --family vae --latent-dim 20 --epochs 10
ship --family ae --latent-dim 2 --epochs 20
ship --family ae --latent-dim 32 --epochs 10
ship --family denoising --latent-dim 32 --preset classic --epochs 20 # trained fast, it answers clean digits badly
ship --family vae --latent-dim 2 --epochs 20
ship --family beta_vae --latent-dim 10 --beta 4 --epochs 10
ship --family vae --latent-dim 16 --epochs 5 --set network=conv

# One small run of every other family, so that each idea has something to open.
small() { ship --epochs 3 --latent-dim 10 --set hidden=100 "$@"; }
ship --family linear_ae --latent-dim 10
ship --family deep_ae --latent-dim 10 --epochs 5 --set widths=128-64-32
ship --family sparse --latent-dim 128 --epochs 3
ship --family sparse_kl --latent-dim 128 --epochs 5
ship --family k_sparse --latent-dim 200 --epochs 5 --set k=15 --set anneal_epochs=2
ship --family contractive --latent-dim 128 --epochs 3
small --family iwae
small --family skip_vae
ship --family ml_vae --epochs 3 --set hidden=100
ship --family vq_vae --epochs 2 --set prior_width=24
ship --family vq_vae2 --epochs 2 --set prior_width=24
keep --family auto_decoder --latent-dim 16 --set hidden=100
keep --family variational_auto_decoder --latent-dim 10 --set hidden=100
keep --family td_vae
ship --family flow_vae --epochs 3 --latent-dim 8 --set hidden=64
