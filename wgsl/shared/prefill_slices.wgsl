// Slices of up to 128 values of a head, their units of 16 values, and where workgroup memory has them.

// Values of slice `slice` of a head of d values.
fn slice_size(d: u32, slice: u32) -> u32 {
#ifdef WHOLE
    return 128u;
#else
    return min(d - slice * 128u, 128u);
#endif
}

// Size of the rotation group of a unit of a slice of `size` values.
fn unit_group(unit: u32, size: u32) -> u32 {
#ifdef WHOLE
    return 128u;
#else
    if size == 128u {
        return 128u;
    }
    let wide = size & 64u;
    if unit * 16u < wide {
        return 64u;
    }
    return select(16u, 32u, (size & 32u) != 0u && unit * 16u < wide + 32u);
#endif
}

// Which of a slice's rotation groups a unit lies in.
fn unit_group_index(unit: u32, size: u32) -> u32 {
#ifdef WHOLE
    return 0u;
#else
    if size == 128u {
        return 0u;
    }
    let first = (unit * 16u) & ~(unit_group(unit, size) - 1u);
    return countOneBits(first >> 4u);
#endif
}

// Places in `stage`, such that neighbouring invocations read and write different banks of workgroup memory.

// 16 values of a key, those of unit `unit`.
fn place_of_key(key: u32, unit: u32) -> u32 {
    let slot = ((key & 3u) << 4u) | (key >> 2u);
    return slot * 8u + (unit ^ (slot & 7u));
}

// 16 keys of a value, the first of which is 16 * step.
fn place_of_value(value: u32, step: u32) -> u32 {
#ifdef OVERLAY
    const BEFORE = 0u;
#else
    const BEFORE = 512u;
#endif
    return BEFORE + value * 4u + (step ^ (((value >> 1u) ^ (value >> 3u)) & 3u));
}

// Bank-friendly place of a vector of eight of a row.
fn place_of_row(row: u32, i: u32) -> u32 {
    return row * 8u + (i ^ ((row >> 2u) & 7u));
}

// Sum of the products of 16 signed bytes.
fn dot16(a: vec4<u32>, b: vec4<u32>) -> i32 {
    return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}
