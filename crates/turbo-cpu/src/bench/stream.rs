//! Twin of `wgsl/kernels/bench/stream.wgsl`: class Exact.

/// Vectors of four words that a workgroup reads, and that its invocations take turns with.
const WORKGROUP: usize = 256;
const EACH: usize = 16;

/// Sums of the words of `x`, vectors of four: one for every invocation that reads any, by index; 0 for the others of
/// the last workgroup. Words that make no whole vector are left out.
pub fn stream(x: &[u32]) -> Vec<u32> {
    let (vectors, _) = x.as_chunks::<4>();
    let mut sums = Vec::new();
    for part in vectors.chunks(WORKGROUP * EACH) {
        let mut own = [0_u32; WORKGROUP];
        for (i, vector) in part.iter().enumerate() {
            let sum = &mut own[i % WORKGROUP];
            *sum = vector.iter().fold(*sum, |s, &word| s.wrapping_add(word));
        }
        sums.extend(own);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_in_one_sum() {
        let x: Vec<u32> = (0..4 * 5000_u32).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
        let sums = stream(&x);
        assert_eq!(sums.len(), 512);
        let all = |words: &[u32]| words.iter().fold(0_u32, |s, &w| s.wrapping_add(w));
        assert_eq!(all(&sums), all(&x));
        assert_eq!(stream(&[1, 2, 3, 4, 5])[..2], [10, 0]);
    }
}
