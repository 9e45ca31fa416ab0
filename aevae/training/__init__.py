"""The loop that trains any family, and the device it runs on."""
