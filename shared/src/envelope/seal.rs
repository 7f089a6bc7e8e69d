//! Signing: leaves into one tree, the tree's root into one JWS, a path for each leaf.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

use super::jws;
use super::leaf::Leaf;
use super::members::Members;
use crate::ids::Digest32;
use crate::merkle::{self, Hash, Tree, TreeError};
use crate::time::UnixMillis;
use crate::wire::SignedLeaf;

pub(super) const ROOT_TYPE: &str = "cluster-batch+jws";
const VERSION: u64 = 1;

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
#[derive(Debug)]
pub(super) struct RootClaims {
    v: u64,
    pub(super) root: Hash,
    pub(super) size: u32,
    iat: u64,
    exp: u64,
}

impl RootClaims {
    /// Reads the claims: these members and no other.
    pub(super) fn read(members: &Members) -> Option<Self> {
        let root = BASE64URL.decode(members.text("root")?).ok()?;
        let claims = Self {
            v: members.number("v")?,
            root: Hash(root.try_into().ok()?),
            size: u32::try_from(members.number("size")?).ok()?,
            iat: members.number("iat")?,
            exp: members.number("exp")?,
        };
        (members.len() == 5).then_some(claims)
    }

    fn write(&self) -> Members {
        Members::default()
            .with_number("v", self.v)
            .with_text("root", &BASE64URL.encode(self.root.0))
            .with_number("size", self.size.into())
            .with_number("iat", self.iat)
            .with_number("exp", self.exp)
    }

    pub(super) const fn covers(&self, from: UnixMillis, until: UnixMillis) -> bool {
        self.iat.saturating_mul(1000) <= from.0 && until.0 <= self.exp.saturating_mul(1000)
    }

    pub(super) const fn is_known_version(&self) -> bool {
        self.v == VERSION
    }
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
    let root = jws::sign(ROOT_TYPE, kid, &claims.write(), sign).map_err(SealError::Sign)?;
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
