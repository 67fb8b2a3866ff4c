"""What Demucs is built of: residual branches, encoder and decoder layers."""
