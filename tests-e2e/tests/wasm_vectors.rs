//! The verifier as wasm32, run by an interpreter: golden vectors hold there as they do natively.
//!
//! `cargo xtask wasm` builds the two programs; they need no imports, and a trap is a failure.

use tests_e2e::artifacts;
use wasmi::{Engine, Instance, Linker, Module, Store};

fn program(name: &str) -> Vec<u8> {
    let path = artifacts::wasm_program(name).expect("it is built");
    std::fs::read(path).expect("it can be read")
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
    assert_eq!(run("vectors_hold").expect("no trap"), 0);
}

#[test]
fn a_vector_that_does_not_hold_traps() {
    let error = run("vectors_tampered").expect_err("the check must notice");
    assert_eq!(
        error.as_trap_code(),
        Some(wasmi::TrapCode::UnreachableCodeReached),
        "{error}"
    );
}
