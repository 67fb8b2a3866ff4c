"""One file per kind of layer; nothing here knows of Demucs.

Axis letters: B batch, S source, A audio channel, C feature channel, F frequency, T time, H head,
D hidden size or model width, G group, K kernel tap; T' is another length of that kind. Feature
maps are channels-last, (B, T, C).
"""
