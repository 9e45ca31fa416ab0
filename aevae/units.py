"""Units of loss terms and errors."""

NATS = "nats / image"
SQUARED_ERROR = "squared error / image"
TERM_UNITS = dict.fromkeys(("recon", "kl", "elbo", "objective", "iwae", "prior", "bce"), NATS) | {
    "sse": SQUARED_ERROR,
    "psnr": "dB",
}  # terms and errors that most families have
