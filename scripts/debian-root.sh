# Sourced: `debian_root DIR PACKAGE…` makes a small Debian 13, or `suite=sid`, or with `mirror=…` an Ubuntu, in DIR (once), with
# these packages.

# As root: by itself, or by sudo.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Of the machine itself: debian packages by the name of a command that they bring.
need() {
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || [ -x "/usr/sbin/${pair%%:*}" ] || missing="${missing:-} ${pair#*:}"
  done
  if [ -n "${missing:-}" ]; then
    echo "installing$missing"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
  fi
}

debian_root() {
  root=$1
  shift
  need debootstrap:debootstrap
  if [ ! -e "$root/.made" ]; then
    echo "making a system (${suite:-trixie}) in $root"
    as_root rm -rf "$root"
    # Every Ubuntu is made by the same script; an older debootstrap does not know the newest names. Nor has Debian Ubuntu's keys.
    script=
    case ${mirror:-} in *ubuntu*) script="${mirror} /usr/share/debootstrap/scripts/gutsy" unsigned=--no-check-gpg ;; esac
    # shellcheck disable=SC2086 # a list
    as_root debootstrap ${unsigned:-} --variant=minbase "${suite:-trixie}" "$root" ${script:-http://deb.debian.org/debian} >/dev/null
    as_root touch "$root/.made"
  fi
  as_root cp /etc/resolv.conf "$root/etc/resolv.conf"
  [ $# = 0 ] || in_root "$root" sh -c "apt-get update -qq; apt-get install -y -qq --no-install-recommends $*" >/dev/null
}

in_root() {
  root=$1
  shift
  as_root chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
