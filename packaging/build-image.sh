#!/bin/sh
# $OUT/metertap-<version>-oci.tar: the container image as an OCI archive. Arguments: TARGET=ROOTFS for each architecture, where ROOTFS
# holds all files of the image. Publish it with `skopeo copy --all oci-archive:FILE docker://REGISTRY/metertap:VERSION`.
set -eu
cd "$(dirname "$0")/.."
. scripts/release-env.sh
. packaging/project.sh
layout=target/release-image
rm -rf "$layout"
blobs=$layout/blobs/sha256
mkdir -p "$blobs"
created=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)

# Moves file $1 to the blobs; sets `digest` and `size`.
add_blob() {
  digest=$(sha256sum "$1" | cut -d' ' -f1) size=$(stat -c %s "$1")
  mv "$1" "$blobs/$digest"
}

labels="\"org.opencontainers.image.title\":\"metertap\",\"org.opencontainers.image.version\":\"$version\",\"org.opencontainers.image.licenses\":\"GPL-3.0-or-later\""
[ -z "$repository" ] || labels="$labels,\"org.opencontainers.image.source\":\"$repository\""
manifests=
for pair in "$@"; do
  describe_target "${pair%%=*}"
  rootfs=${pair#*=}
  layer=$layout/layer.tar
  # The image's user owns one folder, root the others.
  reproducible_tar "$rootfs" --exclude=./var/lib/metertap . >"$layer"
  tar --append --file "$layer" --format=gnu --owner=65532 --group=65532 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    --no-recursion --directory "$rootfs" ./var/lib/metertap
  diff_id=$(sha256sum "$layer" | cut -d' ' -f1)
  gzip -9n "$layer"
  add_blob "$layer.gz"
  layer_digest=$digest layer_size=$size
  variant=${oci_variant:+,\"variant\":\"$oci_variant\"}
  # The same settings as those of docker/Dockerfile. Healthcheck is Docker's; others ignore it.
  printf '%s' "{\"architecture\":\"$oci_arch\"$variant,\"os\":\"linux\",\"created\":\"$created\",\"config\":{\"User\":\"65532:65532\",\"WorkingDir\":\"/var/lib/metertap\",\"Volumes\":{\"/var/lib/metertap\":{}},\"ExposedPorts\":{\"8080/tcp\":{}},\"Env\":[\"PATH=/usr/bin\",\"METERTAP_CONFIG=/etc/metertap/metertap.toml\"],\"StopSignal\":\"SIGTERM\",\"Healthcheck\":{\"Test\":[\"CMD\",\"/usr/bin/metertap\",\"health\"],\"Interval\":30000000000,\"Timeout\":6000000000,\"StartPeriod\":20000000000},\"Entrypoint\":[\"/usr/bin/metertap\"],\"Cmd\":[\"run\"],\"Labels\":{$labels}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:$diff_id\"]},\"history\":[{\"created\":\"$created\",\"created_by\":\"make release\"}]}" \
    >"$layout/config"
  add_blob "$layout/config"
  printf '%s' "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:$digest\",\"size\":$size},\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"sha256:$layer_digest\",\"size\":$layer_size}],\"annotations\":{$labels}}" \
    >"$layout/manifest"
  add_blob "$layout/manifest"
  manifests="$manifests${manifests:+,}{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:$digest\",\"size\":$size,\"platform\":{\"architecture\":\"$oci_arch\",\"os\":\"linux\"$variant}}"
done
# One entry for all architectures, so that tools that take an archive by its only entry choose by platform.
printf '%s' "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[$manifests]}" >"$layout/images"
add_blob "$layout/images"
printf '%s' "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"digest\":\"sha256:$digest\",\"size\":$size,\"annotations\":{\"org.opencontainers.image.ref.name\":\"$version\"}}]}" \
  >"$layout/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
normalize "$layout"
reproducible_tar "$layout" . >"$OUT/metertap-$version-oci.tar"
rm -rf "$layout"
