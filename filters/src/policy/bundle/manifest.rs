//! Manifests of bundles: which one layer holds the archive (OCI image specification 1.1, "Image Manifest").
//!
//! Accepted: an image manifest or a Docker one (schema 2) with one layer that is a tar archive, as `oras push`, `opa push`-like
//! tools and image builders write it. The type of the layer is a hint only: the archive says itself what it is.

use serde::Deserialize;

use super::PACKED_BYTES_MAX;
use super::reference::ContentDigest;

/// The media types that are asked for.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json;q=0.1";

/// Manifests that are named where there are several.
const SHOWN_MAX: usize = 5;

/// The layer with the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) digest: ContentDigest,
    pub(super) size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

/// Finds the layer with the archive.
///
/// # Errors
/// When it is no such manifest.
pub(super) fn layer(bytes: &[u8]) -> Result<Layer, String> {
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|error| format!("the manifest is none: {error}"))?;
    if manifest.schema_version != 2 {
        return Err(format!("the manifest has schema version {}, not 2", manifest.schema_version));
    }
    let layers = match (manifest.layers, manifest.manifests) {
        (Some(layers), None) => layers,
        (None, Some(manifests)) => return Err(index(&manifests)),
        // Two readers could take it for two things.
        (Some(_), Some(_)) => return Err("the manifest is an image and an index at once".to_owned()),
        (None, None) => return Err("the manifest has no layers".to_owned()),
    };
    let [layer] = layers.as_slice() else {
        let count = layers.len();
        return Err(format!("the manifest has {count} layers: a bundle is one, a `.tar.gz` of the files"));
    };
    if !is_archive(&layer.media_type) {
        return Err(format!("the layer is `{}`, no tar archive", layer.media_type.escape_debug()));
    }
    if layer.size > PACKED_BYTES_MAX {
        return Err(format!("the layer has {} bytes, more than {PACKED_BYTES_MAX}", layer.size));
    }
    let digest = layer.digest.parse().map_err(|error| format!("the digest of the layer: {error}"))?;
    Ok(Layer { digest, size: layer.size })
}

fn is_archive(media_type: &str) -> bool {
    let ends = [".tar", "+tar", ".tar.gzip", ".tar+gzip", ".tar.gz", "+gzip"];
    ends.iter().any(|end| media_type.ends_with(end))
}

/// An index leads to several manifests: which one is meant must be written.
fn index(manifests: &[Descriptor]) -> String {
    let digests = manifests.iter().filter_map(|one| one.digest.parse::<ContentDigest>().ok());
    let digests = digests.take(SHOWN_MAX).map(|digest| format!("`@{digest}`")).collect::<Vec<_>>().join(", ");
    format!("it is an index of {} manifests: write the digest of one: {digests}", manifests.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(manifest: &serde_json::Value, expected: Result<u64, &str>) {
        let found = layer(&serde_json::to_vec(&manifest).unwrap());
        match expected {
            Ok(size) => assert_eq!(found, Ok(Layer { digest: ContentDigest::of(b""), size }), "{manifest}"),
            Err(message) => {
                let error = found.unwrap_err();
                assert!(error.contains(message), "{error}");
            }
        }
    }

    #[test]
    fn one_layer_is_an_archive() {
        let digest = ContentDigest::of(b"").to_string();
        let of =
            |media_type: &str, size: u64| json!({"mediaType": media_type, "digest": digest, "size": size});
        let image = |layers: serde_json::Value| json!({"schemaVersion": 2, "layers": layers});
        for accepted in [
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "application/vnd.acme.policy.v1.tar.gz",
        ] {
            check(&image(json!([of(accepted, 7)])), Ok(7));
        }
        let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
        check(&image(json!([])), Err("has 0 layers"));
        check(&image(json!([of(tar, 7), of(tar, 7)])), Err("has 2 layers"));
        check(&image(json!([of("application/json", 7)])), Err("the layer is `application/json`"));
        check(&image(json!([of("application/vnd.oci.image.layer.v1.tar+zstd", 7)])), Err("no tar archive"));
        check(&image(json!([of(tar, PACKED_BYTES_MAX + 1)])), Err("more than"));
        check(
            &image(json!([{"mediaType": tar, "digest": "sha512:00", "size": 1}])),
            Err("the digest of the layer"),
        );
        check(
            &json!({"schemaVersion": 2, "manifests": [of(tar, 1)]}),
            Err("write the digest of one: `@sha256:"),
        );
        check(
            &json!({"schemaVersion": 2, "layers": [], "manifests": []}),
            Err("an image and an index at once"),
        );
        check(&json!({"schemaVersion": 1, "fsLayers": []}), Err("schema version 1"));
        check(&json!({"schemaVersion": 2}), Err("no layers"));
        check(&json!([]), Err("the manifest is none"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = layer(&bytes);
        }
    }
}
