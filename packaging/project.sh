# Sourced: what packages say about this project, from Cargo.toml, the only place that states it. What is not filled in there
# is empty here.
fact() {
  sed -n "/^\[workspace.package\]/,/^\[/s/^$1 = \[*\"\(.*\)\"\]*\$/\1/p" Cargo.toml
}
version=$(fact version)
maintainer=$(fact authors)
homepage=$(fact homepage)
repository=$(fact repository)

# Sets `arch` (Debian's name) and `oci_arch`, `oci_variant` (the image's) for target $1.
describe_target() {
  target=$1 oci_variant=
  case $target in
    x86_64-*) arch=amd64 oci_arch=amd64 ;;
    aarch64-*) arch=arm64 oci_arch=arm64 ;;
    armv7-*) arch=armhf oci_arch=arm oci_variant=v7 ;;
    *) echo "no architecture is known for $target: expected x86_64, aarch64 or armv7" >&2; exit 1 ;;
  esac
}

# Fixed times, modes and owners make an archive of folder $1 the same wherever it is made.
normalize() {
  find "$1" -type d -exec chmod 0755 {} +
  find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

# Writes folder $1 as a tar archive to standard output; further arguments are for tar.
reproducible_tar() {
  folder=$1
  shift
  tar --create --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    --directory "$folder" "$@"
}
