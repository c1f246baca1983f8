"""`Encoder`: text to token vectors and sentence vectors, over any transformers checkpoint."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from engine.config import EncoderConfig
from engine.config.declared import Declared, check_declared, folder_of
from engine.encoders.characters import CharacterTokenizer
from engine.encoders.checkpoints import FITTED_FILE, load_model, resolve
from engine.encoders.places import weight_folders
from engine.encoders.safe_loading import longest_input, padding_id, read_tensors
from engine.encoders.sentence_head import SentenceHead, pool, read_projection
from engine.encoders.trimming import Trimming
from engine.encoders.weights import WeightHashes, files_stamp
from engine.errors import InputError
from engine.lexicon import glossary
from engine.lexicon.glossary import Glossary
from engine.paths import expanded

Role = Literal["query", "passage", "peer"]
"""What a text is: a query, a passage, or a peer. A peer is a document that is a text of the same kind as the
queries, such as their translation. It is encoded as a passage, but with the prefix of queries."""


COMPONENTS_PREFIX = "components "
"""What the names of language components begin with among the fitted vectors of an encoder."""


@dataclass(frozen=True)
class Tokens:
    """A tokenised text: piece ids, which of them count as token vectors, and whether the text was cut."""

    ids: list[int]
    counted: list[bool]
    cut: bool = False


@dataclass(frozen=True)
class Encoded:
    """A batch of encoded texts.

    Attributes
    ----------
    tokens : Tensor (B, T, H)
        Token vectors of unit length.
    mask : Tensor (B, T), bool
        The tokens that count.
    sentences : Tensor (B, H')
        Sentence vectors of unit length: pooled from all attended tokens before any projection of these, and
        passed through the dense layers of the checkpoint, if it has any.
    norms : Tensor (B, T)
        Length of each token vector before it was normalised.
    ids : Tensor (B, T)
        Piece ids of the checkpoint's whole vocabulary.
    attention : Tensor (B, T), optional
        Share of the last layer's attention that each token receives, the mean over heads and attended
        tokens, if it was requested and the model returns it. Autograd treats it as a constant.
    layers : Tensor (L, B, T, W), optional
        States of the requested transformer layers, each of unit length.
    """

    tokens: Tensor
    mask: Tensor
    sentences: Tensor
    norms: Tensor
    ids: Tensor
    attention: Tensor | None = None
    layers: Tensor | None = None


class Encoder(torch.nn.Module):
    """A transformers encoder with the settings by which token vectors are made of its states.

    A token's last hidden state is scaled to unit length, centred, projected, and scaled to unit length again.
    Centring and projection are settings of `EncoderConfig`.

    Parameters
    ----------
    config : EncoderConfig
        The checkpoint, and how vectors are made of its states.
    model, tokenizer : transformers model and fast tokenizer
        As `engine.encoders.checkpoints.load_model` returns them.
    """

    mean: Tensor

    def __init__(self, config: EncoderConfig, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.config = config
        self.model = model
        self.tokenizer = tokenizer
        self.width: int = model.config.hidden_size
        self.trimming: Trimming | None = None
        self.register_buffer("mean", torch.zeros(self.width))
        self.projection: torch.nn.Linear | None = None
        self.fresh_projection = config.projection == "linear"  # until a trained one is loaded
        if config.projection != "none":
            self.projection = torch.nn.Linear(self.width, config.projection_dim, bias=False)
        self.mass_head: torch.nn.Linear | None = None
        self.sentence_head: SentenceHead | None = None
        self.glossary: Glossary | None = None
        self.components: dict[str, Tensor] = {}  # of languages; removed from vectors by who compares them
        self.hashes = WeightHashes()
        self._punctuation: set[int] | None = None
        self.positions = longest_input(model) or 1 << 20
        self.padding = 0 if isinstance(tokenizer, CharacterTokenizer) else padding_id(model, tokenizer)
        for name in ("query_length", "passage_length"):
            length = getattr(config, name)
            if length > self.positions:
                raise InputError(
                    f"{name} = {length} is more than the checkpoint's {self.positions} positions"
                )
        if tokenizer.cls_token_id is None and config.pooling == "cls":
            raise InputError(f"pooling = 'cls' needs a [CLS] token; {config.checkpoint!r} has none")
        if tokenizer.mask_token_id is None and config.query_expansion:
            raise InputError(f"query_expansion needs a [MASK] token; {config.checkpoint!r} has none")
        self._markers = self._find_markers() if config.markers else {}
        self._skipped = self.known_pieces(config.skiplist)

    @classmethod
    def load(cls, config: EncoderConfig, *, dropout: float = 0.0) -> Encoder:
        """Load the checkpoint that `config` names, with its fitted vectors if it has any.

        Raises
        ------
        InputError
            If the checkpoint cannot be opened.
        """
        declared = check_declared(config.checkpoint)
        folders = _folders(config.checkpoint)
        stamp = files_stamp(folders)
        model, tokenizer = load_model(config.checkpoint, dropout=dropout)
        encoder = cls(config, model, tokenizer)
        encoder._load_declared(declared)
        encoder.load_fitted()
        if stamp == files_stamp(folders):  # otherwise a file was replaced while it was read
            encoder.hashes.loaded(stamp, encoder.state_dict())
        return encoder.eval()

    @torch.no_grad()
    def _load_declared(self, declared: Declared) -> None:
        """Load the dense layers that a folder of another library declares.

        Raises
        ------
        InputError
            If weights are missing, or the widths do not fit.
        """
        if not declared.library:
            return
        folder = folder_of(self.config.checkpoint)
        assert folder is not None  # the library was read from it
        if self.projection is not None and self.config.projection == "linear" and declared.token_layers:
            weight, mean = read_projection(folder, declared.token_layers)
            if weight.shape != self.projection.weight.shape:
                raise InputError(
                    f"the checkpoint's projection maps {weight.shape[1]} to {weight.shape[0]} dimensions, "
                    f"not {self.width} to projection_dim = {self.config.projection_dim}",
                    path=folder,
                )
            self.projection.weight.copy_(weight)
            self.fresh_projection = False
            if mean is not None:
                self.mean.copy_(mean)
        if any(layer is not None for layer in declared.sentence_layers):
            self.sentence_head = SentenceHead.read(folder, declared.sentence_layers, self.width)

    @torch.no_grad()
    def load_fitted(self, folder: Path | None = None) -> bool:
        """Load the mean, projection, mass head and glossary that `engine.encoders.saving` wrote.

        Parameters
        ----------
        folder : Path, optional
            Their folder; None takes the folder of the checkpoint.

        Returns
        -------
        bool
            Whether the folder has any.

        Raises
        ------
        InputError
            If their file is damaged, or their width is not that of the checkpoint or the configuration.
        """
        if folder is None:
            named = expanded(self.config.checkpoint)
            folder = named if named.is_dir() else Path(resolve(self.config.checkpoint))
        path = folder / FITTED_FILE
        if not path.is_file():
            return False
        fitted = read_tensors(path, "mean")
        if fitted["mean"].shape != self.mean.shape:
            raise InputError(
                f"the mean has width {fitted['mean'].shape[0]}, the checkpoint {self.width}", path=path
            )
        self.mean.copy_(fitted["mean"])
        if self.projection is not None and "projection" in fitted:
            if fitted["projection"].shape != self.projection.weight.shape:
                raise InputError(
                    f"the projection has width {fitted['projection'].shape[0]}, "
                    f"the configuration projection_dim = {self.config.projection_dim}",
                    path=path,
                )
            self.projection.weight.copy_(fitted["projection"])
            self.fresh_projection = False
        if (head := SentenceHead.from_tensors(fitted)) is not None:
            self.sentence_head = head.to(self.device)
        # a head of another width belongs to another projection; encoding needs none
        if "mass_head" in fitted and fitted["mass_head"].shape[1] == self.dim:
            self.add_mass_head().weight.copy_(fitted["mass_head"])
        self.components = {
            name.removeprefix(COMPONENTS_PREFIX): tensor
            for name, tensor in fitted.items()
            if name.startswith(COMPONENTS_PREFIX)
        }
        if (known := folder / glossary.FILE).is_file():
            self.glossary = Glossary.load(known)
        return True

    @property
    def dim(self) -> int:
        """Width H of the token vectors."""
        return self.width if self.projection is None else self.config.projection_dim

    @property
    def sentence_width(self) -> int:
        """Width H' of the sentence vectors."""
        return self.width if self.sentence_head is None else self.sentence_head.width

    @property
    def depth(self) -> int:
        """Number of transformer layers."""
        config = self.model.config
        return int(getattr(config, "num_hidden_layers", None) or config.num_layers)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.mean.device

    # -- text to pieces ---------------------------------------------------------------------------

    def document_role(self, *, symmetric: bool) -> Role:
        """Return the role of the documents of a collection, as the function `document_role`."""
        return document_role(self.config, symmetric=symmetric)

    def prefix(self, role: Role) -> str:
        """Return the text before texts of `role`."""
        return self.config.asymmetric_prefix if role == "passage" else self.config.query_prefix

    def longest(self, role: Role) -> int:
        """Return the maximum length in pieces of texts of `role`."""
        return self.config.query_length if role == "query" else self.config.passage_length

    def tokenize(self, texts: Sequence[str], role: Role) -> list[Tokens]:
        """Tokenise texts with the prefix and maximum length of `role`, and mark the pieces that count.

        Queries are extended by the glossary, if there is one.
        """
        query = role == "query"
        prefix = self.prefix(role)
        marker = self._markers.get("query" if query else "passage")
        if marker is not None:
            prefix = ""
        if query and self.glossary is not None:
            texts = [self.glossary.extend(text) for text in texts]
        if self.config.lowercase:
            prefix, texts = prefix.lower(), [text.lower() for text in texts]
        encoded = self.tokenizer(
            [prefix + text for text in texts],
            truncation=True,
            max_length=self.longest(role) - (marker is not None),
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        batch = []
        for ids, offsets, special, cut in zip(
            encoded["input_ids"],
            encoded["offset_mapping"],
            encoded["special_tokens_mask"],
            _which_were_cut(encoded),
            strict=True,
        ):
            counted = [
                self._counts(piece, end <= len(prefix) and len(prefix) > 0, bool(is_special), role)
                for piece, (_, end), is_special in zip(ids, offsets, special, strict=True)
            ]
            if marker is not None:
                ids = [*ids[:1], marker, *ids[1:]]
                counted = [*counted[:1], self.config.prefix_tokens, *counted[1:]]
            batch.append(Tokens(ids, counted, cut))
        return batch

    def _find_markers(self) -> dict[Role, int]:
        """Return the ids of the markers, the prefixes that are single pieces.

        Raises
        ------
        InputError
            If a marker is no piece of the tokenizer.
        """
        found: dict[Role, int] = {}
        prefixes: list[tuple[Role, str]] = [
            ("query", self.config.query_prefix),
            ("passage", self.config.asymmetric_prefix),
        ]
        for role, marker in prefixes:
            if not marker:
                continue
            if not (known := self.known_pieces([marker])):
                raise InputError(
                    f"the marker {marker!r} of the {role} is no piece of the tokenizer, so its embedding "
                    "would be random; set markers = false and prefixes that are text",
                    path=self.config.checkpoint,
                )
            found[role] = next(iter(known))
        return found

    def known_pieces(self, words: Sequence[str]) -> frozenset[int]:
        """Return the ids of the words that are pieces of the tokenizer."""
        vocabulary = self.tokenizer.get_vocab() if words else {}
        return frozenset(vocabulary[word] for word in words if word in vocabulary)

    def _counts(self, piece: int, in_prefix: bool, special: bool, role: Role) -> bool:
        if role != "query" and piece in self._skipped:
            return False
        # special tokens first: their offsets (0, 0) are also inside the prefix
        if special:
            return self.config.special_tokens
        if in_prefix:
            return self.config.prefix_tokens
        counts = self.config.punctuation and (role == "query" or self.config.passage_punctuation)
        return counts or piece not in self.punctuation

    @property
    def punctuation(self) -> Container[int]:
        """Ids of the pieces that are only punctuation or space (ColBERT's skip list)."""
        if isinstance(self.tokenizer, CharacterTokenizer):
            return self.tokenizer.punctuation
        if self._punctuation is None:
            self._punctuation = {
                index
                for piece, index in self.tokenizer.get_vocab().items()
                if all(unicodedata.category(c)[0] in "PZ" or c in "▁#Ġ" for c in piece)
            }
        return self._punctuation

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the readable pieces of `ids`."""
        return [str(piece) for piece in self.tokenizer.convert_ids_to_tokens(list(ids))]

    def pad(
        self, batch: Sequence[Tokens], role: Role, longest: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pad to one length; return ids (B, T), the attention mask (B, T) and the counted mask (B, T).

        The length is that for a text of `longest` pieces; None takes the longest of the batch.
        """
        expand = role == "query" and self.config.query_expansion
        longest = longest or max(len(item.ids) for item in batch)
        # multiples of 8, because kernels are compiled for every shape
        length = self.config.query_length if expand else min(-(-longest // 8) * 8, self.positions)
        fill = self.tokenizer.mask_token_id if expand else self.padding
        ids = torch.full((len(batch), length), fill, dtype=torch.long)
        attended = expand and self.config.attend_expansion
        attend = torch.full((len(batch), length), attended, dtype=torch.bool)
        counted = torch.full((len(batch), length), expand, dtype=torch.bool)
        for row, item in enumerate(batch):
            n = len(item.ids)
            ids[row, :n] = torch.tensor(item.ids)
            attend[row, :n] = True
            counted[row, :n] = torch.tensor(item.counted)
        return ids.to(self.device), attend.to(self.device), counted.to(self.device)

    # -- pieces to vectors ------------------------------------------------------------------------

    def states(self, ids: Tensor, attend: Tensor) -> Tensor:
        """Return the last hidden states (B, T, W) in float32."""
        output: Tensor = self._run(ids, attend).last_hidden_state
        return output.float()

    def _run(self, ids: Tensor, attend: Tensor, *, attention: bool = False, layers: bool = False) -> Any:
        """Run the model on pieces; return its output, with attention weights or the states of all layers.

        Only the plain attention kernel returns the weights, so it replaces a faster one.
        """
        if self.trimming is not None:
            ids = self.trimming.to_trimmed(ids)
        wanted = {"output_attentions": attention, "output_hidden_states": layers}
        kernel = self.model.config._attn_implementation
        if attention:
            self.model.set_attn_implementation("eager")
        try:
            return self.model(
                input_ids=ids,
                attention_mask=attend.long(),
                **{name: True for name, on in wanted.items() if on},
            )
        finally:
            if attention:
                self.model.set_attn_implementation(kernel)

    def vectors(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit token vectors (B, T, H) and the lengths (B, T) of `states`."""
        with torch.autocast(states.device.type, enabled=False):  # centred vectors are small differences
            norms = states.norm(dim=-1)
            vectors = torch.nn.functional.normalize(states, dim=-1)
            if self.config.centring:
                vectors = vectors - self.mean
            if self.projection is not None:
                vectors = self.projection(vectors)
            return torch.nn.functional.normalize(vectors, dim=-1), norms

    def add_mass_head(self) -> torch.nn.Linear:
        """Add a linear head for token masses in transport. It starts at zero: uniform masses."""
        self.mass_head = torch.nn.Linear(self.dim, 1, bias=False, device=self.device)
        torch.nn.init.zeros_(self.mass_head.weight)
        return self.mass_head

    def forward(
        self,
        batch: Sequence[Tokens],
        role: Role,
        *,
        attention: bool = False,
        layers: Sequence[int] = (),
        longest: int | None = None,
    ) -> Encoded:
        """Encode tokenised texts, with gradients if they are enabled.

        With `attention`, the result has the attention that each token receives; with `layers` (1 is the
        lowest), the states of these layers. `longest` is as in `pad`.
        """
        ids, attend, counted = self.pad(batch, role, longest)
        output = self._run(ids, attend, attention=attention, layers=bool(layers))
        states = output.last_hidden_state.float()
        tokens, norms = self.vectors(states)
        return Encoded(
            tokens,
            counted,
            self._pool(states, attend),
            norms,
            ids,
            _received(output, attend) if attention else None,
            _inner(output, layers) if layers else None,
        )

    def _pool(self, states: Tensor, attend: Tensor) -> Tensor:
        pooled = pool(states, attend, self.config.pooling)
        if self.sentence_head is not None:
            with torch.autocast(states.device.type, enabled=False):
                pooled = self.sentence_head(pooled)
        return torch.nn.functional.normalize(pooled, dim=-1)

    def encode(
        self,
        texts: Sequence[str],
        role: Role,
        *,
        batch_size: int = 64,
        precision: torch.dtype = torch.float32,
        attention: bool = False,
        layers: Sequence[int] = (),
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[list[int], Encoded]]:
        """Encode many texts, the shortest first to save padding. Other parameters are those of `forward`.

        Yields
        ------
        indices : list of int
            Positions in `texts` of the rows of the batch.
        encoded : Encoded
            The batch.
        """
        was_training = self.training
        self.eval()
        tokenized = self.tokenize(texts, role) if texts else []
        order = sorted(range(len(texts)), key=lambda i: len(tokenized[i].ids))
        autocast = precision != torch.float32
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            # The contexts must not span a yield: resuming in inference mode would silently end autocast.
            with torch.inference_mode(), torch.autocast(self.device.type, dtype=precision, enabled=autocast):
                encoded = self([tokenized[i] for i in rows], role, attention=attention, layers=layers)
            yield rows, encoded
            if progress is not None:
                progress(len(rows))
        self.train(was_training)


def document_role(config: EncoderConfig, *, symmetric: bool) -> Role:
    """Return the role in which an encoder with these settings encodes the documents of a collection.

    Parameters
    ----------
    config : EncoderConfig
        If they name a prefix of passages, the documents are passages.
    symmetric : bool
        Whether queries and documents are texts of one kind
        (`engine.extensions.collections.CollectionReader.symmetric`).
    """
    return "peer" if symmetric and config.passage_prefix is None else "passage"


def _which_were_cut(encoded: Any) -> list[bool]:
    """Return which texts the tokenizer cut."""
    if "cut" in encoded:
        return list(encoded["cut"])
    return [bool(encoding.overflowing) for encoding in encoded.encodings]


def _received(output: Any, attend: Tensor) -> Tensor | None:
    """Return the attention (B, T) that tokens receive in the last layer; None if the model returns none."""
    if not getattr(output, "attentions", None):
        return None
    weights: Tensor = output.attentions[-1].detach().float().mean(1)
    givers = attend.to(weights.dtype)
    return (weights * givers.unsqueeze(2)).sum(1) / givers.sum(1, keepdim=True)


def _inner(output: Any, layers: Sequence[int]) -> Tensor:
    """Return the unit states (L, B, T, W) of `layers`, where 0 is the embeddings."""
    chosen = torch.stack([output.hidden_states[layer] for layer in layers])
    return torch.nn.functional.normalize(chosen.float(), dim=-1)


def _folders(checkpoint: str) -> dict[str, Path]:
    """Return the folders that `checkpoint` is loaded from: those of its weights and of its fitted vectors."""
    folders = {f"weights{number or ''}": at for number, at in enumerate(weight_folders(checkpoint))}
    folders["fitted"] = expanded(checkpoint)
    return {name: folder for name, folder in folders.items() if folder.is_dir()}
