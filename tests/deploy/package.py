"""Makes a zip file of each function that cargo lambda built, the same bytes for the same program."""

import hashlib
import pathlib
import re
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILT = ROOT / "target" / "lambda"
FUNCTIONS = ["association", "reconcile", "workloads", "admin"]
# Amazon Linux 2023's. https://docs.aws.amazon.com/linux/al2023/ug/glibc.html
NEWEST_GLIBC = (2, 34)


def digest(function):
    return hashlib.sha256((BUILT / function / "bootstrap").read_bytes()).hexdigest()


def glibc(function):
    """The newest version of glibc that a program asks for."""
    symbols = subprocess.run(
        ["objdump", "-T", BUILT / function / "bootstrap"], capture_output=True, text=True, check=True
    ).stdout
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", symbols)
    return max((int(major), int(minor)) for major, minor in versions)


def pack(function):
    program = BUILT / function / "bootstrap"
    found = glibc(function)
    if found > NEWEST_GLIBC:
        sys.exit(f"{program} asks for glibc {found[0]}.{found[1]}, and provided.al2023 has 2.34")
    entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
    entry.create_system = 3
    entry.external_attr = 0o100755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    packed = BUILT / f"{function}.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(entry, program.read_bytes(), compresslevel=9)
    megabytes = [path.stat().st_size / 1e6 for path in (program, packed)]
    print(f"{function}: {megabytes[0]:.1f} MB, {megabytes[1]:.1f} MB packed, glibc {found[0]}.{found[1]}, {digest(function)}")


if __name__ == "__main__":
    for name in FUNCTIONS:
        pack(name)
