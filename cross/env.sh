# shellcheck shell=bash disable=SC2034 # what is set here is used where it is sourced
# Sourced: what a build for another machine needs to know. `cross_env TARGET` exports it, and sets
#
#   cargo      the command to build with: cargo and its first arguments, `"${cargo[@]}" build …`
#   args       further arguments of that command
#   runner     what runs the target's programs here, empty where this machine does
#   gnu        the GNU triple of the C compiler (aarch64-linux-gnu), empty where zig is it
#
# The toolchain is the one on the PATH where it has the target's standard library (`rustup target add`), else
# Debian's (rustc-web). Where neither has one, it is built from source along with the program: cargo's
# build-std, which only a nightly toolchain or RUSTC_BOOTSTRAP allows. Everything lands in target/cross,
# apart from what this machine builds for itself.

CROSS_TARGETS=(
  aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf
  x86_64-unknown-linux-musl aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf
)

cross_die() { printf 'cross: %s\n' "$*" >&2; exit 1; }

# The GNU triple, Debian's word and qemu's word for a target's processor.
cross_names() {
  case $1 in
    aarch64-*) gnu=aarch64-linux-gnu debian=arm64 qemu=qemu-aarch64-static ;;
    armv7-*) gnu=arm-linux-gnueabihf debian=armhf qemu=qemu-arm-static ;;
    x86_64-*) gnu=x86_64-linux-gnu debian=amd64 qemu= ;;
    riscv64gc-*) gnu=riscv64-linux-gnu debian=riscv64 qemu=qemu-riscv64-static ;;
    *) cross_die "no target '$1' here. There are: ${CROSS_TARGETS[*]}" ;;
  esac
}

# has_std RUSTC TARGET: its standard library is installed; has_source RUSTC: or can be built.
has_std() { compgen -G "$("$1" --print sysroot)/lib/rustlib/$2/lib/libstd-*.rlib" >/dev/null; }
has_source() { [ -f "$("$1" --print sysroot)/lib/rustlib/src/rust/library/Cargo.toml" ]; }

# Sets rustc, cargo and, where the standard library must be built, args.
cross_toolchain() {
  local target=$1 candidates=() candidate
  for candidate in "$(command -v rustc || true)" /usr/bin/rustc; do
    [ -x "$candidate" ] && candidates+=("$candidate")
  done
  for candidate in "${candidates[@]}"; do
    if has_std "$candidate" "$target"; then
      use_toolchain "$candidate"
      return
    fi
  done
  for candidate in "${candidates[@]}"; do
    if has_source "$candidate"; then
      use_toolchain "$candidate"
      export RUSTC_BOOTSTRAP=1
      args+=('-Zbuild-std=std,panic_unwind,panic_abort')
      return
    fi
  done
  cross_die "no Rust here has a standard library for $target. What helps: tools/setup cross, or rustup target add $target"
}

use_toolchain() {
  cargo=("$(dirname "$1")/cargo")
  export RUSTC=$1
  # rustup's own proxy would look here rather than at RUSTC.
  if [ "$1" = /usr/bin/rustc ]; then unset RUSTUP_TOOLCHAIN; export PATH=/usr/bin:$PATH; fi
}

# A variable whose name is made of the target's.
export_for() { export "$1=$2"; }

cross_env() {
  local target=$1 lower=${1//-/_} upper
  upper=${lower^^}
  cross_names "$target"
  args=(--target "$target") runner=()
  cross_toolchain "$target"
  export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/cross}
  case $target in
    *-musl*)
      # rustc would bring a C library of its own, which is not zig's.
      export RUSTFLAGS="${RUSTFLAGS:+$RUSTFLAGS }-Clink-self-contained=no"
      export PATH=$PWD/target/tools/venv/bin:$PATH
      gnu=
      [ -z "$qemu" ] || runner=("$qemu")
      ;;
    *)
      export_for "CC_$lower" "$gnu-gcc"
      export_for "CXX_$lower" "$gnu-g++"
      export_for "AR_$lower" "$gnu-ar"
      export_for "CARGO_TARGET_${upper}_LINKER" "$gnu-gcc"
      # The V4L2 headers are read by libclang, which knows this machine's only.
      export_for "BINDGEN_EXTRA_CLANG_ARGS_$lower" "--sysroot=/usr/$gnu -I/usr/$gnu/include"
      # arm64 through Debian's own libc6:arm64: with the cross compiler's copy of it (2.36-8cross1) and qemu
      # 7.2 the first pthread_create spins for ever. armhf is fine with that copy.
      if [ "$debian" = arm64 ]; then runner=("$qemu" -L /); else runner=("$qemu" -L "/usr/$gnu"); fi
      ;;
  esac
  [ ${#runner[@]} -eq 0 ] || export_for "CARGO_TARGET_${upper}_RUNNER" "${runner[*]}"
}
