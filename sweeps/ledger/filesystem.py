"""Where a SQLite ledger may lie: its log is shared memory of one host, which a network file system does not give."""

from pathlib import Path

import psutil

from sweeps.ledger.errors import UnsafeFilesystem

#: Network file systems by their names in Linux; those of FUSE are `fuse.NAME`.
_NETWORK = {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4"}
_NETWORK |= {"ocfs2", "orangefs", "pvfs2", "smb3", "smbfs", "wekafs"}

#: What FUSE brings that lies on a disk of this host; all else of it is taken for a network file system.
_LOCAL_FUSE = {"bindfs", "encfs", "exfat", "fuse-overlayfs", "gocryptfs", "lxcfs", "mergerfs", "ntfs", "ntfs-3g"}


def check_filesystem(folder: Path) -> None:
    """Raise `UnsafeFilesystem` where a ledger in `folder`, which need not exist yet, could be lost or torn."""
    kind = filesystem_of(folder.resolve())
    if is_network(kind):
        raise UnsafeFilesystem(
            f"a ledger lies on a disk of the host that writes it, since SQLite's log (WAL) is unsafe on network file "
            f"systems, and {folder} is on '{kind}'. Give a --storage on a local disk, and `python -m sweeps backup` "
            "copies it from there; or keep the ledger in PostgreSQL"
        )


def filesystem_of(path: Path) -> str:
    """The kind of the file system that an absolute `path` lies on, as the system calls it; empty if none holds it.

    Of several mounts at one place the last hides the others.
    """
    kinds = {Path(mount.mountpoint): mount.fstype for mount in psutil.disk_partitions(all=True)}
    return next((kinds[place] for place in (path, *path.parents) if place in kinds), "")


def is_network(kind: str) -> bool:
    """Whether a file system of this kind is, or may be, reached by a network."""
    if kind.startswith("fuse."):
        return kind.removeprefix("fuse.") not in _LOCAL_FUSE
    return kind in _NETWORK
