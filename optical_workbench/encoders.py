"""`Encoder`: the encoder of a finished run, from text to NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from engine.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from engine.encoders.encoder import Encoder as TorchEncoder

Role = Literal["query", "passage", "peer"]


@dataclass(frozen=True, eq=False)
class TextVectors:
    """The vectors of N texts.

    Attributes
    ----------
    tokens : list of N arrays of float32, (n, H)
        The vectors of the n tokens of each text that are compared, of unit length.
    pieces : list of N lists of str
        The word pieces of the tokens, in the same order.
    sentences : array of float32, (N, W)
        The sentence vectors, of unit length. They are pooled before any projection, so W is the width of the
        checkpoint, while H is the width of the projection if there is one.
    """

    tokens: list[npt.NDArray[np.float32]]
    pieces: list[list[str]]
    sentences: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.tokens)


class Encoder:
    """One of the encoders of a run: `Run.encoder` for queries, `Run.document_encoder` for documents.

    Parameters
    ----------
    encoder : engine.encoders.encoder.Encoder
        The loaded encoder, a ``torch.nn.Module``.
    role : {"query", "passage", "peer"}
        The role in which the run uses the encoder, which decides on the prefix and the length limit. A peer
        is a document that is a text of the same kind as the queries, such as their translation; it has the
        prefix of queries.
    precision : torch.dtype
        The number format of the matrix products, as in the run's evaluation.
    """

    def __init__(self, encoder: TorchEncoder, role: Role, precision: torch.dtype) -> None:
        self.module = encoder
        self.role = role
        self._precision = precision

    @property
    def dim(self) -> int:
        """The width H of the token vectors."""
        return self.module.dim

    def __repr__(self) -> str:
        return f"<Encoder of {self.role} texts, {self.module.config.checkpoint}, H = {self.dim}>"

    def encode(self, texts: Sequence[str], *, role: Role | None = None, batch_size: int = 64) -> TextVectors:
        """Encode texts.

        Parameters
        ----------
        texts : sequence of N str
            The texts. What is longer than the run's limit for the role is cut off.
        role : {"query", "passage", "peer"}, optional
            The role of the texts. The default is the encoder's own role.
        batch_size : int
            Texts that are encoded at once.

        Returns
        -------
        TextVectors
            Token vectors, their pieces, and sentence vectors. MaxSim between a query and a document is the
            mean over the query's tokens of the largest dot product with a document's token (Khattab and
            Zaharia 2020, "ColBERT", who take the sum); the dense score is the dot product of the sentence
            vectors.

        Raises
        ------
        InputError
            If `texts` is a single string, or `role` is another word.
        """
        import numpy as np

        if isinstance(texts, str):
            raise InputError("encode takes a list of texts, not one text; put it into brackets")
        role = self.role if role is None else role
        if role not in get_args(Role):
            raise InputError(f"a text's role is 'query', 'passage' or 'peer', not {role!r}")
        tokens: list[npt.NDArray[np.float32]] = [np.empty((0, self.dim), np.float32)] * len(texts)
        pieces: list[list[str]] = [[]] * len(texts)
        sentences = np.empty((len(texts), self.module.sentence_width), np.float32)
        batches = self.module.encode(texts, role, batch_size=batch_size, precision=self._precision)
        for indices, batch in batches:
            sentences[indices] = batch.sentences.float().cpu().numpy()
            for row, index in enumerate(indices):
                mask = batch.mask[row]
                tokens[index] = batch.tokens[row][mask].float().cpu().numpy()
                pieces[index] = self.module.pieces(batch.ids[row][mask].tolist())
        return TextVectors(tokens, pieces, sentences)
