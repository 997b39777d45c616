"""Audio files: real awkward ones come out as they are, every fault is one line that names the file and the fix."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from congru.errors import DataError, MissingPackageError
from congru.tasks.speech import audio
from congru.tasks.speech.audio import Audio, Resampler, read_audio, resample, silent
from congru.tasks.speech.sources import from_stream
from congru.tasks.speech.wav_header import read_wav_header
from shared_files import CASES, needs
from speech_cases import tones, write_wav

SPEECH = CASES / "speech"

# file: samples, rate, peak of the mean of its channels (None: channels differ)
GOOD = {
    "ulaw.wav": (9, 8000, 0.8866),
    "unsigned_8bit_stereo.wav": (800, 8000, None),
    "24bit_3ch.wav": (5, 8000, None),
    "24bit_wrong_byterate.wav": (5, 8000, None),
    "rifx_big_endian.wav": (4410, 44100, 0.705),
    "rf64.wav": (4410, 44100, 0.705),
    "float32_stereo.wav": (441, 44100, 0.8),
    "float64_extensible.wav": (480, 48000, 0.8),
    "5bit_5ch.wav": (9, 8000, None),
    "sine_32bit_8k_wavex.wav": (32000, 8000, 0.3),
    "word_48k.wav": (57342, 48000, 0.4456),
    "word_16k_stereo.wav": (19114, 16000, 0.4406),
    "word_16k_32bit.wav": (19114, 16000, 0.4405),
    "phrase_22k.wav": (33949, 22050, 0.4614),
    "sentence.flac": (168160, 16000, 0.9694),
    "phone_meeting.wav": (96000, 16000, 0.1628),
    "crowd_48k.mp3": (114048, 48000, 0.2069),
    "stereo_8k.mp3": (8000, 8000, None),
    "stereo.sph": (8000, 8000, None),
    "harvard_1.wav": (45920, 16000, 0.1769),
    "harvard_2.wav": (50400, 16000, 0.2556),
    "harvard_3.wav": (43520, 16000, 0.3037),
    "yes_no_8k.wav": (50800, 8000, 0.3204),
    "streamed_size_unknown.wav": (45920, 16000, 0.1769),
    "silence.wav": (16000, 16000, 0.0),
}
BAD = {
    "data_chunk_cut.wav": "is cut: its header promises 16696 bytes more than the 236 samples that are there",
    "no_data_chunk.wav": "has no data chunk",
    "cut_in_chunk_name.wav": "has no data chunk",
    "36bit.wav": "36-bit samples, which are not supported, expected 16 or 24 bit",
    "empty_header.wav": "has a header and no audio in it",
    "cut.flac": "is cut or damaged",
    "nan_inf_float.wav": "sample 100 is nan, expected finite numbers",
    "text_named.wav": "is not an audio file that can be read",
}


@needs(SPEECH)
@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_real_file_comes_out_as_it_is(name: str) -> None:
    count, rate_hz, peak = GOOD[name]
    recording = read_audio(SPEECH / name)
    assert (len(recording.samples), recording.rate_hz) == (count, rate_hz)
    if peak is not None:
        assert abs(recording.samples).max() == pytest.approx(peak, abs=2e-3)


@needs(SPEECH)
def test_opus_gives_half_a_second() -> None:
    assert 0.50 <= read_audio(SPEECH / "mono.opus").seconds <= 0.51


@needs(SPEECH)
@pytest.mark.parametrize("name", sorted(BAD))
def test_a_faulty_file_is_one_line(name: str) -> None:
    with pytest.raises(DataError) as caught:
        read_audio(SPEECH / name)
    assert BAD[name] in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.wav cannot be read \(no such file"):
        read_audio(tmp_path / "gone.wav")


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = np.full(100, 0.5), np.full(100, -0.25)
    write_wav(tmp_path / "two.wav", np.stack([left, right], 1).ravel(), channels=2)
    np.testing.assert_allclose(read_audio(tmp_path / "two.wav").samples, 0.125, atol=1e-4)


def test_resampling_in_pieces_is_resampling_at_once() -> None:
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(8000).astype(np.float32)
    whole = resample(Audio(samples, 22050), 16000).samples
    resampler, parts = Resampler(22050, 16000), []
    cuts = [0, 1, 700, 701, 5000, 8000]
    for begin, end in zip(cuts, cuts[1:]):  # noqa: RUF007
        parts.append(resampler.feed(samples[begin:end]))
    parts.append(resampler.feed(samples[:0], last=True))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(whole) == pytest.approx(8000 * 16000 / 22050, abs=2)


def test_silence_is_known() -> None:
    assert silent(np.zeros(5, np.float32))
    assert silent(np.zeros(0, np.float32))
    assert not silent(np.array([0, 1], np.float32))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(module: str, extra: str, package: str | None = None) -> None:
        raise MissingPackageError(f"{module} is not installed: pip install 'congru[{extra}]'")

    monkeypatch.setattr(audio, "require", absent)
    with pytest.raises(MissingPackageError, match=r"congru\[speech\]"):
        read_audio(tmp_path / "x.wav")


@pytest.mark.parametrize("name", ["word_16k_32bit.wav", "rifx_big_endian.wav", "float32_stereo.wav", "rf64.wav",
                                  "24bit_3ch.wav", "streamed_size_unknown.wav", "sentence.flac"])  # fmt: skip
@needs(SPEECH)
def test_a_stream_gives_the_samples_of_the_file(name: str) -> None:
    source = from_stream(io.BytesIO((SPEECH / name).read_bytes()), None)
    recording = read_audio(SPEECH / name)
    assert source.rate_hz == recording.rate_hz
    np.testing.assert_allclose(np.concatenate(list(source.pieces)), recording.samples, atol=1e-6)


def test_raw_samples_of_a_stream() -> None:
    samples = np.array([0, 16384, -32768], "<i2")
    source = from_stream(io.BytesIO(samples.tobytes()), 8000)
    assert np.concatenate(list(source.pieces)).tolist() == [0.0, 0.5, -1.0]


def _wav(data: bytes, promised: int, bits: int = 16, encoding: int = 1) -> bytes:
    fmt = struct.pack("<HHIIHH", encoding, 1, 8000, 8000 * bits // 8, bits // 8, bits)
    return (
        b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", promised) + data
    )


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "standard input is empty"),
        (b"not audio at all", "not an audio file that can be read"),
        (_wav(b"\0\0" * 10, 40), "standard input is cut: 20 bytes of samples are missing"),
        (_wav(b"", 0, bits=36), "36-bit samples of encoding 1"),
        (_wav(struct.pack("<2f", 1.0, float("nan")), 8, 32, 3), "sample 1 is not finite"),
        (_wav(b"", 0)[:30], "has no data chunk"),
    ],
)
def test_a_faulty_stream_is_one_line(content: bytes, line: str) -> None:
    with pytest.raises(DataError) as caught:
        list(from_stream(io.BytesIO(content), None).pieces)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_header_is_read_forward_only(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tones("A"))

    class Pipe(io.RawIOBase):
        inner = (tmp_path / "a.wav").open("rb")

        def read(self, size: int = -1) -> bytes:
            return self.inner.read(size)

    header = read_wav_header(Pipe(), "a")  # type: ignore[arg-type]
    assert header is not None
    assert (header.rate_hz, header.bits, header.channels, header.data_offset) == (8000, 16, 1, 44)
    Pipe.inner.close()
