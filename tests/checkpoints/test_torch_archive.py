import copyreg
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict

import pytest
import torch

from lagllama_adapters.checkpoints.torch_archive import (
    Inert,
    StoredTensor,
    TorchArchive,
    UnsafeCheckpointError,
)


def content_of(path, stand_ins=None):
    with TorchArchive(path, stand_ins) as archive:
        return archive.content()


def text(value):
    """Protocol 4's opcode for a short string."""
    encoded = value.encode()
    return b"\x8c" + bytes([len(encoded)]) + encoded


# Each creates the file `marker` when a plain unpickler reads it.
ATTACKS = {
    "REDUCE of os.system": ("os.system", lambda m: b"cos\nsystem\n(S'touch " + m + b"'\ntR."),
    "REDUCE of posix.system": (
        "posix.system",
        lambda m: b"cposix\nsystem\n(S'touch " + m + b"'\ntR.",
    ),
    "REDUCE of builtins.exec": (
        "builtins.exec",
        lambda m: b"cbuiltins\nexec\n(S'open(\"" + m + b'", "w").close()\'\ntR.',
    ),
    "REDUCE of __builtin__.eval": (
        "builtins.eval",
        lambda m: b"c__builtin__\neval\n(S'open(\"" + m + b'", "w").close()\'\ntR.',
    ),
    "INST of os.system": ("os.system", lambda m: b"(S'touch " + m + b"'\nios\nsystem\n."),
    "OBJ of os.system": ("os.system", lambda m: b"(cos\nsystem\nS'touch " + m + b"'\no."),
    "STACK_GLOBAL through torch's attributes": (
        "torch.serialization.os.system",
        lambda m: (
            b"\x80\x04" + text("torch.serialization") + text("os.system") + b"\x93"
            b"(X" + struct.pack("<I", 6 + len(m)) + b"touch " + m + b"tR."
        ),
    ),
    "STACK_GLOBAL through an allowed class": (
        "collections.OrderedDict.__init_subclass__.__class__",
        lambda m: (
            b"\x80\x04" + text("collections")
            + text("OrderedDict.__init_subclass__.__class__") + b"\x930"
            b"cos\nsystem\n(X" + struct.pack("<I", 6 + len(m)) + b"touch " + m + b"tR."
        ),
    ),
    "nested getattr": (
        "builtins.getattr",
        lambda m: (
            b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'system'\ntR"
            b"(S'touch " + m + b"'\ntR."
        ),
    ),
    "NEWOBJ, then a call": (
        "fractions.Fraction",
        lambda m: b"\x80\x02cfractions\nFraction\n)\x810cos\nsystem\n(S'touch " + m + b"'\ntR.",
    ),
    "an allowed tensor first": (
        "os.system",
        lambda m: (
            b"\x80\x02ccollections\nOrderedDict\n)R0cos\nsystem\n(S'touch " + m + b"'\ntR."
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_pickle_is_refused_by_name_and_does_not_run(attack, tmp_path, write_archive):
    refused, payload = ATTACKS[attack]
    marker = tmp_path / "executed"
    hostile = payload(str(marker).encode())
    pickle.loads(hostile)  # the control: these bytes do run code in a plain unpickler
    marker.unlink()

    with pytest.raises(UnsafeCheckpointError, match=refused.replace(".", r"\.")):
        content_of(write_archive(hostile))

    assert not marker.exists()


@pytest.mark.parametrize(
    "name",
    [
        "torch.load",
        "torch.storage._load_from_bytes",
        "torch.jit.load",
        "torch._utils._rebuild_sparse_tensor",
        "torch.nn.modules.linear.Linear",
        "builtins.dict.update",
        "functools.partial",
        "numpy.core.multiarray._reconstruct",
        "copyreg._reconstructor",
        "runpy.run_path",
        "lagllama_adapters.checkpoints.registry.load_pretrained",
    ],
)
def test_what_is_not_listed_is_refused_even_if_never_called(name, write_archive):
    module, _, attribute = name.rpartition(".")
    pickled = f"c{module}\n{attribute}\n.".encode()
    with pytest.raises(UnsafeCheckpointError, match=name):
        content_of(write_archive(pickled))


def test_a_copyreg_extension_is_refused_when_another_unpickler_has_cached_it(write_archive):
    copyreg.add_extension("os", "system", 0xF5)
    try:
        extension = b"\x80\x02\x82\xf5."
        assert pickle.loads(extension) is not None  # the control, which also fills copyreg's cache
        with pytest.raises(UnsafeCheckpointError, match="extension 245"):
            content_of(write_archive(extension))
    finally:
        copyreg.remove_extension("os", "system", 0xF5)


@pytest.mark.parametrize("name", ["torch\nFloatStorage", "torch._utils\n_rebuild_tensor_v2"])
def test_a_pickle_cannot_set_attributes_of_a_stand_in(name, write_archive):
    # BUILD with a (None, slots) state sets attributes with setattr on what it finds.
    pickled = b"\x80\x02c" + name.encode() + b"\n(N}X\x05\x00\x00\x00dtypeX\x01\x00\x00\x00xstb."
    with pytest.raises(ValueError, match="unpickled"):
        content_of(write_archive(pickled))
    path = write_archive(b"\x80\x02ctorch\nFloatStorage\n.")
    assert content_of(path).dtype == torch.float32


def test_a_stand_in_keeps_its_arguments_to_itself(write_archive):
    class Harmless(Inert):
        pass

    pickled = b"\x80\x02clibrary\nThing\n(K\x01tR}X\x01\x00\x00\x00aK\x02sb."
    thing = content_of(write_archive(pickled), {"library.Thing": Harmless})
    assert type(thing) is Harmless
    assert thing.state == {"a": 2}
    assert not hasattr(thing, "a")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_containers_come_back_equal_under_every_protocol(protocol, tmp_path):
    content = {
        "list": [1, 2.5, None, True, "x", b"\x00\xff"],
        "nested": OrderedDict(a=(1, 2), b={3: None}),
        "size": torch.Size([2, 3]),
    }
    torch.save(content, tmp_path / "made.pt", pickle_protocol=protocol)
    got = content_of(tmp_path / "made.pt")
    assert got == {**content, "nested": dict(content["nested"]), "size": (2, 3)}


DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32]
DTYPES += [torch.int16, torch.int8, torch.uint8, torch.bool]


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_of_every_dtype_come_back_equal(dtype, tmp_path):
    values = torch.arange(24).reshape(4, 6).to(dtype)
    torch.save({"whole": values, "parameter": torch.nn.Parameter(values, False)}, tmp_path / "t.pt")
    with TorchArchive(tmp_path / "t.pt") as archive:
        content = archive.content()
        for stored in content.values():
            got = archive.tensor(stored)
            assert got.dtype == dtype
            assert torch.equal(got, values)


def test_views_and_empty_and_scalar_tensors_come_back_equal_and_contiguous(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    tensors = [base.T, base[1:3, ::2], base[2:2], torch.tensor(7.0), torch.zeros(0)]
    torch.save(tensors, tmp_path / "views.pt")
    with TorchArchive(tmp_path / "views.pt") as archive:
        for stored, expected in zip(archive.content(), tensors, strict=True):
            got = archive.tensor(stored)
            assert got.is_contiguous()
            assert got.shape == expected.shape
            assert torch.equal(got, expected)


def tensor_pickle(numel, offset, shape, stride):
    """Ask for a tensor of any layout over the storage "0", through the real opcodes."""

    def integers(values):
        return b"(" + b"".join(f"I{value}\n".encode() for value in values) + b"t"

    storage = (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
    )
    storage += f"I{numel}\n".encode() + b"tQ"
    layout = f"I{offset}\n".encode() + integers(shape) + integers(stride)
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + layout + b"\x89}tR."


def read_tensor(path):
    with TorchArchive(path) as archive:
        return archive.tensor(archive.content())


def test_a_tensor_pickle_made_by_hand_is_read(write_archive):
    path = write_archive(tensor_pickle(4, 1, (3,), (1,)), {"0": struct.pack("=4f", 1, 2, 3, 4)})
    assert read_tensor(path).tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    ("numel", "offset", "shape", "stride"),
    [
        (4, 0, (5,), (1,)),
        (4, 2, (3,), (1,)),
        (4, 0, (2, 2), (3, 1)),
        (4, 0, (1000000000, 1000000000), (0, 0)),
        (4, -1, (2,), (1,)),
        (4, 0, (-2,), (1,)),
        (4, 3, (2,), (-1,)),
        (4, 0, (2, 2), (1,)),
        (8, 0, (8,), (1,)),
        (2, 0, (2,), (1,)),
        (4, 0, (1,) * 65, (1,) * 65),
        (4, 0, (2**64, 0), (1, 1)),
    ],
)
def test_a_layout_that_does_not_fit_its_storage_is_refused(
    numel, offset, shape, stride, write_archive
):
    path = write_archive(
        tensor_pickle(numel, offset, shape, stride), {"0": struct.pack("=4f", 1, 2, 3, 4)}
    )
    with pytest.raises(ValueError, match=r"tensor|damaged"):
        read_tensor(path)


def test_a_tensor_without_its_storage_is_refused(write_archive):
    with pytest.raises(ValueError, match="data/0"):
        read_tensor(write_archive(tensor_pickle(4, 0, (4,), (1,))))


def test_a_tensor_over_something_else_than_a_storage_is_refused(write_archive):
    pickled = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(NK\x00(K\x01t(K\x01t\x89}tR."
    path = write_archive(pickled)
    assert type(content_of(path)) is StoredTensor
    with pytest.raises(ValueError, match="layout"):
        read_tensor(path)


def test_a_compressed_record_is_refused_before_it_unfolds(write_archive):
    path = write_archive(b"\x80\x02N.", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed"):
        content_of(path)


def test_a_memo_index_that_makes_an_unpickler_allocate_is_refused(write_archive):
    with pytest.raises(ValueError, match="memo index"):
        content_of(write_archive(b"\x80\x02Nr\xff\xff\xff\x7f."))


def doubled(levels, start, join):
    """A value that doubles when it is walked, once per level, in a few bytes per level."""
    return b"\x80\x02" + start + b"".join(b"q%c" % i + join(i) for i in range(levels))


# A tuple of twice the same tuple, and so on: hashing the last one takes 2**60 steps.
TUPLES = doubled(60, b"K\x01\x85", lambda i: b"h%c\x86" % i)
REFUSED_QUICKLY = {
    "key of nested tuples by SETITEM": TUPLES + b"q\xff}h\xffNs.",
    "key of nested tuples by SETITEMS": TUPLES + b"q\xff}(h\xffNK\x01Nu.",
    "key of nested tuples by DICT": TUPLES + b"q\xff(h\xffNd.",
    "key of nested tuples in OrderedDict": (
        TUPLES + b"q\xffccollections\nOrderedDict\nh\xffN\x86\x85\x85R."
    ),
    "key of a huge integer": b"\x80\x02}\x8b" + struct.pack("<i", 99) + b"\x01" * 99 + b"Ns.",
    "reference of a nested value": TUPLES + b"(h\x3bNNNNtQ.",
    "encoding of a nested value": (
        TUPLES + b"q\xffc_codecs\nencode\nX\x01\x00\x00\x00xh\xff\x86R."
    ),
    "long call": b"\x80\x02ctorch\ndevice\n(" + b"N" * 2000 + b"tR.",
    "long construction": b"\x80\x02ctorch\ndevice\n(" + b"N" * 2000 + b"t\x81.",
    "long bytes": b"\x80\x02c_codecs\nencode\nX" + struct.pack("<I", 2000) + b"x" * 2000
    + b"X\x06\x00\x00\x00latin1\x86R.",
    "size of nested tuples": TUPLES + b"q\xffctorch\nSize\nh\xff\x85R.",
    "megabytes of nothing": b"\x80\x02" + b"N0" * 2**21 + b"N.",
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED_QUICKLY)
def test_a_small_file_of_much_work_is_refused(kind, write_archive):
    with pytest.raises(ValueError, match=r"archive\.ckpt") as caught:
        content_of(write_archive(REFUSED_QUICKLY[kind]))
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "pickled",
    [b"\x8f(h\xff\x90.", b"(h\xff\x91.", b"c__builtin__\nset\n(h\xff]h\xffatR."],
    ids=["EMPTY_SET and ADDITEMS", "FROZENSET", "REDUCE"],
)
def test_sets_are_stood_for_and_their_members_not_hashed(pickled, write_archive):
    assert type(content_of(write_archive(TUPLES + b"q\xff" + pickled))) is Inert


def test_nested_dictionaries_have_a_short_text(write_archive):
    nested = doubled(
        60, b"ccollections\nOrderedDict\n)R", lambda i: b"ccollections\nOrderedDict\n)R"
        b"(X\x01\x00\x00\x00ah%cX\x01\x00\x00\x00bh%cu" % (i, i)
    )  # fmt: skip
    assert repr(content_of(write_archive(nested + b"."))) == "<dictionary with 2 keys>"


def test_a_pickle_cannot_change_a_storage(write_archive):
    pickled = (
        b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000NK\x04tQ"
        b"}X\x05\x00\x00\x00numelX\x01\x00\x00\x00xsb."
    )
    with pytest.raises(ValueError, match="unpickled"):
        content_of(write_archive(pickled))


def test_the_format_of_before_zip_files_is_refused_with_the_way_out(tmp_path):
    path = tmp_path / "legacy.ckpt"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"before 1\.6.*save it again"):
        TorchArchive(path)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_a_file_of_something_else_is_refused(content, tmp_path):
    path = tmp_path / "page.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a torch checkpoint"):
        TorchArchive(path)


def test_a_zip_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(ValueError, match=r"not one written by torch\.save"):
        TorchArchive(path)


def test_an_archive_of_the_other_byte_order_is_refused(write_archive):
    other = "big" if sys.byteorder == "little" else "little"
    with pytest.raises(ValueError, match="byte order"):
        TorchArchive(write_archive(b"\x80\x02N.", byteorder=other))


@pytest.mark.parametrize("pickled", [b"", b"\x80\x02(.", b"garbage", b"\x80\x02X\xff\xff\xff\x7f."])
def test_a_damaged_pickle_is_a_value_error(pickled, write_archive):
    with pytest.raises(ValueError, match="unpickled"):
        content_of(write_archive(pickled))


def test_a_truncated_file_is_a_value_error(tiny_ckpt, tmp_path):
    path = tmp_path / "cut.ckpt"
    path.write_bytes(tiny_ckpt.read_bytes()[:60000])
    with pytest.raises(ValueError, match="not a torch checkpoint"):
        TorchArchive(path)


def test_a_flipped_bit_is_a_value_error(tmp_path):
    path = tmp_path / "flipped.ckpt"
    torch.save(torch.full((64,), 1.5), path)
    content = bytearray(path.read_bytes())
    content[content.index(struct.pack("=f", 1.5))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        read_tensor(path)


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        TorchArchive(tmp_path / "absent.ckpt")
