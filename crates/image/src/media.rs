//! Media types of OCI and of Docker, which registries still hold.

use tree::codec::Format;

/// An OCI image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI image configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer that is not compressed.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A layer compressed with gzip.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A layer compressed with zstd.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// The configuration of an artifact that has none (image specification, "Guidance for an Empty Descriptor").
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A bill of materials in SPDX's JSON.
pub const SPDX: &str = "application/spdx+json";
/// A bill of materials in CycloneDX's JSON.
pub const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
/// A statement of the in-toto attestation framework.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Docker's image manifest, version 2, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's image configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker's compressed layer.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker's manifest of version 2, schema 1, long gone from registries and not read here.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1";

/// What a client that asks for a manifest or an index takes.
pub const MANIFESTS: [&str; 4] = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST];

/// Whether this is an index or a manifest list.
#[must_use]
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, INDEX | DOCKER_LIST)
}

/// Whether this is an image manifest.
#[must_use]
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, MANIFEST | DOCKER_MANIFEST)
}

/// Whether this is the configuration of an image.
#[must_use]
pub fn is_config(media_type: &str) -> bool {
    matches!(media_type, CONFIG | DOCKER_CONFIG)
}

/// Whether this is a layer of a file system. Their contents say best how they are compressed.
#[must_use]
pub fn is_layer(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.")
}

/// The OCI media type of a layer, for a manifest of OCI's: what Docker calls its own has another name there. None for one
/// that only its own registry may hand out.
#[must_use]
pub fn oci_layer(media_type: &str) -> Option<&str> {
    match media_type {
        LAYER | LAYER_GZIP | LAYER_ZSTD => Some(media_type),
        "application/vnd.docker.image.rootfs.diff.tar" => Some(LAYER),
        DOCKER_LAYER => Some(LAYER_GZIP),
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(LAYER_ZSTD),
        _ => None,
    }
}

/// The media type of a layer that is compressed so. OCI has no xz.
#[must_use]
pub fn layer(format: Format) -> Option<&'static str> {
    match format {
        Format::Plain => Some(LAYER),
        Format::Gzip => Some(LAYER_GZIP),
        Format::Zstd => Some(LAYER_ZSTD),
        Format::Xz => None,
    }
}
