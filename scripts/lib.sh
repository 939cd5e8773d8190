# Shared by the scripts: what a machine needs, and how to get it. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc)

say() { printf '\033[1m== %s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Debian packages, by what they are for. BUILD is enough for a server; TEST adds what scripts/test runs.
BUILD_PACKAGES="build-essential cmake ninja-build pkg-config ca-certificates
  libevent-dev libssl-dev libjansson-dev libhttp-parser-dev libwslay-dev libsodium-dev libpq-dev
  libopenmpi-dev openmpi-bin libdnnl-dev libopenblas-openmp-dev libhwloc-dev zlib1g-dev libzstd-dev libjpeg-dev libpng-dev libarchive-dev libtcc-dev libcmocka-dev
  postgresql-15 openssl"
TEST_PACKAGES="python3 python3-pytest python3-websockets python3-requests python3-jsonschema python3-numpy
  python3-onnx python3-torch
  curl clang-format chromium fonts-dejavu-core fonts-wqy-microhei procps iproute2"

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# need_packages NAME...: install the Debian packages that are missing, and only then touch the network.
need_packages() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    command -v apt-get >/dev/null || die "these packages are missing and this is no Debian system: ${missing[*]}"
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || die "packages are missing (${missing[*]}): run as root, or install sudo"
    say "installing ${#missing[@]} Debian packages: ${missing[*]}"
    # A database server that a package starts by itself is not wanted: Trainyard runs its own private one.
    if [ ! -e /etc/postgresql-common/createcluster.conf ] && [[ " ${missing[*]} " == *" postgresql-15 "* ]]; then
        as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        die "apt-get could not install: ${missing[*]}"
}

# need_node: a Node.js that the console's build tools accept (20.19 or newer) first on PATH. Debian 12 has 18; then the npm
# registry's own "node" package is put under build/node.
need_node() {
    local ok='const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'
    if [ -x "$root/build/node/node_modules/node/bin/node" ]; then
        export PATH="$root/build/node/node_modules/node/bin:$PATH"
    fi
    if command -v npm >/dev/null && command -v node >/dev/null && node -e "$ok"; then return 0; fi
    command -v npm >/dev/null || need_packages nodejs npm
    node -e "$ok" && return 0
    say "installing Node.js 20 from the npm registry under build/node"
    mkdir -p "$root/build/node"
    npm install --silent --no-fund --no-audit --prefix "$root/build/node" node@20 >&2 || die "npm could not install node@20"
    export PATH="$root/build/node/node_modules/node/bin:$PATH"
    node -e "$ok" || die "no Node.js 20.19 or newer could be had (found $(node --version))"
}

# build PRESET [TARGET...]: configure when needed, build, quietly unless it fails.
build() {
    local preset=$1 log
    shift
    log=$root/build/$preset.log
    mkdir -p "$root/build"
    say "building ($preset)"
    (cd "$root" && cmake --preset "$preset" && cmake --build --preset "$preset" -j "$jobs" ${1:+--target "$@"}) >"$log" 2>&1 || {
        grep -E 'error|Error|FAILED' "$log" | head -40 >&2
        tail -30 "$log" >&2
        die "the $preset build failed; the whole log is $log"
    }
    grep -E 'CUDA|console|MPI|oneDNN|OpenBLAS' "$log" | grep -E '^-- ' | sort -u | sed 's/^-- /   /' >&2 || true
}
