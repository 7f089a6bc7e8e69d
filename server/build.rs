//! Makes an empty `dist/`, so that a plain `cargo build` works before the pages were built.

fn main() -> std::io::Result<()> {
    let dist = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", dist.display());
    std::fs::create_dir_all(dist)
}
