"""A small transformer encoder for texts, trained from scratch on a laptop."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


class SmallTransformer(nn.Module):
    """Embeddings of token, position and text (first or second); pre-norm encoder; mean over the tokens; linear."""

    def __init__(
        self, num_classes: int, vocab_size: int, max_length: int, width: int, depth: int, num_heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.token = nn.Embedding(vocab_size, width)
        self.position = nn.Embedding(max_length, width)
        self.segment = nn.Embedding(2, width)
        for embedding in (self.token, self.position, self.segment):
            nn.init.normal_(embedding.weight, std=0.02)  # BERT's
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            width, num_heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        for parameter in self.encoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(
                    parameter
                )  # TransformerEncoder copies one layer; give each its own random weights
        self.linear = nn.Linear(width, num_classes)

    def forward(self, tokens: Mapping[str, torch.Tensor]) -> torch.Tensor:
        ids, mask = tokens["input_ids"], tokens["attention_mask"]
        place = torch.arange(ids.shape[1], device=ids.device)
        hidden = self.token(ids) + self.position(place) + self.segment(tokens["token_type_ids"])
        padding = mask == 0
        padding[:, 0] = False  # a text without any token: attention to nothing is NaN
        hidden = self.encoder(self.dropout(hidden), src_key_padding_mask=padding)
        weight = mask.unsqueeze(2).to(hidden.dtype)
        result: torch.Tensor = self.linear((hidden * weight).sum(1) / weight.sum(1).clamp(min=1))
        return result


def small_transformer(
    *,
    num_classes: int,
    vocab_size: int,
    max_length: int,
    width: int = 128,
    depth: int = 2,
    num_heads: int = 4,
    dropout: float = 0.1,
) -> nn.Module:
    """An encoder of `depth` layers; 0.4 million weights in addition to 128 per token. Padding changes no logits."""
    return SmallTransformer(num_classes, vocab_size, max_length, width, depth, num_heads, dropout)
