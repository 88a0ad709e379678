# shellcheck shell=bash
# Sourced, not run: the environment in which the same source gives the same bytes, wherever and whenever
# it is built. tools/release sources it; whoever calls cargo for a binary that is shipped does so too:
#
#   . tools/reproducible.sh
#   cargo build --locked --release --bin vedette --target aarch64-unknown-linux-gnu
#
# What it sets:
#   SOURCE_DATE_EPOCH  the time of the last commit, where it is not set: build.rs, libjpeg-turbo's
#                      configuration, dpkg-deb and cargo-deb take their time from it.
#   RUSTFLAGS, CFLAGS  are added to: no path of this machine comes into a binary. RUSTFLAGS wins over
#                      CARGO_TARGET_*_RUSTFLAGS, so what a target needs is added to RUSTFLAGS.
#   LC_ALL, TZ         C and UTC: lists are sorted, and dates written, alike everywhere.
#
# The compiler, the C compiler and cargo's registry must be the same; with others the bytes differ, and
# the program does not.

vedette_repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
vedette_cargo=${CARGO_HOME:-$HOME/.cargo}
vedette_target=${CARGO_TARGET_DIR:-$vedette_repository/target}

if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
  # Without a repository (a source archive), the newest change that the changelog is of.
  SOURCE_DATE_EPOCH=$(git -C "$vedette_repository" log -1 --format=%ct 2>/dev/null ||
    stat -c %Y "$vedette_repository/CHANGELOG.md")
fi
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC

# The directory of the crates' sources must be there, for its name to be known.
compgen -G "$vedette_cargo/registry/src/*" > /dev/null || (cd "$vedette_repository" && cargo fetch --locked)

vedette_remap() {
  case " ${RUSTFLAGS:-} " in *" --remap-path-prefix=$1=$2 "*) return ;; esac
  export RUSTFLAGS="${RUSTFLAGS:+$RUSTFLAGS }--remap-path-prefix=$1=$2"
  export CFLAGS="${CFLAGS:+$CFLAGS }-ffile-prefix-map=$1=$2"
}
# Of several prefixes that fit, the last one counts: from the general to the special.
vedette_remap "$vedette_cargo" /cargo
for vedette_index in "$vedette_cargo"/registry/src/*; do
  vedette_remap "$vedette_index" /crates
done
vedette_remap "$vedette_repository" /vedette
vedette_remap "$vedette_target" /target
