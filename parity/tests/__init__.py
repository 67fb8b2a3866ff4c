"""The comparisons as pytest runs them: `pytest parity/ -k encoder`."""
