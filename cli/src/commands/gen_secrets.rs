//! `cluster gen-secrets`: fresh secrets for a server, as the lines of its env file.

use shared::secrets::Secrets;

use crate::output;

pub(super) fn run() {
    let secrets = Secrets::generate(&mut |bytes| {
        getrandom::fill(bytes).expect("the operating system has random bytes");
    });
    output::out(secrets.to_lines().trim_end());
}
