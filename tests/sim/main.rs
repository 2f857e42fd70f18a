//! The core in virtual time, with random configurations, failures, clients and clocks. The seed of each world is printed
//! when it fails: `SIM_SEED=n` runs that world alone, `SIM_STEPS=n` sets how many inputs are given in all.

mod chance;
mod configs;
mod laws;
mod world;

use world::World;

/// Inputs given by default.
const STEPS: u64 = 100_000;
/// Inputs given to one world before it is stopped.
const STEPS_PER_WORLD: u64 = 4_000;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn every_law_holds_in_random_worlds() {
    let steps = number("SIM_STEPS").unwrap_or(STEPS);
    let only = number("SIM_SEED");
    let mut seed = only.unwrap_or(1);
    let mut done = 0;
    while done < steps {
        println!("SIM_SEED={seed}");
        done += World::new(seed).run(STEPS_PER_WORLD);
        seed = seed.wrapping_add(1);
        if only.is_some() {
            break;
        }
    }
}
