// Sizes of the scale blocks of a head, in their order; docs/exact-attention.md, section 1.

// Size of the scale block of a turbo head (and of the rotation group) that is followed by `left` values, itself
// included.
fn group_size(left: u32) -> u32 {
    if left >= 128u {
        return 128u;
    }
    if left >= 64u {
        return 64u;
    }
    return select(16u, 32u, left >= 32u);
}

// The same of q8_0 and q4_0.
fn quant_size(left: u32) -> u32 {
    return select(16u, 32u, left >= 32u);
}
