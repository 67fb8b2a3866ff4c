"""One file per kind of layer; nothing here knows of Demucs.

Axis letters: B batch, S source, A audio channel, C feature channel, T time, H head,
D hidden size, K kernel tap. Feature maps are channels-last, (B, T, C).
"""
