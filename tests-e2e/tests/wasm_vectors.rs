//! The verifier as wasm32, run by an interpreter: golden vectors hold there as they do natively.
//!
//! `cargo xtask wasm` builds the two programs; they need no imports, and a trap is a failure.

use std::path::PathBuf;

use wasmi::{Engine, Instance, Linker, Module, Store};

fn program(name: &str) -> Vec<u8> {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../target/wasm/wasm32-unknown-unknown/wasm", name]
            .iter()
            .collect();
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask wasm`", path.display()))
}

fn run(name: &str) -> Result<i32, wasmi::Error> {
    let engine = Engine::default();
    let module = Module::new(&engine, program(name))?;
    let mut store = Store::new(&engine, ());
    let instance: Instance = Linker::new(&engine).instantiate_and_start(&mut store, &module)?;
    let main = instance.get_typed_func::<(i32, i32), i32>(&store, "main")?;
    main.call(&mut store, (0, 0))
}

#[test]
fn golden_vectors_hold_as_wasm32() {
    assert_eq!(run("vectors_hold.wasm").expect("no trap"), 0);
}

#[test]
fn a_vector_that_does_not_hold_traps() {
    let error = run("vectors_tampered.wasm").expect_err("the check must notice");
    assert_eq!(error.as_trap_code(), Some(wasmi::TrapCode::UnreachableCodeReached), "{error}");
}
