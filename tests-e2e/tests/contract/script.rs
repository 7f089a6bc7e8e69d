//! The scripts that the table submits. What each does is in its text; the native worker knows them.

/// Returns its args.
pub(crate) const ECHO: &str = "return args";
/// Returns what `sum` adds up.
pub(crate) const HITS: &str = "return {hits: __BRAIN__.shardId, samples: __BRAIN__.units}";
/// As [`HITS`], but only the first two shards end before they are told to.
pub(crate) const HALF: &str = "if (__BRAIN__.shardId > 1) await word(); return {hits: __BRAIN__.shardId, samples: __BRAIN__.units}";
/// Does not end before it is told to.
pub(crate) const HELD: &str = "await word()";
/// Returns a falling value.
pub(crate) const VALUES: &str = "return {value: 7 - (globalThis.__BRAIN__?.shardId ?? 0)}";
/// Returns no number.
pub(crate) const TEXTS: &str = "return {hits: '5'}";
/// Prints and returns.
pub(crate) const LOGS: &str =
    "console.log('half way'); console.warn({n: 1}); return {hits: 785, samples: 1000}";
/// Returns nothing.
pub(crate) const NOTHING: &str = "args.seen = true";
/// Throws.
pub(crate) const THROWS: &str = "throw new Error('boom')";
/// Runs into its limit.
pub(crate) const ENDLESS: &str = "for (;;);";
/// Takes its executor with it.
pub(crate) const BREAKS: &str = "close(); await new Promise(() => {})";
