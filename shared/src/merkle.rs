//! Merkle tree and inclusion paths over bytes (RFC 6962); knows nothing of jobs.
//!
//! A node without a sibling moves up unchanged; nothing is ever duplicated, so that no two lists of
//! leaves have the same root (the flaw of CVE-2012-2459).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::limits::MAX_LEAVES_PER_TREE;

/// SHA-256 of a leaf or node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hash(#[serde(with = "serde_bytes")] pub [u8; 32]);

/// Why a tree cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// There is nothing to sign.
    #[error("a tree needs at least one leaf")]
    Empty,
    /// More leaves than one signature may cover.
    #[error("{0} leaves, at most {MAX_LEAVES_PER_TREE} fit under one root")]
    TooLarge(usize),
}

/// Hash of a leaf: SHA-256(0x00 ‖ leaf) (RFC 6962, section 2.1).
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Hash(
        Sha256::new()
            .chain_update([0])
            .chain_update(leaf)
            .finalize()
            .into(),
    )
}

fn node_hash(left: Hash, right: Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(bytes).into())
}

/// All levels of a tree, leaves first.
#[derive(Debug)]
pub struct Tree {
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Builds the tree over `leaves`, 1 to [`MAX_LEAVES_PER_TREE`] of them. O(n) hashes.
    ///
    /// # Errors
    /// [`TreeError::Empty`] for no leaves, [`TreeError::TooLarge`] for too many.
    pub fn build(leaves: Vec<Hash>) -> Result<Self, TreeError> {
        if leaves.is_empty() {
            return Err(TreeError::Empty);
        }
        if leaves.len() > MAX_LEAVES_PER_TREE {
            return Err(TreeError::TooLarge(leaves.len()));
        }
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            levels.push(level.chunks(2).map(parent).collect());
        }
        Ok(Self { levels })
    }

    /// The hash that stands for all leaves.
    pub fn root(&self) -> Hash {
        self.levels[self.levels.len() - 1][0]
    }

    /// Number of leaves.
    pub fn size(&self) -> usize {
        self.levels[0].len()
    }

    /// The siblings on the way from leaf `index` to the root, lowest first (RFC 6962, 2.1.1).
    pub fn path(&self, index: usize) -> Vec<Hash> {
        self.levels[..self.levels.len() - 1]
            .iter()
            .enumerate()
            .filter_map(|(height, level)| level.get((index >> height) ^ 1).copied())
            .collect()
    }
}

fn parent(pair: &[Hash]) -> Hash {
    match *pair {
        [left, right] => node_hash(left, right),
        [single] => single,
        _ => unreachable!("chunks(2) yields one or two"),
    }
}

/// The root that leaf `index` of `size` has by `path`; `None` where the path has the wrong length
/// for that place or the place does not exist.
pub fn root_from_path(leaf: Hash, index: u32, size: u32, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut place, mut width, mut hash) = (index, size, leaf);
    let mut siblings = path.iter();
    while width > 1 {
        if place % 2 == 1 {
            hash = node_hash(*siblings.next()?, hash);
        } else if place + 1 < width {
            hash = node_hash(hash, *siblings.next()?);
        }
        place /= 2;
        width = width.div_ceil(2);
    }
    siblings.next().is_none().then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(size: usize) -> (Vec<Hash>, Tree) {
        let leaves: Vec<Hash> = (0..size).map(|i| leaf_hash(&i.to_le_bytes())).collect();
        (leaves.clone(), Tree::build(leaves).unwrap())
    }

    /// The recursive definition of RFC 6962, section 2.1.
    fn reference_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [single] => *single,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(
                    reference_root(&leaves[..split]),
                    reference_root(&leaves[split..]),
                )
            }
        }
    }

    #[test]
    fn root_is_that_of_rfc_6962() {
        for size in 1..70 {
            let (leaves, tree) = tree(size);
            assert_eq!(tree.root(), reference_root(&leaves), "{size} leaves");
        }
    }

    #[test]
    fn every_path_leads_to_the_root_and_no_other_place_does() {
        for size in 1..40 {
            let (leaves, tree) = tree(size);
            for (index, leaf) in leaves.iter().enumerate() {
                let path = tree.path(index);
                for place in 0..size {
                    let root = root_from_path(*leaf, place as u32, size as u32, &path);
                    assert_eq!(
                        root == Some(tree.root()),
                        place == index,
                        "{index} as {place} of {size}"
                    );
                }
            }
        }
    }

    #[test]
    fn paths_of_wrong_length_are_refused() {
        let (leaves, tree) = tree(5);
        let path = tree.path(2);
        assert_eq!(root_from_path(leaves[2], 2, 5, &path[1..]), None);
        let longer: Vec<Hash> = path.iter().copied().chain([leaves[0]]).collect();
        assert_eq!(root_from_path(leaves[2], 2, 5, &longer), None);
        assert_eq!(root_from_path(leaves[2], 5, 5, &path), None);
        assert_eq!(root_from_path(leaves[2], 0, 0, &[]), None);
    }

    #[test]
    fn trees_have_bounds() {
        assert_eq!(Tree::build(vec![]).unwrap_err(), TreeError::Empty);
        let many = vec![leaf_hash(b""); MAX_LEAVES_PER_TREE + 1];
        assert_eq!(
            Tree::build(many).unwrap_err(),
            TreeError::TooLarge(MAX_LEAVES_PER_TREE + 1)
        );
    }

    #[test]
    fn a_leaf_cannot_pass_for_a_node() {
        let (leaves, tree) = tree(2);
        let forged = [leaves[0].0, leaves[1].0].concat();
        assert_ne!(leaf_hash(&forged), tree.root());
    }
}
