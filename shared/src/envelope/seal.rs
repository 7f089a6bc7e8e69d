//! Signing: leaves into one tree, the tree's root into one JWS, a path for each leaf.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::jws;
use super::leaf::Leaf;
use crate::ids::Digest32;
use crate::merkle::{self, Hash, Tree, TreeError};
use crate::time::UnixMillis;
use crate::wire::SignedLeaf;

pub(super) const ROOT_TYPE: &str = "cluster-batch+jws";
const VERSION: u8 = 1;

/// Why leaves could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SealError<E: std::error::Error + 'static> {
    /// No leaves, or too many.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The raw signature failed.
    #[error("cannot sign: {0}")]
    Sign(#[source] E),
}

/// What the root signature says. Times are whole seconds around those of the leaves.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RootClaims {
    v: u8,
    #[serde(serialize_with = "hash_to_text", deserialize_with = "hash_from_text")]
    pub(super) root: Hash,
    pub(super) size: u32,
    iat: u64,
    exp: u64,
}

impl RootClaims {
    pub(super) const fn covers(&self, from: UnixMillis, until: UnixMillis) -> bool {
        self.iat.saturating_mul(1000) <= from.0 && until.0 <= self.exp.saturating_mul(1000)
    }

    pub(super) const fn is_known_version(&self) -> bool {
        self.v == VERSION
    }
}

fn hash_to_text<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64URL.encode(hash.0))
}

fn hash_from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = BASE64URL.decode(text).map_err(serde::de::Error::custom)?;
    let bytes =
        <[u8; 32]>::try_from(bytes).map_err(|_| serde::de::Error::custom("a root has 32 bytes"))?;
    Ok(Hash(bytes))
}

/// Signs all `leaves` (1 to [`crate::limits::MAX_LEAVES_PER_TREE`]) with one signature; the results
/// are in the same order. `sign` is RSASSA-PKCS1-v1_5 with SHA-256 by the key whose id is `kid`.
///
/// # Errors
/// [`SealError`] for a bad number of leaves or a failed signature.
pub fn seal<E: std::error::Error>(
    leaves: &[Leaf],
    kid: Digest32,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<SignedLeaf>, SealError<E>> {
    let encoded: Vec<Vec<u8>> = leaves.iter().map(Leaf::encode).collect();
    let tree = Tree::build(encoded.iter().map(|leaf| merkle::leaf_hash(leaf)).collect())?;
    let lifetimes = || leaves.iter().map(Leaf::lifetime);
    let claims = RootClaims {
        v: VERSION,
        root: tree.root(),
        size: u32::try_from(tree.size()).expect("MAX_LEAVES_PER_TREE fits u32"),
        iat: lifetimes()
            .map(|(from, _)| from.0 / 1000)
            .min()
            .unwrap_or(0),
        exp: lifetimes()
            .map(|(_, until)| until.0.div_ceil(1000))
            .max()
            .unwrap_or(0),
    };
    let root = jws::sign(ROOT_TYPE, kid, &claims, sign).map_err(SealError::Sign)?;
    Ok(encoded
        .into_iter()
        .zip(0_u32..)
        .map(|(leaf, index)| SignedLeaf {
            leaf,
            index,
            path: tree.path(index as usize),
            root: root.clone(),
        })
        .collect())
}
