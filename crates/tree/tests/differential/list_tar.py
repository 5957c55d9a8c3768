"""Lists the tars given as arguments as the tests do: `=`, then one line per member, names as hexadecimal.

TYPE PATH MODE UID GID MTIME SIZE USER GROUP LINK SHA256 XATTRS
"""
import hashlib
import math
import posixpath
import sys
import tarfile


def raw(text):
    return text.encode("utf-8", "surrogateescape")


def normal(name):
    name = posixpath.normpath(raw(name))
    return b"" if name == b"." else name


TYPES = {
    tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.CONTTYPE: "file", tarfile.LNKTYPE: "link",
    tarfile.SYMTYPE: "symlink", tarfile.DIRTYPE: "directory", tarfile.FIFOTYPE: "fifo", tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
}

for path in sys.argv[1:]:
    print("=")
    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            kind = TYPES[member.type]
            link, digest = b"", "-"
            if kind == "link":
                link = normal(member.linkname)
            elif kind == "symlink":
                link = raw(member.linkname)
            elif kind == "file":
                digest = hashlib.sha256(tar.extractfile(member).read()).hexdigest()
            elif kind in ("char", "block"):
                link = b"%d,%d" % (member.devmajor, member.devminor)
            xattrs = sorted(
                raw(key).split(b"SCHILY.xattr.", 1)[1].hex() + ":" + raw(value).hex()
                for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")
            )
            print(
                kind, normal(member.name).hex() or ".", "%o" % (member.mode & 0o7777), member.uid, member.gid,
                math.floor(member.mtime), member.size if kind == "file" else 0, raw(member.uname).hex() or "-",
                raw(member.gname).hex() or "-", link.hex() or "-", digest, ",".join(xattrs) or "-",
            )
