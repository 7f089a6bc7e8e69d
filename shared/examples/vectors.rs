//! Prints the golden vectors of the envelope, made anew from the keys of the tests.

#[path = "../src/envelope/test_signers.rs"]
mod test_signers;

#[expect(clippy::print_stdout, reason = "its output is the file")]
fn main() {
    test_signers::with(|signers| {
        print!("{}", shared::envelope::vectors::generate(signers).to_json())
    });
}
