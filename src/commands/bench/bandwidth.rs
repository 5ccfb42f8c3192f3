//! What a device reads in a second, measured before the tests.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use turbo_cpu::CpuBackend;

use crate::device::Device;

/// Words of the CPU's memory that are read: more than caches hold.
const WORDS: usize = 32 << 20;

/// Readings, of which the fastest counts: others may use the machine.
const READINGS: usize = 5;

/// GB/s.
pub(super) fn measure(device: &Device) -> Result<f64> {
    match (device.gpu(), device.cpu()) {
        (Some(gpu), _) => {
            let found = turbo_bench::bandwidth(gpu, gpu.description().is_software())?;
            // What that took is no part of the tests.
            gpu.restart_peak();
            Ok(found)
        }
        (None, cpu) => Ok(of_memory(cpu.map_or(1, CpuBackend::threads))),
    }
}

/// What so many threads read of the main memory, each its part.
fn of_memory(threads: usize) -> f64 {
    let words: Vec<u64> = (0..WORDS as u64).collect();
    let share = WORDS.div_ceil(threads.max(1));
    let read = || {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for part in words.chunks(share) {
                scope.spawn(move || black_box(sum(part)));
            }
        });
        started.elapsed().as_secs_f64()
    };
    let fastest = (0..READINGS).map(|_| read()).fold(f64::INFINITY, f64::min);
    (8 * WORDS) as f64 / fastest.max(1e-9) / 1e9
}

/// Several sums side by side, so that none waits for another.
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0_u64; 16];
    for chunk in words.as_chunks::<16>().0 {
        for (sum, word) in sums.iter_mut().zip(chunk) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |a, b| a ^ b)
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_has_a_bandwidth() {
        let found = super::of_memory(2);
        assert!(found.is_finite() && found > 0.0, "{found} GB/s");
    }
}
