// How one side (K or V) of a cache lies in memory, in words (turbo_backend::SideLayout).
//
// Words: LOW_BITS of a code in the first plane, HIGH if there is a plane of one more bit each, TURBO if the scale
// blocks are the rotation groups, else they are of 32 values.

fn low_words(head_dim: u32) -> u32 {
    return head_dim * LOW_BITS / 32u;
}

fn code_words(head_dim: u32) -> u32 {
#ifdef HIGH
    return low_words(head_dim) + (head_dim + 31u) / 32u;
#else
    return low_words(head_dim);
#endif
}

fn scale_blocks(head_dim: u32) -> u32 {
#ifdef TURBO
    return head_dim / 128u + countOneBits(head_dim & 112u);
#else
    return (head_dim + 31u) / 32u;
#endif
}

// Words of one head of a block of 64 tokens.
fn unit_words(head_dim: u32) -> u32 {
    return 64u * code_words(head_dim) + 32u * scale_blocks(head_dim);
}

// Number of the scale block that starts at value `at` of tile `tile`, in a rotation group of `size` values;
// 0xffffffff if none starts there. `count` is the number of values in the tile.
fn scale_block(tile: u32, at: u32, size: u32, count: u32) -> u32 {
#ifdef TURBO
    let starts = at % size == 0u;
    let index = tile + countOneBits(count & 112u & ~(2u * size - 1u));
#else
    let starts = at % 32u == 0u;
    let index = tile * 4u + at / 32u;
#endif
    return select(0xffffffffu, index, starts && at < count);
}
