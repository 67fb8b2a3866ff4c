"""What separating a library on Ray costs: measured, and from that simulated for larger clusters."""
