#!/bin/sh
# Installs what a build and its tests need beyond rustup, make and a C compiler. Safe to run again: what is there is
# left alone, and with nothing missing it changes nothing and needs no rights.
#
#   setup.sh          install what is missing
#   setup.sh --check  only say what is missing (exit 1 when something is)
#
# Why each is needed:
#   cmake, g++, git    BoringSSL is built from source: CMake drives it, its C++ parts need a compiler, git applies patches
#   clang, libclang    bindgen reads BoringSSL's headers through libclang (with clang's own headers)
#   curl               `make run` shows its calls with it
#   ca-certificates    cargo downloads crates over TLS
#   docker-registry    only where MCPG_TESTS_REQUIRE_ALL is set: tests of bundles are skipped without it
set -eu

rust_min=1.95

say() { printf 'setup: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

has_libclang() {
    for folder in ${LIBCLANG_PATH:+"$LIBCLANG_PATH"} /usr/lib/llvm-*/lib /usr/lib/*-linux-gnu /usr/lib64 /usr/lib; do
        for library in "$folder"/libclang.so* "$folder"/libclang-*.so*; do
            if [ -e "$library" ]; then return 0; fi
        done
    done
    return 1
}

# Prints the Debian packages that are missing.
missing_packages() {
    have cmake || echo cmake
    have c++ || have g++ || echo g++
    have git || echo git
    have clang || echo clang
    has_libclang || echo libclang-dev
    have curl || echo curl
    [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] \
        || [ -e /etc/ssl/cert.pem ] || echo ca-certificates
    [ -z "${MCPG_TESTS_REQUIRE_ALL:-}" ] || have docker-registry || echo docker-registry
}

check_rust() {
    if ! have cargo; then
        say "cargo is missing: install Rust $rust_min or later from https://rustup.rs, then run this again"
        exit 1
    fi
    version=$(cargo --version | cut -d ' ' -f 2)
    major=${version%%.*}
    rest=${version#*.}
    minor=${rest%%.*}
    if [ "$major" -eq 1 ] && [ "$minor" -lt "${rust_min#*.}" ]; then
        say "cargo $version is too old: Rust $rust_min or later is needed (\`rustup update stable\`)"
        exit 1
    fi
}

packages=$(missing_packages | tr '\n' ' ')
packages=${packages% }

if [ "${1:-}" = --check ]; then
    [ -z "$packages" ] || { say "missing: $packages"; exit 1; }
    check_rust
    exit 0
fi

if [ -n "$packages" ]; then
    if ! have apt-get; then
        say "missing: $packages"
        say "this is no Debian or Ubuntu, so install them by hand. Their names elsewhere:"
        say "  Fedora: dnf install cmake gcc-c++ git clang clang-devel curl ca-certificates"
        say "  Arch:   pacman -S cmake gcc git clang curl ca-certificates"
        say "  macOS:  xcode-select --install, then brew install cmake"
        exit 1
    fi
    if [ "$(id -u)" = 0 ]; then
        sudo=
    elif have sudo; then
        sudo=sudo
    else
        say "packages are missing, installing them needs root, and there is no sudo. As root, run:"
        say "  apt-get update && apt-get install --no-install-recommends $packages"
        exit 1
    fi
    say "installing with ${sudo:+sudo }apt-get: $packages"
    # Neither quoted: one may be nothing, the other is several words.
    # shellcheck disable=SC2086
    {
        $sudo apt-get update -q
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $packages
    }
fi

check_rust
