"""What the machine has a say in: the last places of MKL, and memory."""
