"""Run folders on disk: reading, listing and deleting runs, writing them during training, bundles of lab models."""
