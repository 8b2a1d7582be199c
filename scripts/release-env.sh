# Sourced: what makes a build the same wherever it is made. No path of this machine stands in the program, and no time.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}
CARGO_PROFILE_RELEASE_DEBUG=0
CARGO_PROFILE_RELEASE_STRIP=symbols
CARGO_INCREMENTAL=0
RUSTFLAGS="--remap-path-prefix=$PWD=/metertap --remap-path-prefix=$CARGO_HOME=/cargo ${RUSTFLAGS:-}"
export SOURCE_DATE_EPOCH CARGO_HOME CARGO_PROFILE_RELEASE_DEBUG CARGO_PROFILE_RELEASE_STRIP CARGO_INCREMENTAL RUSTFLAGS
