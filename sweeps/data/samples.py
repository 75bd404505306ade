"""From what a source holds to what is stored; what cannot be stored is `Bad`."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from sweeps.data.faults import Bad, no_text
from sweeps.data.source import Rows, Source
from trainables.datasets.decoding import channels_first, decoded, middle
from trainables.datasets.manifest import Stored

#: Images of one size that are no larger are stored as pixels, else encoded: decoding is slow, and pixels are large.
_SMALL = 96 * 96

_NO_IMAGE = "fetch the image again, or drop the row"


@dataclass(frozen=True)
class Converter:
    """How the samples of a source are stored. `size` is what images are brought to before, if anything."""

    stored: Stored
    shape: tuple[int, ...]
    size: int | None = None

    def convert(self, rows: Rows) -> list[Any]:
        """What is stored in the place of each value: pixels or vectors of `shape`, bytes or a string; or a `Bad`."""
        return [value if isinstance(value, Bad) else self._converted(value) for value in rows.values]

    def _converted(self, value: Any) -> Any:
        if self.stored == "text":
            return _text(value)
        if self.stored == "vector":
            return _vector(value, self.shape[0])
        if isinstance(value, np.ndarray):
            return self._fitting(value)
        return self._image(value)

    def _image(self, content: Any) -> Any:
        if not isinstance(content, bytes):
            return Bad(f"it is a {type(content).__name__}, no image", "store the bytes of an image file")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = decoded(content)
                image.load()
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            return Bad(
                f"it is larger than any image should be ({error})", "make it smaller, or drop the row", security=True
            )
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            return Bad(f"it is no image, or is cut off ({_without_address(error)})", _NO_IMAGE)
        if self.stored == "encoded":
            return content
        return self._fitting(middle(image, self.size) if self.size else channels_first(image))

    def _fitting(self, pixels: Any) -> Any:
        if pixels.shape == self.shape:
            return pixels
        return Bad(
            f"it has {_shown(pixels.shape)}, and the first image {_shown(self.shape)}",
            "bring all to one size (--size), or store them encoded (--store encoded)",
        )


def converter(source: Source, first: Sequence[Any], store: Stored | None, size: int | None) -> Converter:
    """How a source is stored, from its first samples: small images of one size as pixels, others encoded.

    `first` may hold nothing that can be read: then all rows will be said to be faulty, whatever this answers.
    """
    values = [value for value in first if not isinstance(value, Bad)]
    if source.kind == "text":
        return Converter("text", ())
    if source.kind == "embeddings":
        return Converter("vector", (len(values[0]) if values else 1,))
    if values and isinstance(values[0], np.ndarray):
        return Converter("pixels", values[0].shape)
    if size is not None and store != "encoded":
        return Converter("pixels", (3, size, size), size)
    sizes = [found for value in values if (found := _size(value))]
    alike = len(set(sizes)) == 1 and sizes[0][0] * sizes[0][1] <= _SMALL
    if store == "pixels" or (store is None and alike):
        width, height = sizes[0] if sizes else (1, 1)
        return Converter("pixels", (3, height, width))
    return Converter("encoded", ())


def _size(content: Any) -> tuple[int, int] | None:
    try:
        return Image.open(io.BytesIO(content)).size
    except Exception:  # whatever is wrong with it is said when it is decoded
        return None


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        return Bad(f"it is a {type(value).__name__}, no text", "write a string, or drop the row")
    return no_text(value) or (value if value.strip() else Bad("it is empty", "drop the row"))


def _vector(value: Any, width: int) -> Any:
    try:
        vector = np.asarray(value, dtype=np.float32)
    except (ValueError, TypeError):
        return Bad("it holds something that is no number", "store a list of floats")
    if vector.shape != (width,):
        return Bad(f"it has {vector.size} values, and the first embedding {width}", "embed all with one encoder")
    if not np.isfinite(vector).all():
        place = int(np.flatnonzero(~np.isfinite(vector))[0])
        return Bad(f"value {place} is {vector[place]}", "embed it again, or drop the row")
    return (
        vector if vector.any() else Bad("all its values are 0: it has no direction", "embed it again, or drop the row")
    )


def _shown(shape: tuple[int, ...]) -> str:
    return f"{' x '.join(map(str, shape[1:]))} pixels of {shape[0]} channels"


def _without_address(error: Exception) -> str:
    """Pillow's message, without the address of the stream, which would differ each time."""
    return str(error).split(" <_io")[0] or type(error).__name__
