"""Functional steps of the transformer."""

from __future__ import annotations

from parity.core.subject import Tap

_MAPS = "BCFT>BFTC"
_HEADS = "BHTD>BTHD"


def _layer(owner: str, attention: tuple[str, ...], forward: tuple[str, ...]) -> tuple[Tap, ...]:
    return (
        Tap(owner, "attention_skip", ("BTC",) * 2, "BTC", attention),
        Tap(
            owner,
            "activation",
            ("BTC",),
            "BTC",
            ("x = self.linear2(self.dropout(self.activation(self.linear1(x))))",),
        ),
        Tap(owner, "forward_skip", ("BTC",) * 2, "BTC", forward),
    )


TAPS: tuple[Tap, ...] = (
    # CrossTransformerEncoder.forward
    Tap(
        "CrossTransformerEncoder",
        "positions_2d",
        (),
        "BTC",
        (
            "pos_emb_2d = create_2d_sin_embedding(C, Fr, T1, x.device, self.max_period)",
            "pos_emb_2d = rearrange(pos_emb_2d, 'b c fr t1 -> b (t1 fr) c')",
        ),
    ),
    Tap(
        "CrossTransformerEncoder",
        "tokens",
        (_MAPS,),
        "BTC",
        ("x = rearrange(x, 'b c fr t1 -> b (t1 fr) c')",),
        moves=True,
    ),
    Tap(
        "CrossTransformerEncoder",
        "position",
        ("BTC",) * 2,
        "BTC",
        ("x = x + self.weight_pos_embed * pos_emb_2d",),
    ),
    Tap(
        "CrossTransformerEncoder",
        "tokens_t",
        ("BCT>BTC",),
        "BTC",
        ("xt = rearrange(xt, 'b c t2 -> b t2 c')",),
        moves=True,
    ),
    Tap(
        "CrossTransformerEncoder",
        "positions",
        (),
        "TBC",
        (
            "pos_emb = create_sin_embedding(T, C, shift=shift, device=device, "
            "max_period=self.max_period)",
            "pos_emb = create_sin_embedding_cape(T, C, B, device=device, "
            "max_period=self.max_period, mean_normalize=self.cape_mean_normalize, augment=False)",
        ),
    ),
    Tap("CrossTransformerEncoder", "index", (), "T", ("pos = torch.arange(T, device=device)",)),
    Tap(
        "CrossTransformerEncoder",
        "position_scaled",
        ("TC",),
        "TBC",
        ("pos_emb = self.position_embeddings(pos)[:, None]",),
        moves=True,
    ),
    Tap(
        "CrossTransformerEncoder",
        "batch_first",
        ("TBC",),
        "BTC",
        ("pos_emb = rearrange(pos_emb, 't2 b c -> b t2 c')",),
        moves=True,
    ),
    Tap(
        "CrossTransformerEncoder",
        "position_t",
        ("BTC",) * 2,
        "BTC",
        ("xt = xt + self.weight_pos_embed * pos_emb",),
    ),
    Tap(
        "CrossTransformerEncoder",
        "untokens",
        ("BTC",),
        _MAPS,
        ("x = rearrange(x, 'b (t1 fr) c -> b c fr t1', t1=T1)",),
        moves=True,
    ),
    Tap(
        "CrossTransformerEncoder",
        "untokens_t",
        ("BTC",),
        "BCT>BTC",
        ("xt = rearrange(xt, 'b t2 c -> b c t2')",),
        moves=True,
    ),
    *_layer(
        "MyTransformerEncoderLayer",
        (
            "x = x + self.gamma_1(self._sa_block(self.norm1(x), src_mask, src_key_padding_mask))",
            "x = self.norm1(x + self.gamma_1(self._sa_block(x, src_mask, src_key_padding_mask)))",
        ),
        (
            "x = x + self.gamma_2(self._ff_block(self.norm2(x)))",
            "x = self.norm2(x + self.gamma_2(self._ff_block(x)))",
        ),
    ),
    *_layer(
        "CrossTransformerEncoderLayer",
        (
            "x = q + self.gamma_1(self._ca_block(self.norm1(q), self.norm2(k), mask))",
            "x = self.norm1(q + self.gamma_1(self._ca_block(q, k, mask)))",
        ),
        (
            "x = x + self.gamma_2(self._ff_block(self.norm3(x)))",
            "x = self.norm2(x + self.gamma_2(self._ff_block(x)))",
        ),
    ),
    # torch fuses these five into one operation; `parity.demucs.attention` takes it apart.
    Tap("MultiheadAttention", "q", ("TBC>BTC",), "TBC>BTC", ()),
    Tap("MultiheadAttention", "k", ("TBC>BTC",), "TBC>BTC", ()),
    Tap("MultiheadAttention", "v", ("TBC>BTC",), "TBC>BTC", ()),
    Tap("MultiheadAttention", "heads", ("TBC>BTC",) * 3, _HEADS, ()),
    Tap("MultiheadAttention", "out_proj", (_HEADS,), "TBC>BTC", ()),
)

_TURNED = "attention works time-first inside, which moves nothing in the port"
NO_STEPS: dict[str, str] = {
    "query = key = value = query.transpose(1, 0)": _TURNED,
    "query, key = (x.transpose(1, 0) for x in (query, key))": _TURNED,
    "query, key, value = (x.transpose(1, 0) for x in (query, key, value))": _TURNED,
    "attn_output = attn_output.transpose(1, 0)": _TURNED,
    "return (attn_output.transpose(1, 0), attn_output_weights)": _TURNED,
}
