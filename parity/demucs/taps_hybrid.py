"""Functional steps of hybrid models: spectrogram, branches, masks, Wiener filter."""

from __future__ import annotations

from parity.core.subject import Tap

# R is the axis of real and imaginary part; the reference has complex numbers there.
_SPECTRUM = "BAFTR>BFTAR"
_SOURCES = "BSAFTR>BFTSAR"
_MAPS = "BCFT>BFTC"


def _model(owner: str) -> tuple[Tap, ...]:
    """HDemucs and HTDemucs have the same statements."""

    def tap(
        name: str, inputs: tuple[str, ...], output: str, *statements: str, moves: bool = False
    ) -> Tap:
        return Tap(owner, name, inputs, output, statements, moves)

    return (
        tap(
            "spec_pad",
            ("BAT",),
            "BAT",
            "x = pad1d(x, (pad, pad + le * hl - x.shape[-1]), mode='reflect')",
            "x = pad1d(x, (pad, pad + le * hl - x.shape[-1]))",
            moves=True,
        ),
        tap(
            "stft",
            ("BAT",),
            _SPECTRUM,
            "z = spectro(x, nfft, hl)[..., :-1, :]",
            "z = z[..., 2:2 + le]",
        ),
        tap(
            "complex_as_channels",
            (_SPECTRUM,),
            _MAPS,
            "m = torch.view_as_real(z).permute(0, 1, 4, 2, 3)",
            "m = m.reshape(B, C * 2, Fr, T)",
            moves=True,
        ),
        tap("magnitude", (_SPECTRUM,), "BAFT>BFTA", "m = z.abs()"),
        tap("mean", (_MAPS,), _MAPS, "mean = x.mean(dim=(1, 2, 3), keepdim=True)"),
        tap("std", (_MAPS,), _MAPS, "std = x.std(dim=(1, 2, 3), keepdim=True)"),
        tap("normalize", (_MAPS,) * 3, _MAPS, "x = (x - mean) / (1e-05 + std)"),
        tap("mean_t", ("BAT",), "BAT", "meant = xt.mean(dim=(1, 2), keepdim=True)"),
        tap("std_t", ("BAT",), "BAT", "stdt = xt.std(dim=(1, 2), keepdim=True)"),
        tap("normalize_t", ("BAT",) * 3, "BAT", "xt = (xt - meant) / (1e-05 + stdt)"),
        tap("frequencies", (), "F", "frs = torch.arange(x.shape[-2], device=x.device)"),
        tap(
            "embedding",
            ("FC", _MAPS),
            _MAPS,
            "emb = self.freq_emb(frs).t()[None, :, :, None].expand_as(x)",
            "x = x + self.freq_emb_scale * emb",
        ),
        tap("branch", (_MAPS,), "BCT>BTC", "pre = pre[:, :, 0]", moves=True),
        tap(
            "denormalize",
            (_MAPS,) * 3,
            "BSCFT>BFTSC",
            "x = x.view(B, S, -1, Fq, T)",
            "x = x * std[:, None] + mean[:, None]",
        ),
        tap(
            "channels_as_complex",
            ("BSCFT>BFTSC",),
            _SOURCES,
            "out = m.view(B, S, -1, 2, Fr, T).permute(0, 1, 2, 4, 5, 3)",
            "out = torch.view_as_complex(out.contiguous())",
            moves=True,
        ),
        tap(
            "mask",
            (_SPECTRUM, "BSAFT>BFTSA"),
            _SOURCES,
            "z = z[:, None]",
            "return z / (1e-08 + z.abs()) * m",
        ),
        tap(
            "wiener_targets",
            ("BSAFT>BFTSA",),
            "BTFAS",
            "mag_out = mag_out.permute(0, 4, 3, 2, 1)",
            moves=True,
        ),
        tap(
            "wiener_mixture",
            (_SPECTRUM,),
            "BTFAR",
            "mix_stft = torch.view_as_real(mix_stft.permute(0, 3, 2, 1))",
            moves=True,
        ),
        tap(
            "wiener_initial",
            ("TFAR", "TFAS"),
            "TFARS",
            "angle = atan2(mix_stft[..., 1], mix_stft[..., 0])[..., None]",
            "y = torch.zeros(mix_stft.shape + (nb_sources,), dtype=mix_stft.dtype, "
            "device=mix_stft.device)",
            "y[..., 0, :] = targets_spectrograms * torch.cos(angle)",
            "y[..., 1, :] = targets_spectrograms * torch.sin(angle)",
        ),
        tap(
            "wiener_residual",
            ("TFAR", "TFARS"),
            "TFARS",
            "y = torch.cat([y, mix_stft[..., None] - y.sum(dim=-1, keepdim=True)], dim=-1)",
        ),
        tap(
            "wiener_scale",
            ("TFAR",),
            "",
            "max_abs = torch.max(torch.as_tensor(1.0, dtype=mix_stft.dtype, "
            "device=mix_stft.device), torch.sqrt(_norm(mix_stft)).max() / scale_factor)",
        ),
        tap("wiener_scaled_mixture", ("TFAR", ""), "TFAR", "mix_stft = mix_stft / max_abs"),
        tap("wiener_scaled_sources", ("TFARS", ""), "TFARS", "y = y / max_abs"),
        tap(
            "wiener_maximization",
            ("TFARS", "TFAR"),
            "TFARS",
            "y = expectation_maximization(y, mix_stft, iterations, eps=eps)[0]",
        ),
        tap("wiener_unscaled_sources", ("TFARS", ""), "TFARS", "y = y * max_abs"),
        tap(
            "wiener_turn",
            ("TFARS",),
            "TFASR",
            "out.append(z_out.transpose(-1, -2))",
            moves=True,
        ),
        tap(
            "wiener_windows",
            ("TFASR",),
            "TFASR",
            "outs.append(torch.cat(out, dim=0))",
            moves=True,
        ),
        tap(
            "wiener_stack",
            ("TFASR",),
            _SOURCES,
            "out = torch.view_as_complex(torch.stack(outs, 0))",
            "out = out.permute(0, 4, 3, 2, 1).contiguous()",
            "out = out[:, :-1]",
            moves=True,
        ),
        tap(
            "ispec_pad",
            (_SOURCES,),
            _SOURCES,
            "z = F.pad(z, (0, 0, 0, 1))",
            "z = F.pad(z, (2, 2))",
            moves=True,
        ),
        tap(
            "istft",
            (_SOURCES,),
            "BSAT",
            "x = ispectro(z, hl, length=le)",
            "x = ispectro(z, hl, length)",
        ),
        tap(
            "ispec_crop",
            ("BSAT",),
            "BSAT",
            "x = x[..., pad:pad + length]",
            "x = x[..., :length]",
            moves=True,
        ),
        tap(
            "denormalize_t",
            ("BCT>BTC", "BAT", "BAT"),
            "BSAT",
            "xt = xt.view(B, S, -1, length)",
            "xt = xt.view(B, S, -1, training_length)",
            "xt = xt * stdt[:, None] + meant[:, None]",
        ),
        tap("sum", ("BSAT",) * 2, "BSAT", "x = xt + x"),
    )


