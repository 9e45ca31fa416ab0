#!/usr/bin/env bash
# Makes checkpoints/pretrained/: the finished runs that are shipped, trained by the project's own command line on the
# full MNIST less the 1,000 test digits of mnist-5k, which the pages show. About 15 minutes on one core.
#   AEVAE_DATA=/where/MNIST/is scripts/make_pretrained.sh
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python}"
export AEVAE_PRETRAINED="${AEVAE_PRETRAINED:-/nonexistent}" # train what is shipped already, too
ship() {
  local run
  run=$("$python" -m aevae train --dataset mnist --set leave_out_5k=true --device cpu --json "$@" | tail -n 1 |
    "$python" -c 'import json, sys; print(json.load(sys.stdin)["run"])')
  "$python" -m aevae export "$run" --format folder --half --out checkpoints/pretrained
}
ship --family vae --latent-dim 20 --epochs 10
ship --family ae --latent-dim 2 --epochs 20
ship --family ae --latent-dim 32 --epochs 10
ship --family denoising --latent-dim 32 --preset classic --epochs 20 # trained fast, it answers clean digits badly
ship --family vae --latent-dim 2 --epochs 20
ship --family beta_vae --latent-dim 10 --beta 4 --epochs 10
ship --family vae --latent-dim 16 --epochs 5 --set network=conv
