#!/usr/bin/env bash
# Builds a free-threaded CPython into a directory, from the source package of a Debian release that has one new enough.
# Needs apt-get, dpkg-dev, a C compiler, make and the headers of OpenSSL, zlib and libffi; no other machine-wide change.
#
#   bash tools/free_threaded_python.sh DIRECTORY [RELEASE [PACKAGE]]
set -euo pipefail

prefix=$(realpath -m "$1")
release=${2:-trixie}
package=${3:-python3.13}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/apt/{lists/partial,cache/archives/partial} "$work/source"
touch "$work/apt/status"

# apt with lists of its own, so that the machine's sources stay as they are; the mirror is the machine's
# shellcheck disable=SC2016  # $(SITE) is for apt
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m 1 '/debian/*$')
echo "deb-src [signed-by=$keyring] $mirror $release main" >"$work/apt/sources.list"
cat >"$work/apt/apt.conf" <<EOF
Dir::State "$work/apt";
Dir::State::status "$work/apt/status";
Dir::Cache "$work/apt/cache";
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "-";
APT::Sandbox::User "$(id -un)";
EOF
export APT_CONFIG=$work/apt/apt.conf

cd "$work/source"
apt-get update --quiet
apt-get source --quiet --download-only "$package"
tar --extract --strip-components=1 --file "$package"_*.orig.tar.xz

# -O1 and no test modules: this interpreter is to run a test suite once, and to be had in a minute
./configure --quiet --disable-gil --disable-test-modules --prefix="$prefix" CFLAGS=-O1
make --silent -j"$(nproc)" >/dev/null
make --silent install >/dev/null
"$prefix/bin/python3" -c 'import ssl, sys, zlib; assert not sys._is_gil_enabled(); print(sys.version)'
