"""EnCodec's encoder and decoder, ported and proven: `python -m examples.parity_encodec`."""