def _rows(owner: str) -> tuple[Tap, ...]:
    """Both kinds of layers run their residual branch frequency by frequency."""
    return (
        Tap(
            owner,
            "rows",
            (_MAPS,),
            "BCT>BTC",
            ("y = y.permute(0, 2, 1, 3).reshape(-1, C, T)",),
            moves=True,
        ),
        Tap(
            owner,
            "unrows",
            ("BCT>BTC",),
            _MAPS,
            ("y = y.view(B, Fr, C, T).permute(0, 2, 1, 3)",),
            moves=True,
        ),
    )


TAPS: tuple[Tap, ...] = (
    *_model("HDemucs"),
    Tap("HDemucs", "restart", ("MAP",), "MAP", ("x = torch.zeros_like(x)",)),
    Tap("HDemucs", "restart_t", ("MAP",), "MAP", ("xt = torch.zeros_like(x)",)),
    *_model("HTDemucs"),
    Tap(
        "HTDemucs",
        "pad",
        ("BAT",),
        "BAT",
        ("mix = F.pad(mix, (0, training_length - length_pre_pad))",),
        moves=True,
    ),
    Tap(
        "HTDemucs",
        "flatten",
        (_MAPS,),
        "BCT>BTC",
        ("x = rearrange(x, 'b c f t-> b c (f t)')",),
        moves=True,
    ),
    Tap(
        "HTDemucs",
        "unflatten",
        ("BCT>BTC",),
        _MAPS,
        ("x = rearrange(x, 'b c (f t)-> b c f t', f=f)",),
        moves=True,
    ),
    Tap("HTDemucs", "trim", ("BSAT",), "BSAT", ("x = x[..., :length_pre_pad]",), moves=True),
    # HEncLayer.forward
    Tap("HEncLayer", "flatten", (_MAPS,), "BCT>BTC", ("x = x.view(B, -1, T)",), moves=True),
    Tap(
        "HEncLayer",
        "pad",
        ("BCT>BTC",),
        "BCT>BTC",
        ("x = F.pad(x, (0, self.stride - le % self.stride))",),
        moves=True,
    ),
    Tap(
        "HEncLayer",
        "inject",
        ("BCT>BTC", _MAPS),
        _MAPS,
        ("inject = inject[:, :, None]", "y = y + inject"),
    ),
    Tap("HEncLayer", "gelu", ("MAP",), "MAP", ("y = F.gelu(self.norm1(y))",)),
    *_rows("HEncLayer"),
    Tap("HEncLayer", "glu", ("MAP",), "MAP", ("z = F.glu(z, dim=1)",)),
    # HDecLayer.forward
    Tap(
        "HDecLayer",
        "unflatten",
        ("BCT>BTC",),
        _MAPS,
        ("x = x.view(B, self.chin, -1, T)",),
        moves=True,
    ),
    Tap("HDecLayer", "skip", ("MAP",) * 2, "MAP", ("x = x + skip",)),
    Tap(
        "HDecLayer",
        "glu",
        ("MAP",),
        "MAP",
        ("y = F.glu(self.norm1(self.rewrite(x)), dim=1)",),
    ),
    *_rows("HDecLayer"),
    Tap(
        "HDecLayer",
        "crop",
        ("MAP",),
        "MAP",
        ("z = z[..., self.pad:-self.pad, :]", "z = z[..., self.pad:self.pad + length]"),
        moves=True,
    ),
    Tap("HDecLayer", "gelu", ("MAP",), "MAP", ("z = F.gelu(z)",)),
    # MultiWrap.forward
    Tap(
        "MultiWrap",
        "band",
        (_MAPS,),
        _MAPS,
        (
            "y = x[:, :, start:limit, :]",
            "y = F.pad(y, (0, 0, pad, 0))",
            "y = F.pad(y, (0, 0, 0, pad))",
            "y = x[:, :, start:limit]",
        ),
        moves=True,
    ),
    Tap("MultiWrap", "skip_band", (_MAPS,), _MAPS, ("s = skip[:, :, start:limit]",), moves=True),
    Tap(
        "MultiWrap",
        "seam",
        (_MAPS,) * 2,
        _MAPS,
        (
            "outs[-1][:, :, -layer.stride:] += out[:, :, :layer.stride] - "
            "layer.conv_tr.bias.view(1, -1, 1, 1)",
        ),
    ),
    Tap(
        "MultiWrap",
        "crop",
        (_MAPS,),
        _MAPS,
        (
            "out = out[:, :, layer.stride:]",
            "out = out[:, :, :-layer.stride // 2, :]",
            "out = out[:, :, layer.stride // 2:, :]",
        ),
        moves=True,
    ),
    Tap("MultiWrap", "join", (_MAPS,), _MAPS, ("out = torch.cat(outs, dim=2)",), moves=True),
    Tap("MultiWrap", "gelu", (_MAPS,), _MAPS, ("out = F.gelu(out)",)),
    # ScaledEmbedding.forward, of hdemucs and of transformer
    Tap(
        "ScaledEmbedding",
        "scale",
        ("FC",),
        "FC",
        ("out = self.embedding(x) * self.scale", "return self.embedding(x) * self.boost"),
    ),
)

NO_STEPS: dict[str, str] = {
    "mag = self._magnitude(z).to(mix.device)": "changes nothing on one device",
    "assert (out[..., padding_left:padding_left + length] == x0).all()": "a check",
    "z_out = wiener(mag_out[sample, frame], mix_stft[sample, frame], niters, residual=residual)": (
        "slices, which are the inputs of the steps inside"
    ),
    "return out.to(init)": "has that type already",
}
