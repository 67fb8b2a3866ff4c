"""Guards the harness: a control that has to fail, and a baseline that no run may fall behind."""
