//! The folder `dist/`: writing it at once, how large a page may be, and when it need not be
//! written again.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::assets::{Assets, Page};

/// Bytes that a first visit may cost, brotli, by the page; the worker's includes its sandbox.
const BUDGETS: [(&str, &[&str], usize); 2] = [
    ("worker page", &["worker.html", "sandbox.html"], 150_000),
    ("client page", &["client.html"], 200_000),
];

/// Compressed size of each asset by its name.
pub(super) type Sizes = BTreeMap<String, usize>;

/// Writes pages and assets to a folder beside `dist`, then puts it in its place.
pub(super) fn write(dist: &Path, pages: &[(String, Page)], assets: &mut Assets) -> Result<Sizes> {
    let fresh = dist.with_extension("new");
    remove(&fresh)?;
    fs::create_dir_all(&fresh)?;
    for (name, page) in pages {
        fs::write(fresh.join(name), &page.html)?;
    }
    let mut sizes = Sizes::new();
    for (name, asset) in assets.all()? {
        let path = fresh.join(&asset.file_name);
        let compressed = brotli(&asset.bytes)?;
        fs::write(&path, &asset.bytes)?;
        fs::write(with_br(&path), &compressed)?;
        sizes.insert(name.clone(), compressed.len());
    }
    remove(dist)?;
    fs::rename(&fresh, dist)?;
    Ok(sizes)
}

/// Prints what each page weighs and refuses one that weighs too much.
pub(super) fn check_budgets(pages: &[(String, Page)], sizes: &Sizes, dev: bool) -> Result<()> {
    for (what, files, budget) in BUDGETS {
        let bytes = weight(pages, sizes, files)?;
        println!("{what}: {bytes} of {budget} bytes (brotli)");
        ensure!(
            dev || bytes <= budget,
            "the {what} weighs {bytes} bytes, at most {budget} are allowed"
        );
    }
    Ok(())
}

fn weight(pages: &[(String, Page)], sizes: &Sizes, files: &[&str]) -> Result<usize> {
    let mut bytes = 0;
    for file in files {
        let page = pages.iter().find(|(name, _)| name == file);
        let (_, page) = page.with_context(|| format!("there is no page {file}"))?;
        bytes += brotli(page.html.as_bytes())?.len();
        bytes += page.needs.iter().map(|name| sizes[name]).sum::<usize>();
    }
    Ok(bytes)
}

fn brotli(bytes: &[u8]) -> Result<Vec<u8>> {
    const BEST: u32 = 11;
    const WINDOW: u32 = 22;
    let mut compressed = Vec::new();
    let mut writer = brotli::CompressorWriter::new(&mut compressed, 1 << 16, BEST, WINDOW);
    writer.write_all(bytes)?;
    drop(writer);
    Ok(compressed)
}

fn with_br(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".br");
    name.into()
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

/// What `dist/` was made of. Left beside the programs once everything is written and within budget.
#[derive(Debug)]
pub(super) struct Stamp {
    file: PathBuf,
    inputs: String,
}

impl Stamp {
    /// The stamp of what lies there: programs, sources, and the code that turns them into `dist/`.
    pub(super) fn of(programs: &[(&str, PathBuf)], root: &Path, dev: bool) -> Result<Self> {
        let (_, first) = programs.first().context("there are programs to stamp")?;
        let mut hash = Sha256::new();
        hash.update([u8::from(dev)]);
        for code in [
            include_str!("../assets.rs"),
            include_str!("bind.rs"),
            include_str!("dist.rs"),
            include_str!("sources.rs"),
        ] {
            hash.update(Sha256::digest(code));
        }
        let programs = programs.iter().map(|(_, file)| file.clone());
        for file in programs.chain(super::sources::files(root)?) {
            hash.update(Sha256::digest(
                file.file_name().unwrap_or_default().as_encoded_bytes(),
            ));
            let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
            hash.update(Sha256::digest(bytes));
        }
        let hash = hash.finalize();
        Ok(Self {
            file: first.with_file_name("dist.stamp"),
            inputs: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// Whether `dist` is what these inputs make, with nothing changed since.
    pub(super) fn holds_for(&self, dist: &Path) -> Result<bool> {
        let Ok(left) = fs::read_to_string(&self.file) else {
            return Ok(false);
        };
        Ok(left == self.text(dist)?)
    }

    /// Says that `dist` is what these inputs make.
    pub(super) fn leave(&self, dist: &Path) -> Result<()> {
        Ok(fs::write(&self.file, self.text(dist)?)?)
    }

    fn text(&self, dist: &Path) -> Result<String> {
        let mut listing = listing(dist)?;
        listing.sort();
        Ok(format!("{}\n{}", self.inputs, listing.join("\n")))
    }
}

/// Names and contents of what lies in `dist`, which may be missing.
fn listing(dist: &Path) -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(dist) else {
        return Ok(Vec::new());
    };
    let line = |path: PathBuf| {
        let bytes = if path.is_file() {
            fs::read(&path)?
        } else {
            Vec::new()
        };
        let hash = Sha256::digest(bytes);
        Ok(format!("{} {:02x?}", path.display(), &hash[..8]))
    };
    entries.map(|entry| line(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(html: &str, needs: &[&str]) -> Page {
        Page {
            html: html.into(),
            needs: needs.iter().map(|name| (*name).into()).collect(),
        }
    }

    #[test]
    fn a_page_over_its_budget_is_refused() {
        let pages = vec![
            ("worker.html".into(), page("w", &["worker.wasm"])),
            ("sandbox.html".into(), page("s", &[])),
            ("client.html".into(), page("c", &["client.wasm"])),
        ];
        let sizes = |worker, client| {
            Sizes::from([
                ("worker.wasm".into(), worker),
                ("client.wasm".into(), client),
            ])
        };
        check_budgets(&pages, &sizes(100_000, 100_000), false).unwrap();
        check_budgets(&pages, &sizes(150_000, 100_000), false).unwrap_err();
        check_budgets(&pages, &sizes(100_000, 200_000), false).unwrap_err();
        check_budgets(&pages, &sizes(900_000, 900_000), true).unwrap();
    }

    #[test]
    fn a_stamp_notices_a_changed_folder() {
        let folder = tempfile::tempdir().unwrap();
        let dist = folder.path().join("dist");
        fs::create_dir(&dist).unwrap();
        fs::write(dist.join("page.html"), "1").unwrap();
        let stamp = Stamp {
            file: folder.path().join("stamp"),
            inputs: "inputs".into(),
        };
        assert!(!stamp.holds_for(&dist).unwrap(), "no stamp was left");
        stamp.leave(&dist).unwrap();
        assert!(stamp.holds_for(&dist).unwrap());
        fs::write(dist.join("page.html"), "2").unwrap();
        assert!(!stamp.holds_for(&dist).unwrap(), "a file was changed");
    }

    #[test]
    fn assets_lie_beside_their_compressed_form() {
        let folder = tempfile::tempdir().unwrap();
        let dist = folder.path().join("dist");
        let mut assets = Assets::default();
        assets.add("a.css", "body{}").unwrap();
        write(&dist, &[("p.html".into(), page("p", &[]))], &mut assets).unwrap();
        let name = &assets.all().unwrap()["a.css"].file_name;
        assert_eq!(fs::read(dist.join(name)).unwrap(), b"body{}");
        assert!(dist.join(format!("{name}.br")).is_file());
        assert_eq!(fs::read(dist.join("p.html")).unwrap(), b"p");
    }
}
