//! Native twins of example scripts: the same numbers, bit for bit, to check a cluster's against.

/// Hits of `units` Monte Carlo samples of the quarter circle, the first of which has the absolute
/// index `offset`: the twin of `examples/pi-sharded.js`. A sample depends on its index alone, so the
/// sum does not depend on the cut into shards.
pub fn pi_hits(offset: u64, units: u64) -> u64 {
    (offset..offset + units)
        .filter(|&index| is_hit(index))
        .count() as u64
}

fn is_hit(index: u64) -> bool {
    let high = ((index >> 32) as u32).wrapping_mul(0x9e37_79b9);
    let bits = mix(index as u32 ^ high);
    is_inside(bits & 0x7fff, bits >> 17)
}

/// Whether the middle of the cell lies in the circle: (2x+1)² + (2y+1)² < 65536². Coordinates have
/// 15 bits, so that everything stays exact in 32-bit arithmetic.
fn is_inside(x: u32, y: u32) -> bool {
    x * (x + 1) + y * (y + 1) < 0x4000_0000
}

/// Finaliser of MurmurHash3 (Appleby, public domain).
fn mix(mut hash: u32) -> u32 {
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{is_inside, pi_hits};

    #[test]
    fn hits_do_not_depend_on_the_cut() {
        let whole = pi_hits(0, 100_000);
        assert_eq!(
            whole,
            (0..100)
                .map(|shard| pi_hits(shard * 1_000, 1_000))
                .sum::<u64>()
        );
        let estimate = 4.0 * whole as f64 / 100_000.0;
        assert!((estimate - std::f64::consts::PI).abs() < 0.02, "{estimate}");
    }

    #[test]
    fn the_grid_of_points_favours_no_side() {
        let rows: Vec<u32> = (0..32_768).collect();
        let inside: u64 = (0..32_768)
            .map(|x| rows.partition_point(|&y| is_inside(x, y)) as u64)
            .sum();
        let limit = 4.0 * inside as f64 / f64::from(1 << 30);
        assert!((limit - std::f64::consts::PI).abs() < 1e-6, "{limit}");
    }

    #[test]
    fn the_script_counts_the_same_hits() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/pi-sharded.js");
        for (offset, units) in [(0, 50_000), (123_456, 10_000), ((1 << 40) + 5, 10_000)] {
            let program = format!(
                "globalThis.__BRAIN__ = {{offset: {offset}, units: {units}}};\
                 const code = require('fs').readFileSync({script:?}, 'utf8');\
                 const AsyncFunction = (async () => {{}}).constructor;\
                 new AsyncFunction('args', 'console', code)({{}}, console)\
                     .then(result => console.log(result.hits, result.samples));"
            );
            let output = match Command::new("node").args(["-e", &program]).output() {
                Ok(output) => output,
                Err(error) => {
                    eprintln!("skipped: node cannot be run ({error})");
                    return;
                }
            };
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(
                text.trim(),
                format!("{} {units}", pi_hits(offset, units)),
                "{output:?}"
            );
        }
    }
}
