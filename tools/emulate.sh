#!/usr/bin/env bash
# Runs the tests of the kernels on a processor that this machine is not, by emulation. Slow: minutes for what otherwise
# takes seconds. Only the tests that run kernels in this process are taken; further arguments are pytest's, such as -k.
#
#   bash tools/emulate.sh baseline [PYTEST ARGUMENT...]     an x86-64 processor of 2008: SSE4.2, nothing more
#   bash tools/emulate.sh avx2     [PYTEST ARGUMENT...]     one of 2013: AVX2 and FMA
#   bash tools/emulate.sh neon     [PYTEST ARGUMENT...]     64-bit ARM; compiles for it and runs an ARM Python
#
# Needs Debian's qemu-user-static and Python with venv on x86-64; for neon also apt-get. All else goes into a temporary
# directory, or into FASTLOSS_EMULATE_DIRECTORY, where it is taken up again. An emulator cannot do AVX-512.
set -euo pipefail

processor=$1
shift
cd "$(dirname "${BASH_SOURCE[0]}")/.."
set -- tests/test_{kernels,semantics,functions,math,properties,distributions,half_precision}.py "$@"

work=${FASTLOSS_EMULATE_DIRECTORY:-}
if [[ -z $work ]]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"
work=$(realpath "$work")
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1

# environment NAME PACKAGE...: path of a virtual environment with these packages
environment() {
    local home=$work/$1
    shift
    [[ -d $home ]] || python3 -m venv "$home"
    "$home/bin/python" -m pip install -qq --upgrade pip "$@"
}

# run ISA PYTHON... -- PYTEST ARGUMENT...: the tests, where the emulated machine chooses this instruction set by itself
run() {
    local wanted=$1 used python=()
    shift
    while [[ $1 != -- ]]; do
        python+=("$1")
        shift
    done
    shift
    used=$("${python[@]}" -c 'from fastloss import _core; print(_core.active_isa())')
    if [[ $used != "$wanted" ]]; then
        echo "emulate.sh: expected the instruction set $wanted, got $used" >&2
        return 1
    fi
    echo "instruction set: $used"
    FASTLOSS_ISA=$wanted "${python[@]}" -m pytest -p no:cacheprovider "$@"
}

emulate_x86() {
    local model=$1 isa=$2
    shift 2
    environment native --force-reinstall ".[test]"
    run "$isa" qemu-x86_64-static -cpu "$model" "$work/native/bin/python" -- "$@"
}

# An unpacked Debian for ARM with Python in it; nothing of it is installed, and no ARM program runs but under qemu.
unpack_arm_debian() {
    local root=$work/arm apt=$work/apt
    [[ ! -x $root/usr/bin/python3.11 ]] || return 0
    mkdir -p "$root" "$apt"/{lists/partial,cache/archives/partial}
    touch "$apt/status"
    cat >"$apt/apt.conf" <<EOF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "$(id -un)";
Dir::State "$apt";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
EOF
    APT_CONFIG=$apt/apt.conf apt-get update -qq
    APT_CONFIG=$apt/apt.conf apt-get install -qq --yes --download-only --no-install-recommends \
        python3.11 libpython3.11-dev libstdc++6
    local package
    for package in "$apt"/cache/archives/*.deb; do
        dpkg -x "$package" "$root"
    done
    # Python's headers alone: the C library's are the cross compiler's own
    mkdir -p "$work/include/aarch64-linux-gnu"
    cp -r "$root/usr/include/python3.11" "$work/include"
    cp -r "$root/usr/include/aarch64-linux-gnu/python3.11" "$work/include/aarch64-linux-gnu"
}

# What Meson has to know of a Python that it cannot run (PEP 739), and of the compiler.
write_cross_file() {
    local release micro zig
    # the program itself: `python -m ziglang` finds nothing in an isolated build
    zig=$("$work/cross/bin/python" -c 'import ziglang; print(ziglang.__path__[0])')/zig
    release=$(qemu-aarch64-static -L "$work/arm" "$work/arm/usr/bin/python3.11" -c \
        'import platform, sys; print(platform.python_version(), sys.hexversion)')
    micro=${release% *}
    micro=${micro##*.}
    cat >"$work/build-details.json" <<EOF
{
    "schema_version": "1.0",
    "base_prefix": "$work/arm/usr",
    "platform": "linux-aarch64",
    "language": {"version": "3.11", "version_info": {"major": 3, "minor": 11, "micro": $micro, "releaselevel": "final", "serial": 0}},
    "implementation": {
        "name": "cpython", "cache_tag": "cpython-311", "hexversion": ${release#* }, "_multiarch": "aarch64-linux-gnu",
        "version": {"major": 3, "minor": 11, "micro": $micro, "releaselevel": "final", "serial": 0}
    },
    "abi": {"flags": [], "extension_suffix": ".cpython-311-aarch64-linux-gnu.so", "stable_abi_suffix": ".abi3.so"},
    "suffixes": {
        "source": [".py"], "bytecode": [".pyc"],
        "extensions": [".cpython-311-aarch64-linux-gnu.so", ".abi3.so", ".so"]
    },
    "libpython": {
        "dynamic": "lib/aarch64-linux-gnu/libpython3.11.so.1.0", "dynamic_stableabi": "lib/libpython3.so",
        "link_extensions": false
    },
    "c_api": {"headers": "include/python3.11"}
}
EOF
    cat >"$work/arm.ini" <<EOF
[binaries]
c = ['$zig', 'cc', '-target', 'aarch64-linux-gnu.2.28']
ar = ['$zig', 'ar']
strip = 'true'
[properties]
needs_exe_wrapper = true
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
[built-in options]
python.build_config = '$work/build-details.json'
c_args = ['-I$work/include/python3.11', '-I$work/include']
EOF
}

emulate_arm() {
    environment cross ziglang
    unpack_arm_debian
    write_cross_file
    rm -rf "$work/wheel" "$work/site"
    _PYTHON_HOST_PLATFORM=linux-aarch64 "$work/cross/bin/python" -m pip wheel -qq --no-deps --wheel-dir "$work/wheel" \
        -Csetup-args=--cross-file="$work/arm.ini" .
    local wheel
    wheel=$(echo "$work"/wheel/fastloss-*.whl)
    "$work/cross/bin/python" -m pip install -qq --target "$work/site" --only-binary :all: \
        --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none \
        --platform linux_aarch64 --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
        --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 "${wheel}[test]"
    PYTHONPATH=$work/site run neon qemu-aarch64-static -L "$work/arm" "$work/arm/usr/bin/python3.11" -- "$@"
}

case $processor in
baseline) emulate_x86 Nehalem baseline "$@" ;;
avx2) emulate_x86 Haswell avx2 "$@" ;;
neon) emulate_arm "$@" ;;
*)
    echo "emulate.sh: expected baseline, avx2 or neon, got $processor" >&2
    exit 2
    ;;
esac
