// Rotation groups of a head; docs/exact-attention.md, section 1.

// Size of the rotation group of value i of a head of d values.
fn group_at(i: u32, d: u32) -> u32 {
    let whole = d & ~127u;
    if i < whole {
        return 128u;
    }
    var first = whole;
    if (d & 64u) != 0u {
        if i < first + 64u {
            return 64u;
        }
        first += 64u;
    }
    return select(16u, 32u, (d & 32u) != 0u && i < first + 32u);
}

// f32 nearest 1 / sqrt(n) of a group size.
fn inverse_root(n: u32) -> f32 {
    const ROOTS = vec4<f32>(0.25f, 0x1.6a09e6p-3f, 0.125f, 0x1.6a09e6p-4f);
    return ROOTS[countTrailingZeros(n) - 4u];
}
