"""Functional steps of time-domain Demucs, and of the blocks that all models share."""

from __future__ import annotations

from parity.core.subject import Tap

TAPS: tuple[Tap, ...] = (
    # Demucs.forward
    Tap("Demucs", "mono", ("BAT",), "BAT", ("mono = mix.mean(dim=1, keepdim=True)",)),
    Tap("Demucs", "mean", ("BAT",), "BAT", ("mean = mono.mean(dim=-1, keepdim=True)",)),
    Tap("Demucs", "std", ("BAT",), "BAT", ("std = mono.std(dim=-1, keepdim=True)",)),
    Tap("Demucs", "normalize", ("BAT",) * 3, "BAT", ("x = (x - mean) / (1e-05 + std)",)),
    Tap(
        "Demucs",
        "pad",
        ("BAT",),
        "BAT",
        ("x = F.pad(x, (delta // 2, delta - delta // 2))",),
        moves=True,
    ),
    Tap("Demucs", "upsample", ("BAT",), "BAT", ("x = julius.resample_frac(x, 1, 2)",)),
    Tap("Demucs", "skip", ("BCT>BTC",) * 2, "BCT>BTC", ("x = decode(x + skip)",)),
    Tap("Demucs", "downsample", ("BAT",), "BAT", ("x = julius.resample_frac(x, 2, 1)",)),
    Tap("Demucs", "denormalize", ("BAT",) * 3, "BAT", ("x = x * std + mean",)),
    Tap("Demucs", "trim", ("BAT",), "BAT", ("x = center_trim(x, length)",), moves=True),
    Tap(
        "Demucs",
        "split",
        ("BAT",),
        "BSAT",
        ("x = x.view(x.size(0), len(self.sources), self.audio_channels, x.size(-1))",),
        moves=True,
    ),
    # DConv.forward
    Tap("DConv", "skip", ("BCT>BTC",) * 2, "BCT>BTC", ("x = x + layer(x)",)),
    # BLSTM.forward
    Tap(
        "BLSTM",
        "frame",
        ("BCT>BTC",),
        "TBC>BTC",
        (
            "frames = unfold(x, width, stride)",
            "x = frames.permute(0, 2, 1, 3).reshape(-1, C, width)",
            "x = x.permute(2, 0, 1)",
        ),
        moves=True,
    ),
    Tap(
        "BLSTM",
        "unframe",
        ("TBC>BTC",),
        "BCT>BTC",
        (
            "x = x.permute(1, 2, 0)",
            "frames = x.reshape(B, -1, C, width)",
            "out.append(frames[:, k, :, :-limit])",
            "out.append(frames[:, k, :, limit:])",
            "out.append(frames[:, k, :, limit:-limit])",
            "out = torch.cat(out, -1)",
            "out = out[..., :T]",
        ),
        moves=True,
    ),
    Tap("BLSTM", "skip", ("BCT>BTC",) * 2, "BCT>BTC", ("x = x + y",)),
    # LocalState.forward; there the first of two time axes is the key, the second the query
    Tap(
        "LocalState",
        "delta",
        (),
        "KQ",
        (
            "indexes = torch.arange(T, device=x.device, dtype=x.dtype)",
            "delta = indexes[:, None] - indexes[None, :]",
        ),
    ),
    Tap(
        "LocalState",
        "queries",
        ("BCT>BTC",),
        "BHCT>BTHC",
        ("queries = self.query(x).view(B, heads, -1, T)",),
        moves=True,
    ),
    Tap(
        "LocalState",
        "keys",
        ("BCT>BTC",),
        "BHCT>BTHC",
        ("keys = self.key(x).view(B, heads, -1, T)",),
        moves=True,
    ),
    Tap(
        "LocalState",
        "scores",
        ("BHCT>BTHC",) * 2,
        "BHKQ>BHQK",
        (
            "dots = torch.einsum('bhct,bhcs->bhts', keys, queries)",
            "dots /= keys.shape[2] ** 0.5",
        ),
    ),
    Tap(
        "LocalState",
        "rates",
        (),
        "N",
        ("decays = torch.arange(1, self.ndecay + 1, device=x.device, dtype=x.dtype)",),
    ),
    Tap(
        "LocalState",
        "decays",
        ("BCT>BTC",),
        "BHCT>BTHC",
        ("decay_q = self.query_decay(x).view(B, heads, -1, T)",),
        moves=True,
    ),
    Tap(
        "LocalState",
        "penalty",
        ("BHCT>BTHC", "N", "KQ", "BHKQ>BHQK"),
        "BHKQ>BHQK",
        (
            "decay_q = torch.sigmoid(decay_q) / 2",
            "decay_kernel = -decays.view(-1, 1, 1) * delta.abs() / self.ndecay ** 0.5",
            "dots += torch.einsum('fts,bhfs->bhts', decay_kernel, decay_q)",
            "dots.masked_fill_(torch.eye(T, device=dots.device, dtype=torch.bool), -100)",
        ),
    ),
    Tap(
        "LocalState",
        "weights",
        ("BHKQ>BHQK",),
        "BHKQ>BHQK",
        ("weights = torch.softmax(dots, dim=2)",),
    ),
    Tap(
        "LocalState",
        "content",
        ("BCT>BTC",),
        "BHCT>BTHC",
        ("content = self.content(x).view(B, heads, -1, T)",),
        moves=True,
    ),
    Tap(
        "LocalState",
        "result",
        ("BHKQ>BHQK", "BHCT>BTHC"),
        "BCT>BTC",
        (
            "result = torch.einsum('bhts,bhct->bhcs', weights, content)",
            "result = result.reshape(B, -1, T)",
        ),
    ),
    Tap("LocalState", "skip", ("BCT>BTC",) * 2, "BCT>BTC", ("return x + self.proj(result)",)),
)
